# SPDX-License-Identifier: Apache-2.0
"""What the gateway tells of itself: metrics of the original and its own, sums that are exact, log lines, /stats, ids of blocks."""

import itertools
import json
import os
import re
import threading
import time

import pytest

from conftest import free_port, wait_for
from route_common import RW2, Body2, config, histogram, now, one1, one2, series1
from test_route import start  # noqa: F401  pylint: disable=unused-import


def labels_of(g, name):
    """The label sets of all series of a family, buckets apart."""
    found = []
    for key in g.metrics():
        m = re.fullmatch(r"([a-z_]+)(?:\{(.*)\})?", key)
        if m[1] == name:
            found.append(dict(re.findall(r'([a-z_]+)="((?:[^"\\]|\\.)*)"', m[2] or "")))
    return found


class Page:
    """One scrape."""

    def __init__(self, g):
        self.all = g.metrics()

    def sum(self, name, **labels):
        want = [f'{k}="{v}"' for k, v in labels.items()]
        return sum(v for k, v in self.all.items() if k.split("{")[0] == name and all(re.search(rf"[{{,]{re.escape(w)}[,}}]", k) for w in want))


def settle(g):
    """Every figure is carried over once a second: two equal pages with a tick between them, but for what tries go on."""
    last = []

    def same():
        time.sleep(1.1)
        page = {k: v for k, v in g.metrics().items() if re.match("telamon_route_(received|route_samples|dropped|queue_records|send_samples)|.*timeseries|stream_receive_(series|samples|requests)", k)}
        last.append(page)
        return len(last) > 1 and last[-1] == last[-2]
    wait_for("figures at rest", same)
    return Page(g)


# --- GW-OB-1 ---

def test_gw_ob_1_every_family_moves(start):
    """Names and labels of the original, each with what really happened."""
    answers = itertools.chain([-1, 503], itertools.repeat(204))
    sink = start.receiver(lambda q: 400 if "dead" in q.names() else next(answers))
    g = start(config(sink, routes='- {name: one, destination: d, relabel_configs: [{source_labels: [__name__], regex: "no.*", action: drop}]}',
                     top="time_window: {max_age: 1h}", send="{lanes: 1, retry: {min: 5ms, max: 20ms}, breaker: {failures: 2, open: 1s, successes: 1}}"))
    assert g.post(one1("a") + one1("late", ts=now() - 7200_000)).status == 204
    wait_for("the third try", lambda: len(sink.stored) == 1)
    assert g.post(one1("b") + one1("no")).status == 204
    assert g.post(one1("dead")).status == 204
    assert g.post(one1("c"), path="/api/v1/receive").status == 204
    wait_for("the others", lambda: len(sink.stored) == 3)
    assert g.post(b"\x05", raw=True).status == 400
    p = settle(g)
    write, receive = {"src_service": "/api/v1/write"}, {"src_service": "/api/v1/receive"}
    assert p.sum("stream_receive_series_total", **write) == 5 and p.sum("stream_receive_series_total", **receive) == 1
    assert p.sum("stream_receive_samples_total", **write) == 5 and p.sum("stream_receive_samples_total", **receive) == 1
    assert p.sum("stream_receive_data_bytes_total", **write) > 0
    assert p.sum("stream_receive_drop_samples_total", **write) == 1 and p.sum("stream_receive_drop_samples_total", **receive) == 0
    assert p.sum("stream_receive_request_duration_seconds_count", **write) == 4
    assert p.sum("stream_receive_requests_total", status_code="204") == 4 and p.sum("stream_receive_requests_total", status_code="400") == 1
    assert p.sum("stream_receive_in_flight") == 0 and p.sum("stream_receive_errors_total", error_type="snappy_decode_error") == 1
    url = {"remote": sink.url}
    codes = {"204": 3, "503": 1, "error": 1, "400": 1}
    for code, n in codes.items():
        assert p.sum("stream_receive_remote_write_request_durations_count", code=code, **url) == n, code
        assert p.sum("stream_receive_remote_write_series_total", code=code, **url) == n, code
        assert p.sum("stream_receive_remote_write_samples_total", code=code, **url) == n, code
        assert p.sum("stream_receive_remote_write_bytes_total", code=code, **url) > 0, code
    assert labels_of(g, "stream_router_info") == [{"route_name": "one", "upstream_type": "remotewriter", "upstream_url": sink.url}]
    one = {"route_name": "one"}
    assert p.sum("stream_router_timeseries_total", route_name="all") == 6 and p.sum("stream_router_timeseries_total", **one) == 4
    assert p.sum("stream_router_timeseries_false_total", **one) == 1  # the dead letter
    assert p.sum("stream_router_write_duration_seconds_count", **one) == 4
    errors = {e: p.sum("stream_router_errors_total", error_type=e, **one) for e in ("timeout", "connection", "circuit_breaker", "unknown")}
    assert errors["timeout"] == 0 and errors["connection"] == 1 and errors["unknown"] == 2 and errors["circuit_breaker"] >= 1
    assert p.sum("stream_router_queue_depth", **one) == 0 and p.sum("stream_router_circuit_breaker_state", **one) == 0
    assert p.sum("stream_remote_write_circuit_breaker_state", **one) == 0
    assert p.sum("stream_router_backend_health", backend=sink.url, **one) == 1
    assert p.sum("stream_remote_write_cluster_timeseries_total", **one) == 4
    assert p.sum("stream_remote_write_cluster_timeseries_false_total", **one) == 1
    u = {"url": sink.url}
    assert p.sum("stream_remote_write_timeseries_total", **u) == 3 and p.sum("stream_remote_write_timeseries_false_total", **u) == 1
    assert p.sum("stream_remote_write_successes_total", **u) == 3 and p.sum("stream_remote_write_failures_total", **u) == 3
    assert p.sum("stream_remote_write_retries_total", **u) == 2
    assert p.sum("stream_remote_write_latency_seconds_count", **u) == 6
    # Bounds of all of the original's histograms.
    bounds = {m[1] for k in p.all if (m := re.fullmatch(r'stream_router_write_duration_seconds_bucket\{.*le="([^"]+)"\}', k))}
    assert bounds == {"0.001", "0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10", "+Inf"}


