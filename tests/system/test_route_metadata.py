# SPDX-License-Identifier: Apache-2.0
"""Metadata of families: forwarded, remembered for version 2, told once an interval for version 1 (GW-CV-5, GW-CV-7, GW-RX-7)."""

import subprocess
import time

from conftest import free_port, need, wait_for
from route_common import RW2, Body2, config, fields, number, now, one1, sub, unsnappy
from test_route import start  # noqa: F401  pylint: disable=unused-import

COUNTER, GAUGE, HISTOGRAM = 1, 2, 3


def metadata1(name, kind, help_, unit=""):
    return sub(3, number(1, kind) + sub(2, name) + sub(4, help_) + (sub(5, unit) if unit else b""))


def families(sink):
    """(type, family, help, unit) of all requests of version 1 that were stored, in order."""
    found = []
    for q in list(sink.stored):
        if q.version != 1:
            continue
        for f, v in fields(unsnappy(q.body)):
            if f == 3:
                got = dict(fields(v))
                found.append((got.get(1, 0), *(bytes(got.get(i, b"")).decode() for i in (2, 4, 5))))
    return found


BODY = metadata1("http_seconds", HISTOGRAM, "How long.", "seconds") + metadata1("requests_total", COUNTER, "How many.")
TOLD = [(HISTOGRAM, "http_seconds", "How long.", "seconds"), (COUNTER, "requests_total", "How many.", "")]


def test_gw_cv_7_replicate(start):  # noqa: F811
    """To every node once an interval, whatever the senders repeat."""
    sinks = [start.receiver() for _ in range(3)]
    g = start(config(*sinks, top="metadata: {interval: 1s}").replace("name: n2,", "name: n2, weight: 0,"))
    for _ in range(3):
        assert g.post(BODY).status == 204
    wait_for("both nodes", lambda: all(sorted(families(s)) == sorted(TOLD) for s in sinks[:2]))
    assert all(q.series == [] for s in sinks for q in s.stored)
    time.sleep(1.1)
    assert g.post(BODY + one1("up")).status == 204
    wait_for("once more", lambda: all(len(families(s)) == 4 for s in sinks[:2]))
    wait_for("the count", lambda: g.metric("telamon_route_received_total", version="rw1", kind="metadata") == 8)
    assert g.metric("telamon_route_metadata_families") == 2
    assert not families(sinks[2])  # is being emptied


def test_gw_cv_7_shard_and_drop(start):  # noqa: F811
    sinks = [start.receiver() for _ in range(3)]
    many = b"".join(metadata1(f"family_{i}", GAUGE, "x") for i in range(60))
    g = start(config(*sinks, top="metadata: {mode: shard}"))
    assert g.post(many).status == 204
    wait_for("each once", lambda: sorted(f for s in sinks for _, f, *_ in families(s)) == sorted(f"family_{i}" for i in range(60)))
    assert all(families(s) for s in sinks)
    sink = start.receiver()
    g = start(config(sink, top="metadata: {mode: drop}"))
    assert g.post(many + one1("a")).status == 204
    assert g.post(Body2().add([("__name__", "b")], [(1.0, now())], metadata=(1, "help", "")).bytes(), RW2).status == 204
    wait_for("both", lambda: sorted(n for q in list(sink.stored) for n in q.names()) == ["a", "b"])
    assert not families(sink) and all(s.metadata is None for s in sink.series())


def test_gw_cv_7_routes_without_metadata(start):  # noqa: F811
    a, b = start.receiver(), start.receiver()
    g = start(f"""destinations:
- {{name: a, batch: {{linger: 5ms}}, nodes: [{{name: n, url: "{a.url}"}}]}}
- {{name: b, batch: {{linger: 5ms}}, nodes: [{{name: n, url: "{b.url}"}}]}}
routes:
- {{name: ra, destination: a}}
- {{name: rb, destination: b, metadata: false}}
""")
    assert g.post(BODY + one1("x")).status == 204
    assert g.post(Body2().add([("__name__", "y")], [(1.0, now())], metadata=(1, "help", "")).bytes(), RW2).status == 204
    for s in (a, b):
        wait_for("the series", lambda s=s: sorted(n for q in list(s.stored) for n in q.names()) == ["x", "y"])
    assert sorted(families(a)) == sorted(TOLD) and not families(b)
    assert {s.metadata for s in a.series()} == {None, (1, "help", "")} and {s.metadata for s in b.series()} == {None}