def test_gw_ob_1_open_breaker_and_what_waits(start):
    dead = f"http://127.0.0.1:{free_port()}/api/v1/write?token=hidden-word"
    g = start(config(dead, send="{lanes: 1, retry: {min: 5ms, max: 20ms}, breaker: {failures: 2, open: 30s}}"))
    assert g.post(one1("a")).status == 204
    wait_for("the open breaker", lambda: g.metric("stream_router_circuit_breaker_state", route_name="all") == 1)
    p = Page(g)
    assert p.sum("stream_remote_write_circuit_breaker_state") == 1 and p.sum("stream_router_backend_health") == 0
    assert p.sum("stream_router_queue_depth", route_name="all") == 1
    state = [x for x in labels_of(g, "telamon_route_breaker_state")]
    assert len(state) == 1 and state[0]["reason"] and p.sum("telamon_route_retry_wait_seconds") > 0
    assert "hidden-word" not in g.get("/metrics").text + g.get("/stats").text + g.log()


def test_gw_ob_1_refused_series(start):
    """A full queue refuses: nothing was taken, and that is what is counted."""
    g = start(config(f"http://127.0.0.1:{free_port()}/", queue="{memory: 64KiB, disk: 0, ack: memory}"))
    n = 0
    while g.post(b"".join(one1("x" * 50, i=str(i)) for i in range(300))).status == 204:
        n += 300
    p = settle(g)
    assert p.sum("stream_router_timeseries_false_total", route_name="all") == 300
    assert p.sum("stream_router_timeseries_total", route_name="all") == n + 300
    assert p.sum("stream_remote_write_cluster_timeseries_total", route_name="all") == n


# --- GW-OB-2 ---

def test_gw_ob_2_nodes_and_queues(start):
    sink, away = start.receiver(), f"http://127.0.0.1:{free_port()}/api/v1/write"
    text = config(sink, away, queue="{min_free_disk: 0, ack: fsync, disk: 8MiB, segment: 1MiB, memory: 128KiB, dead_letter: 2MiB}",
                  destination="  shard: {tasks: 64}\n").replace("name: n0,", "name: n0, zone: east,")
    g = start(text)
    t = now()
    for i in range(40):
        assert g.post(b"".join(one1("m", ts=t - 5000, i=str(i), k=str(k)) for k in range(64))).status == 204
    p = settle(g)
    n0, n1 = {"destination": "d", "node": "n0"}, {"destination": "d", "node": "n1"}
    assert {"destination": "d", "node": "n0", "zone": "east", "url": sink.url, "protocol": "auto"} in labels_of(g, "telamon_route_node_info")
    assert p.sum("telamon_route_node_up", **n0) == 1 and p.sum("telamon_route_node_up", **n1) == 0
    assert p.sum("telamon_route_queue_limit_bytes", tier="disk", **n0) == 8 << 20
    assert p.sum("telamon_route_queue_limit_bytes", tier="memory", **n0) == 128 << 10
    assert p.sum("telamon_route_queue_limit_bytes", tier="dead", **n0) == 2 << 20
    assert p.sum("telamon_route_queue_bytes", tier="disk", **n1) > 0
    assert p.sum("telamon_route_queue_blocks", tier="memory", **n1) > 0 and p.sum("telamon_route_queue_oldest_seconds", **n1) > 0
    assert p.sum("telamon_route_queue_sync_seconds_count", **n0) > 0
    assert p.sum("telamon_route_send_duration_seconds_count", **n0) == p.sum("telamon_route_send_requests_total", **n0) > 0
    assert p.sum("telamon_route_sample_lag_seconds_count", route="all") == 40
    assert 40 * 5 <= p.sum("telamon_route_sample_lag_seconds_sum", route="all")
    assert p.sum("telamon_route_sample_lag_seconds_bucket", route="all", le="1") == 0
    tasks = [p.sum("telamon_route_table_tasks", **n) for n in (n0, n1)]
    table = json.loads(g.get("/api/v1/status/table?destination=d").text)
    assert tasks == [table["table"].count(0), table["table"].count(1)]
    assert p.sum("telamon_route_table_imbalance_ratio", destination="d") == pytest.approx(max(tasks) / 32)
    assert {"destination": "d", "hash": table["hash"], "source": "computed"} in labels_of(g, "telamon_route_table_info")
    assert p.sum("telamon_route_task_samples_max_ratio", destination="d") >= 1
    assert "revision" in labels_of(g, "telamon_route_build_info")[0]
    assert p.sum("telamon_route_connections", state="active") == 0
    assert p.sum("telamon_route_worker_lag_seconds") > 0
    limits = {x["limit"] for x in labels_of(g, "telamon_route_limit_refused_total")}
    assert {"connections", "connections_per_ip", "series_per_request", "samples_per_second", "max_inflight"} <= limits


def test_gw_ob_2_moved_tasks_and_gone_nodes(start):
    a, b = start.receiver(), start.receiver()
    g = start(config(a, b))
    before = json.loads(g.get("/api/v1/status/table?destination=d").text)["table"]
    wait_for("no moves", lambda: "telamon_route_table_moved_tasks_total" in g.get("/metrics").text)
    assert g.metric("telamon_route_table_moved_tasks_total") == 0
    assert g.reload(config(a)).status == 200
    wait_for("the moves", lambda: g.metric("telamon_route_table_moved_tasks_total", destination="d") == before.count(1))
    # What is no more is not shown any more; what it counted stays.
    wait_for("one node", lambda: [x["node"] for x in labels_of(g, "telamon_route_node_info")] == ["n0"])
    wait_for("no queue", lambda: [x["node"] for x in labels_of(g, "telamon_route_queue_oldest_seconds")] == ["n0"])
    assert {x["node"] for x in labels_of(g, "telamon_route_queue_records_total")} == {"n0", "n1"}


def test_gw_ob_2_hottest_task(start):
    """One task gets half of all."""
    a, b = start.receiver(), start.receiver()
    g = start(config(a, b, destination="  shard: {tasks: 16, key: {by: [who]}}\n"))
    assert g.post(series1([("__name__", "m"), ("who", "one")], [(float(i), now() + i) for i in range(1000)])).status == 204
    assert g.post(b"".join(one1("m", who=f"w{i}") for i in range(1000))).status == 204
    wait_for("the ratio", lambda: 8 < g.metric("telamon_route_task_samples_max_ratio", destination="d") <= 16)