def test_gw_cv_5_version_1_to_2(start):  # noqa: F811
    """By the name of the series, then less a suffix; the name that leaves counts, since that is the series' family there."""
    sink = start.receiver()
    g = start(config(sink, send="{protocol: rw2}", routes='- {name: all, destination: d, relabel_configs: [{source_labels: [__name__], regex: "old", target_label: __name__, replacement: requests_total}]}'))
    assert g.post(BODY).status == 204 and not sink.requests
    names = ["http_seconds_bucket", "http_seconds_sum", "http_seconds_count", "http_seconds", "requests_total", "old", "other_total"]
    assert g.post(b"".join(one1(n, i=str(i)) for i, n in enumerate(names))).status == 204
    wait_for("all", lambda: len(sink.series()) == len(names))
    got = {dict(s.labels)["i"]: s.metadata for s in sink.series()}
    histogram, counter = (HISTOGRAM, "How long.", "seconds"), (COUNTER, "How many.", "")
    assert [got[str(i)] for i in range(len(names))] == [histogram] * 4 + [counter] * 2 + [None]


def test_gw_cv_5_bounded(start):  # noqa: F811
    sink = start.receiver()
    g = start(config(sink, send="{protocol: rw2}", top="metadata: {families: 2}"))
    assert g.post(b"".join(metadata1(n, GAUGE, n) for n in "abc")).status == 204
    assert g.post(b"".join(one1(n) for n in "abc")).status == 204
    wait_for("all", lambda: len(sink.series()) == 3)
    assert {dict(s.labels)["__name__"]: s.metadata for s in sink.series()} == {"a": None, "b": (GAUGE, "b", ""), "c": (GAUGE, "c", "")}
    wait_for("the count", lambda: g.metric("telamon_route_metadata_evicted_total") == 1 and g.metric("telamon_route_metadata_families") == 2)
    assert g.reload(config(sink, send="{protocol: rw2}", top="metadata: {families: 0}")).status == 200
    wait_for("none", lambda: g.metric("telamon_route_metadata_families") == 0)


def body2(*names, kind=HISTOGRAM):
    b = Body2()
    for i, n in enumerate(names):
        b.add([("__name__", n), ("i", str(i))], [(1.0, now())], metadata=(kind, "help of it", "seconds"))
    return b.bytes()


def test_gw_cv_5_version_2_to_1(start):  # noqa: F811
    """One for a family and node, not one for a series; again after the interval."""
    sinks = [start.receiver() for _ in range(2)]
    g = start(config(*sinks, send="{protocol: rw1}", top="metadata: {interval: 1s}", destination="  shard: {key: {by: [i]}}\n"))
    names = ["h_bucket", "h_bucket", "h_sum", "h_count"] * 10
    for _ in range(3):
        assert g.post(body2(*names), RW2).status == 204
    wait_for("all", lambda: sum(len(s.series()) for s in sinks) == 120)
    assert all(families(s) == [(HISTOGRAM, "h", "help of it", "seconds")] for s in sinks)
    time.sleep(1.1)
    assert g.post(body2(*names, "c_total", kind=COUNTER), RW2).status == 204
    wait_for("again", lambda: sum(len(families(s)) > 1 for s in sinks) == 2)
    assert {f for s in sinks for _, f, *_ in families(s)} == {"h", "h_bucket", "h_sum", "h_count", "c_total"}  # counters keep their names