def test_gw_ob_2_connections(start):
    sink = start.receiver()
    g = start(config(sink, batch="{linger: 3s}"))
    t = threading.Thread(target=lambda: g.post(one1()))
    t.start()
    wait_for("an active one", lambda: g.metric("telamon_route_connections", state="active") == 1)
    t.join()
    wait_for("none", lambda: g.metric("telamon_route_connections", state="active") == 0)


def test_gw_ob_2_downgrades_and_dead_letters(start):
    sink = start.receiver(lambda q: 415 if q.version == 2 else 400 if "bad" in q.names() else 413 if len(q.series) > 1 or "huge" in q.names() else 204)
    g = start(config(sink, send="{lanes: 1}"))
    assert g.post(one2("x"), RW2).status == 204
    wait_for("version 1", lambda: sink.stored)
    assert g.post(one1("bad") + one1("bad", i="2")).status == 204
    assert g.post(one1("huge") + one1("fine")).status == 204
    wait_for("the end", lambda: len(sink.stored) == 2)
    p = settle(g)
    assert p.sum("telamon_route_send_downgrades_total", to="rw1") == 1 and p.sum("telamon_route_send_downgrades_total", to="snappy") == 0
    assert p.sum("telamon_route_dead_letter_samples_total", reason="refused") == 2
    assert p.sum("telamon_route_dead_letter_samples_total", reason="too_large") == 1
    assert p.sum("telamon_route_send_samples_total", result="dead") == 3 and p.sum("telamon_route_send_samples_total", result="sent") == 2


def test_gw_qu_8_orphans_are_told(start):
    dead = f"http://127.0.0.1:{free_port()}/"
    g = start(config(dead))
    assert g.post(one1()).status == 204
    assert g.stop() == 0
    sink = start.receiver()
    g.configure(config(sink).replace("name: n0", "name: other"))
    g.start()
    wait_for("the metric", lambda: g.metric("telamon_route_orphan_queue_bytes", destination="d", node="n0") > 0)
    assert "'d/n0' belongs to no configured node" in g.log()
    assert g.reload(config(dead)).status == 200
    wait_for("no orphan", lambda: not labels_of(g, "telamon_route_orphan_queue_bytes"))


# --- GW-OB-3, GW-RO-5 ---

def node_sums(g, p, node):
    """Both sides of the equation of a node, in blocks and in samples."""
    events = {e: int(p.sum("telamon_route_queue_records_total", node=node, event=e))
              for e in ("enqueued", "recovered", "sent", "dropped", "dead", "expired", "corrupt")}
    pending = int(p.sum("telamon_route_queue_blocks", node=node))
    assert events["enqueued"] + events["recovered"] == sum(events[e] for e in ("sent", "dropped", "dead", "expired", "corrupt")) + pending, (node, events, pending)
    left = {r: int(p.sum("telamon_route_send_samples_total", node=node, result=r)) for r in ("sent", "partial", "dead", "dropped")}
    waiting = json.loads(g.get("/stats").text)["data"]["first"]["nodes"][node]["queue_samples"]
    return left, waiting


def test_gw_ro_5_every_sample_once(start):
    """All stages at once: invalid, window, global rules, routes, conversion, queue, dead letters, halves; versions 1 and 2, histograms."""
    def answer(q):
        names = q.names()
        if len(names) > 40 or "huge" in names:
            return 413
        return 400 if "dead" in names else 204
    sink, away = start.receiver(answer), f"http://127.0.0.1:{free_port()}/api/v1/write"
    text = config(sink, away, top="""time_window: {max_age: 1h, max_ahead: 1h}
relabel_configs: [{source_labels: [__name__], regex: "global_drop", action: drop}]
routing: {mode: all, default_route: rest}""", destination="  shard: {replicas: 2}\n", routes="""- {name: first, destination: d, match: ['{job="a"}'], stop: true}
- {name: second, destination: d, match: ['{job=~"a|b"}'], relabel_configs: [{source_labels: [__name__], regex: "no.*", action: drop}],
   time_window: {max_age: 30m}}
- {name: rest, destination: d}""", batch="{linger: 0s}", send="{lanes: 2, protocol: rw1, retry: {min: 5ms, max: 20ms}}",
                  queue="{min_free_disk: 0, memory: 64KiB, disk: 0, full: drop_oldest}")
    g = start(text)
    t, n = now(), 0
    for i, (name, job, age) in enumerate(itertools.product(["x", "dead", "no", "global_drop", "huge"], "abc", (0, 2400_000, 7200_000, -7200_000))):
        assert g.post(one1(name, ts=t - age, job=job, i=str(i))).status == 204
        n += 1
    for _ in range(30):
        assert g.post(b"".join(one1("many", ts=t, job="c", i=str(k), pad="p" * 64) for k in range(100))).status == 204
    body = Body2()
    for i in range(6):
        body.add([("__name__", "h"), ("i", str(i)), ("job", "b")], histograms=[histogram(t)])
        body.add([("__name__", "custom"), ("i", str(i)), ("job", "b")], histograms=[histogram(t, schema=-53, custom=(1.0, 2.0), zero=0)])
    body.add([("job", "b")], [(1.0, t)])
    assert g.post(body.bytes(), RW2).status == 400
    assert g.post(series1([("job", "x")], [(1.0, t)]) * 3 + one1("x", job="b")).status == 400
    wait_for("an empty queue", lambda: g.metric("telamon_route_queue_blocks", node="n0") == 0)
    p = settle(g)

    received = sum(p.sum("telamon_route_received_total", kind=k) for k in ("float", "histogram"))
    assert received == n + 3000 + 12 + 1
    assert p.sum("telamon_route_invalid_series_total") == 4
    early = {(s, r): p.sum("telamon_route_dropped_samples_total", stage=s, reason=r) - sum(
        p.sum("telamon_route_dropped_samples_total", stage=s, reason=r, route=x) for x in ("first", "second", "rest"))
        for s, r in (("window", "late"), ("window", "future"), ("relabel", "relabel"))}
    assert early == {("window", "late"): 15, ("window", "future"): 15, ("relabel", "relabel"): 6}
    accepted = 0
    for r in ("first", "second", "rest"):
        results = {x: p.sum("telamon_route_route_samples_total", route=r, result=x) for x in ("accepted", "dropped", "unmatched", "skipped")}
        assert sum(results.values()) == received - sum(early.values()), (r, results)
        stages = sum(p.sum("telamon_route_dropped_samples_total", stage=s, route=r) for s in ("window", "relabel"))
        assert results["dropped"] == stages, r
        accepted += results["accepted"]
    assert p.sum("telamon_route_dropped_samples_total", stage="route") == 0
    custom = p.sum("telamon_route_dropped_samples_total", stage="convert", reason="custom_buckets")
    assert custom == 12 == p.sum("telamon_route_lossy_total", reason="custom_buckets")  # to both replicas

    enqueued = 0
    for node in ("n0", "n1"):
        left, waiting = node_sums(g, p, node)
        enqueued += sum(left.values()) + waiting
        assert left["dead"] > 0 or node == "n1"
    assert enqueued == 2 * accepted - custom
    left, waiting = node_sums(g, p, "n1")
    assert left["dropped"] == p.sum("telamon_route_dropped_samples_total", stage="queue", reason="full_oldest", route="first") > 0 and waiting > 0
    # What arrived is what was said to be sent, and dead letters are what the node refused.
    left, waiting = node_sums(g, p, "n0")
    stored = [s for q in sink.stored for s in q.series]
    assert left["sent"] == sum(len(s.samples) + len(s.histograms) for s in stored) and waiting == 0
    assert p.sum("telamon_route_send_samples_total", node="n0", kind="histogram", result="sent") == sum(len(s.histograms) for s in stored) == 6
    assert left["dead"] == p.sum("telamon_route_dead_letter_samples_total", node="n0")