def test_gw_cv_5_refused_requests_tell_nothing(start):  # noqa: F811
    """Rows of a refused request are taken back; so is what it would have told."""
    sink = start.receiver(503)
    g = start(config(sink, send="{protocol: rw1, retry: {min: 5ms, max: 20ms}, breaker: {failures: 100}}", queue="{memory: 64KiB, disk: 0, ack: memory}", top="metadata: {interval: 1h}"))
    big = b"".join(one1("x" * 60, i=str(i)) for i in range(300))
    while g.post(big).status == 204:
        pass
    assert g.post(big + BODY).status == 503
    sink.answer = 204
    wait_for("room", lambda: g.post(big + BODY).status == 204)
    wait_for("now", lambda: sorted(families(sink)) == sorted(TOLD))


def test_gw_cv_5_a_node_that_turns_out_to_know_version_1(start):  # noqa: F811
    """Blocks that are converted on their way out keep to the interval; a block that is tried again says the same."""
    answers = iter([503])
    sink = start.receiver(lambda q: 415 if q.version == 2 else next(answers, 204))
    g = start(config(sink, send="{lanes: 1, retry: {min: 5ms, max: 20ms}}"))
    assert g.post(body2("h_sum", "h_count"), RW2).status == 204
    wait_for("the first", lambda: sink.stored)
    assert families(sink) == [(HISTOGRAM, "h", "help of it", "seconds")]
    assert g.post(body2("h_sum"), RW2).status == 204
    wait_for("the second", lambda: len(sink.stored) == 2)
    assert len(families(sink)) == 1


def test_gw_cv_5_tenants_have_families_of_their_own(start):  # noqa: F811
    sink = start.receiver()
    g = start(config(sink, destination="  tenant: {from_request: true}\n"))
    for tenant in ("a", "b", "a"):
        assert g.post(metadata1("m", GAUGE, "of " + tenant), headers={"X-Scope-OrgID": tenant}).status == 204
    wait_for("two", lambda: len(sink.stored) == 2)
    assert {(q.headers["X-Scope-OrgID"], families(Once(q))[0][2]) for q in sink.stored} == {("a", "of a"), ("b", "of b")}


class Once:
    def __init__(self, q):
        self.stored = [q]


def test_gw_ts_5_prometheus_as_sender(start, tmp_path):  # noqa: F811
    """Debian's Prometheus sends metadata on a connection of its own: it reaches nodes of both versions."""
    need("prometheus")
    one, two = start.receiver(), start.receiver()
    g = start(f"""destinations:
- {{name: one, send: {{protocol: rw1}}, batch: {{linger: 5ms}}, nodes: [{{name: n, url: "{one.url}"}}]}}
- {{name: two, send: {{protocol: rw2}}, batch: {{linger: 5ms}}, nodes: [{{name: n, url: "{two.url}"}}]}}
routes:
- {{name: a, destination: one}}
- {{name: b, destination: two}}
""")
    port = free_port()
    (tmp_path / "prometheus.yml").write_text(f"""global: {{scrape_interval: 1s}}
scrape_configs: [{{job_name: self, static_configs: [{{targets: ["127.0.0.1:{port}"]}}]}}]
remote_write: [{{url: "{g.url}/api/v1/write", metadata_config: {{send: true, send_interval: 1s}}}}]
""")
    with open(tmp_path / "prometheus.log", "wb") as log, subprocess.Popen(
            ["prometheus", f"--config.file={tmp_path}/prometheus.yml", f"--storage.tsdb.path={tmp_path}/tsdb", f"--web.listen-address=127.0.0.1:{port}"],
            stdout=log, stderr=log) as p:
        try:
            wait_for("version 1", lambda: any(f == "prometheus_http_request_duration_seconds" for _, f, *_ in families(one)), 60)
            wait_for("version 2", lambda: any(s.metadata and s.metadata[0] == HISTOGRAM and dict(s.labels)["__name__"] == "prometheus_http_request_duration_seconds_bucket"
                                              for s in two.series()), 60)
        finally:
            p.terminate()
            p.wait(30)
    told = families(one)
    assert len({f for _, f, *_ in told}) == len(told) > 100  # each once within the interval
    assert next(h for _, f, h, _ in told if f == "prometheus_http_request_duration_seconds") == "Histogram of latencies for HTTP requests."