def test_gw_ro_5_partial_and_late_conversion(start):
    """A node that writes less than it got; one that turns out to know version 1 only."""
    sink = start.receiver(lambda q: (204, {"X-Prometheus-Remote-Write-Samples-Written": "1", "X-Prometheus-Remote-Write-Histograms-Written": "0"}, b""))
    old = start.receiver(written=False)
    t = now()
    body = Body2().add([("__name__", "a")], [(1.0, t)]).add([("__name__", "b")], [(2.0, t)]).add([("__name__", "h")], histograms=[histogram(t)])
    body.add([("__name__", "c")], histograms=[histogram(t, schema=-53, custom=(1.0, 2.0), zero=0)])
    g = start(config(sink, send="{protocol: rw2, lanes: 1}"))
    assert g.post(body.bytes(), RW2).status == 204
    wait_for("the answer", lambda: g.metric("telamon_route_send_samples_total", result="sent") == 1)
    p = settle(g)
    assert p.sum("telamon_route_send_samples_total", result="partial", kind="float") == 1
    assert p.sum("telamon_route_send_samples_total", result="partial", kind="histogram") == 2
    g = start(config(old, send="{lanes: 1}"))
    assert g.post(body.bytes(), RW2).status == 204
    wait_for("version 1", lambda: [q.version for q in old.requests] == [2, 1])
    p = settle(g)
    assert p.sum("telamon_route_send_samples_total", result="sent") == 3
    assert p.sum("telamon_route_dropped_samples_total", stage="convert", reason="custom_buckets") == 1


def test_gw_ob_3_dropped_newest_and_expired(start):
    away = f"http://127.0.0.1:{free_port()}/"
    g = start(config(away, queue="{memory: 64KiB, disk: 0, full: drop_newest}"))
    for _ in range(12):
        assert g.post(b"".join(one1("x" * 50, i=str(i)) for i in range(300))).status == 204
    p = settle(g)
    newest = p.sum("telamon_route_dropped_samples_total", stage="queue", reason="full_newest")
    waiting = json.loads(g.get("/stats").text)["data"]["all"]["queue_samples"]
    assert newest > 0 and newest + waiting == 3600 and p.sum("stream_remote_write_cluster_timeseries_false_total") == newest
    sink = start.receiver(500)
    g = start(config(sink, queue="{min_free_disk: 0, max_age: 200ms}", send="{lanes: 1, retry: {min: 300ms, max: 300ms}}"))
    assert g.post(one1("first")).status == 204
    assert g.post(one1("second") + one1("third")).status == 204
    time.sleep(0.4)
    sink.answer = 204
    wait_for("the end", lambda: g.metric("telamon_route_queue_blocks", node="n0") == 0)
    p = settle(g)
    assert p.sum("telamon_route_dropped_samples_total", stage="queue", reason="expired") == 3
    assert p.sum("telamon_route_send_samples_total", result="dropped") == 3


# --- GW-OB-4 ---

def test_gw_ob_4_lines(start):
    """The form, and one a second of a kind and node: what was left out is counted in the next."""
    sink = start.receiver(lambda q: (400, {}, b"out of \x1b[1m order"))
    g = start(config(sink, send="{lanes: 1}"), ["--log.format=json"])
    for i in range(30):
        assert g.post(one1("dead", float(i))).status == 204
    wait_for("all refused", lambda: len(sink.requests) == 30)
    time.sleep(1.05)
    assert g.post(one1("dead") + one1("dead2")).status == 204

    def lines():
        return [x for x in map(json.loads, g.log().splitlines()) if x.get("event.name") == "telamon.route.dead_letter"]
    wait_for("the last line", lambda: lines() and lines()[-1]["telamon.route.series"] == 2)
    told = lines()
    assert len(told) + sum(x.get("telamon.suppressed", 0) for x in told) == 31 and told[-1]["telamon.suppressed"] > 0
    first = told[0]
    assert list(first)[:4] == ["time", "level", "msg", "event.name"] and (first["level"], first["msg"]) == ("warn", "block refused for good")
    assert first["telamon.route.destination"] == "d" and first["telamon.route.node"] == "n0"
    assert (first["server.address"], first["server.port"]) == ("127.0.0.1", sink.port)
    assert first["http.response.status_code"] == 400 and first["telamon.route.series"] == 1 == first["telamon.route.samples"]
    assert first["telamon.route.block"] == sink.requests[0].headers["X-Telamon-Block"]
    assert "order" in first["telamon.route.answer"] and "\x1b" not in first["telamon.route.answer"]
    at = [x["time"] for x in told]
    assert at == sorted(at)


# --- GW-OB-5 ---

def test_gw_ob_5_stats(start):
    good, bad = start.receiver(), start.receiver(500)
    text = f"""destinations:
- {{name: d, queue: {{min_free_disk: 0}}, shard: {{replicas: 2}}, send: {{lanes: 1, retry: {{min: 5ms, max: 20ms}}, breaker: {{failures: 2, open: 30s}}}},
   nodes: [{{name: good, url: "{good.url}"}}, {{name: bad, url: "{bad.url}"}}]}}
routes:
- {{name: r, destination: d}}
"""
    g = start(text)
    stats = json.loads(g.get("/stats").text)["data"]["r"]
    assert stats["last_request_at"] == stats["last_success_at"] == stats["last_failure_at"] == "" and stats["avg_latency_ms"] == 0
    assert stats["circuit_breaker"] == {"state": "closed", "failures": 0, "successes": 0, "last_failure": "", "failure_rate": 0}
    assert g.post(one1("a") + one1("b")).status == 204
    wait_for("both", lambda: good.stored and len(bad.requests) >= 2)
    wait_for("the breaker", lambda: json.loads(g.get("/stats").text)["data"]["r"]["state"] == "open")
    stats = json.loads(g.get("/stats").text)["data"]["r"]
    ok, broken = stats["nodes"]["good"], stats["nodes"]["bad"]
    assert stats["name"] == "r" and (ok["state"], broken["state"]) == ("closed", "open") and broken["reason"] == "status 500"
    assert ok["url"] == good.url and (ok["total_requests"], ok["success_count"], ok["failure_count"]) == (1, 1, 0)
    assert broken["success_count"] == 0 and broken["failure_count"] == broken["total_requests"] >= 2
    assert stats["total_requests"] == ok["total_requests"] + broken["total_requests"]
    assert ok["queue_samples"] == 0 and ok["queue_oldest_seconds"] == 0
    assert broken["queue_samples"] == 2 == stats["queue_samples"] and broken["queue_oldest_seconds"] > 0
    assert ok["avg_latency_ms"] > 0 and ok["last_failure_at"] == "" and broken["last_success_at"] == ""
    for key in ("last_request_at", "last_success_at", "last_failure_at"):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", stats[key])
    b = stats["circuit_breaker"]
    assert b["failure_rate"] == pytest.approx(b["failures"] / (b["failures"] + b["successes"]), abs=0.006) and b["last_failure"]


# --- ids of blocks: GW-TX-1 ---

def test_gw_tx_1_block_ids_outlive_the_process(start):
    """A block that was on its way when the process was killed is the same block afterwards."""
    held = threading.Event()
    sink = start.receiver(lambda q: (held.wait(20), 204)[1])
    g = start(config(sink, send="{lanes: 1}"))
    assert g.post(one1("again")).status == 204
    wait_for("the first try", lambda: sink.requests)
    g.kill()
    held.set()
    g.start()
    wait_for("the second try", lambda: len(sink.requests) >= 2)
    assert g.post(one1("fresh")).status == 204
    wait_for("the fresh one", lambda: len(sink.requests) >= 3)
    ids = {q.names()[0]: set() for q in sink.requests}
    for q in sink.requests:
        ids[q.names()[0]].add(q.headers["X-Telamon-Block"])
    assert len(ids["again"]) == 1 and len(ids["fresh"]) == 1
    (again,), (fresh,) = ids["again"], ids["fresh"]
    gateway, epoch, index = again.split("/")
    assert gateway == os.uname().nodename and fresh.split("/")[1] != epoch and int(fresh.split("/")[2]) > int(index)


def test_gw_tx_1_parts_have_ids_of_their_own(start):
    """Halves are other bodies: who has one must not take the other for it."""
    sink = start.receiver(lambda q: 413 if len(q.series) > 2 else 204)
    g = start(config(sink, send="{lanes: 1}"))
    assert g.post(b"".join(one1("m", i=str(i)) for i in range(8))).status == 204
    wait_for("all", lambda: len(sink.series()) == 8)
    ids = [q.headers["X-Telamon-Block"] for q in sink.requests]
    assert len(set(ids)) == len(ids) and all(x.startswith(ids[0] + ".") for x in ids[1:])
