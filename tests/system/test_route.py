# SPDX-License-Identifier: Apache-2.0
"""The gateway from end to end: endpoints, what nodes answer and what follows, reload, stop, documents of the original, sums."""

import itertools
import json
import os
import threading
import time

import pytest

from conftest import free_port, telamon, wait_for
from route_common import RW1, RW2, Body2, Gateway, Receiver, config, histogram, now, one1, one2, read1, series1, sub, unzstd


@pytest.fixture
def start(tmp_path):
    """Starts gateways and receivers that end with the test."""
    started, count = [], itertools.count()

    def start_one(text, options=(), **more):
        g = Gateway(tmp_path / f"g{next(count)}", text, options, **more).start()
        started.append(g.clean_up)
        return g

    def receiver(*a, **k):
        r = Receiver(*a, **k)
        started.append(r.stop)
        return r
    start_one.receiver = receiver
    yield start_one
    for stop in started:
        stop()


def arrived(sink, *names):
    wait_for(names, lambda: set(names) <= {n for q in list(sink.stored) for n in q.names()})


def test_relative_storage_path(start, tmp_path, monkeypatch):
    """Peers take one; the queue lies in the working directory at the start."""
    monkeypatch.chdir(tmp_path)
    sink = start.receiver()
    g = start(config(sink), options=["--storage.path=here"])
    assert g.post(one1("up", job="x")).status == 204
    arrived(sink, "up")
    assert (tmp_path / "here/queue/d/n0/lock").exists()


def test_gw_sc_2_no_secret_is_shown(start):
    """Tokens may stand in the query of a URL: it is used, and shown nowhere."""
    sink = start.receiver()
    g = start(config(f"{sink.url}?token=hidden-word", destination="  basic_auth: {username: u, password: hidden-word}\n"))
    assert g.post(one1("up", job="x")).status == 204
    arrived(sink, "up")
    assert all(q.path.endswith("?token=hidden-word") for q in sink.requests)
    pages = [g.get(p).text for p in ("/api/v1/status/config", "/api/v1/explain?series=up", "/stats", "/metrics", "/api/v1/status/table?destination=d")]
    assert "?<secret>" in pages[0] and sink.url in pages[1]
    assert all("hidden-word" not in page for page in [*pages, g.log()])
    sink.answer = 500
    assert g.post(one1("again", job="x")).status == 204
    wait_for("the failure", lambda: g.metric("telamon_route_send_requests_total", code="500") >= 1)
    assert "hidden-word" not in g.log()


# --- endpoints ---

def test_gw_ep(start):
    sink = start.receiver()
    g = start(config(sink, top='defaults: {send: {timeout: 7s}}', destination="  basic_auth: {username: u, password: hidden-word}\n"))
    assert g.post(one1("up", job="x")).status == 204
    arrived(sink, "up")
    assert (g.get("/-/healthy").status, g.request("HEAD", "/-/healthy").status) == (200, 200)
    assert json.loads(g.get("/-/health").text) == {"code": 2000, "msg": "ok", "data": None}
    assert g.get("/-/ready").status == 200
    assert g.reload().status == 200
    assert "version=0.0.4" in g.get("/metrics").headers["Content-Type"]
    assert "openmetrics" in g.get("/metrics", {"Accept": "application/openmetrics-text;version=1.0.0"}).headers["Content-Type"]
    stats = json.loads(g.get("/stats").text)
    assert stats["code"] == 2000 and stats["data"]["all"]["success_count"] == 1 and stats["data"]["all"]["state"] == "closed"
    assert stats["data"]["all"]["avg_latency_ms"] > 0 and stats["data"]["all"]["last_failure_at"] == ""
    effective = g.get("/api/v1/status/config").text
    assert "hidden-word" not in effective and "<secret>" in effective and "7s" in effective
    table = json.loads(g.get("/api/v1/status/table?destination=d").text)
    assert table["nodes"] == ["n0"] and len(table["table"]) == table["tasks"]
    assert g.get("/api/v1/status/table?destination=other").status == 404
    a = g.get("/nowhere-to-be-found")
    assert a.status == 404 and "nowhere" not in a.text
    assert "hidden-word" not in g.get("/metrics").text + g.log() + g.get("/stats").text


def test_gw_ep_5_reload_needs_the_flag(start, tmp_path):
    g = start(config(start.receiver()), ["--web.admin-address=127.0.0.1:0"])
    assert g.get("/metrics").status == 404 and g.request("POST", "/-/reload").status == 404
    plain = Gateway(tmp_path / "plain", config(start.receiver()))
    plain.command = lambda: [x for x in Gateway.command(plain) if "lifecycle" not in x]
    try:
        assert plain.start().request("POST", "/-/reload").status == 403
    finally:
        plain.clean_up()


def test_gw_ep_7_explain(start):
    nodes = [start.receiver() for _ in range(3)]
    g = start(config(*nodes, routes='- {name: all, destination: d, relabel_configs: [{source_labels: [job], regex: test, action: drop}]}'))
    got = json.loads(g.get('/api/v1/explain?series=up%7Bjob%3D%22node%22%7D').text)
    task = got["routes"][0]["destination"]["task"]
    assert task == 3306  # GW-SH-8
    assert got == json.loads(g.request("POST", "/api/v1/explain", json.dumps({"series": 'up{job="node"}'})).text)
    assert telamon("route", "explain", "--server", g.url, "--format", "json", 'up{job="node"}').stdout
    table = json.loads(g.get("/api/v1/status/table?destination=d").text)["table"]
    assert g.post(one1("up", job="node")).status == 204
    arrived(nodes[table[task]], "up")
    for path in ("", "?series=", "?series=up%7B", "?other=1"):
        assert g.get("/api/v1/explain" + path).status == 400, path
    assert g.request("POST", "/api/v1/explain", "[1]").status == 400


# --- what leaves: GW-TX-1, 2, 3, GW-TS-4 ---

def test_gw_tx_1_headers(start):
    answers = iter([500, 503])
    sink = start.receiver(lambda q: next(answers, 204))
    g = start(config(sink))
    assert g.post(one1()).status == 204
    wait_for("the third try", lambda: sink.stored)
    for i, q in enumerate(sink.requests):
        assert (q.headers["Content-Encoding"], q.headers["Content-Type"]) == ("snappy", RW1)
        assert q.headers["X-Prometheus-Remote-Write-Version"] == "0.1.0" and q.headers["User-Agent"].startswith("telamon-route/")
        assert q.headers["Retry-Attempt"] == (str(i) if i else None)
        assert q.headers["X-Telamon-Block"] == sink.requests[0].headers["X-Telamon-Block"] and q.headers["X-Telamon-Hops"] == "1"
    assert g.post(one2("two"), RW2).status == 204
    arrived(sink, "two")
    q = sink.stored[-1]
    assert q.headers["X-Prometheus-Remote-Write-Version"] == "2.0.0" and q.headers["Content-Type"] == RW2
    assert g.post(one1(), headers={"X-Telamon-Hops": "5"}).status == 400


def test_gw_tx_2_body_is_canonical(start):
    sink = start.receiver()
    g = start(config(sink, batch="{linger: 100ms}"))
    b, t = Body2(), now()
    for i in range(50):
        b.add([("zone", "z"), ("__name__", f"m{i % 5}"), ("i", str(i))], [(2.0, t + 1), (1.0, t)], metadata=(1, "help", "s"))
    assert g.post(b.bytes(), RW2).status == 204
    wait_for("all", lambda: len(sink.series()) == 50)
    for s in sink.series():  # symbols are checked while reading
        assert s.labels == sorted(s.labels) and len(set(dict(s.labels))) == 3
        assert s.values == [1.0, 2.0] and not s.histograms and s.metadata == (1, "help", "s")
    assert len(sink.requests) < 50


@pytest.mark.parametrize("protocol,sent,got", [("rw1", 2, 1), ("rw2", 1, 2), ("auto", 1, 1), ("auto", 2, 2)])
def test_gw_tx_2_protocols(start, protocol, sent, got):
    sink = start.receiver()
    g = start(config(sink, send=f"{{protocol: {protocol}}}"))
    assert (g.post(one1("p", job="j")) if sent == 1 else g.post(one2("p", job="j"), RW2)).status == 204
    arrived(sink, "p")
    assert [q.version for q in sink.requests] == [got] and sink.series()[0].labels == [("__name__", "p"), ("job", "j")]


def test_gw_tx_2_vm(start):
    """zstd; what does not know it gets snappy at once, and from then on."""
    sink = start.receiver()
    old = start.receiver(lambda q: 204 if q.headers["Content-Encoding"] == "snappy" else 400)
    for s, encodings in ((sink, ["zstd", "zstd"]), (old, ["zstd", "snappy", "snappy"])):
        g = start(config(s, send="{protocol: vm, lanes: 1}"))
        for name in ("a", "b"):
            assert g.post(one1(name)).status == 204
            arrived(s, name)
        assert [q.headers["Content-Encoding"] for q in s.requests] == encodings
        assert s.requests[0].headers["X-VictoriaMetrics-Remote-Write-Version"] == "1"
        assert read1(unzstd(s.requests[0].body))[0].labels == [("__name__", "a")]


def test_gw_tx_3_no_written_means_version_1(start):
    sink = start.receiver(written=False)
    g = start(config(sink, send="{protocol: auto, lanes: 1}"))
    assert g.post(one2("a"), RW2).status == 204
    wait_for("version 1", lambda: [q.version for q in sink.requests] == [2, 1])
    assert g.post(one2("b"), RW2).status == 204
    wait_for("no second try of version 2", lambda: [q.version for q in sink.requests] == [2, 1, 1])
    fixed = start.receiver(written=False)
    g = start(config(fixed, send="{protocol: rw2}"))
    assert g.post(one2("a"), RW2).status == 204
    wait_for("held", lambda: g.metric("telamon_route_breaker_state", node="n0") == 1)
    assert len(fixed.requests) == 1


# --- answers: GW-TX-7, 8, 11 ---

@pytest.mark.parametrize("status", [500, 502, 503, 504, 408, 425, 429, -1])
def test_gw_tx_7_tried_again(start, status):
    answers = iter([status] * 4)
    sink = start.receiver(lambda q: next(answers, 200))
    g = start(config(sink, send="{lanes: 1, retry: {min: 10ms, max: 60ms}, breaker: {failures: 50}}"))
    assert g.post(one1("again")).status == 204
    arrived(sink, "again")
    assert len(sink.requests) == 5 and len({q.body for q in sink.requests}) == 1
    assert [q.headers["Retry-Attempt"] for q in sink.requests] == [None, "1", "2", "3", "4"]


@pytest.mark.parametrize("status", [400, 409, 422, 418])
def test_gw_tx_7_dead_letter(start, status):
    sink = start.receiver(lambda q: (status, {}, b"never \x1b[1m again") if "bad" in q.names() else 204)
    g = start(config(sink, send="{lanes: 1}"))
    assert g.post(one1("bad", 7.0)).status == 204
    assert g.post(one1("good")).status == 204
    arrived(sink, "good")
    assert [q.names() for q in sink.requests] == [["bad"], ["good"]]
    dead = os.path.join(g.storage, "queue", "d", "n0", "dead")
    with open(os.path.join(dead, "index.jsonl"), encoding="utf-8") as f:
        line = json.loads(f.read())
    assert line["status"] == status and "again" in line["reason"] and "time" in line
    if status == 400:
        wait_for("the count", lambda: g.metric("telamon_route_queue_records_total", node="n0", event="dead") == 1)
    assert "\x1b" not in g.log()
    g.stop()
    other = start.receiver()
    telamon("route", "replay", dead, "--to", other.url)
    arrived(other, "bad")
    assert other.values() == [7.0]


@pytest.mark.parametrize("status", [401, 403, 404, 405, 407, 410, 301, 415])
def test_gw_tx_7_hold(start, status):
    """The node refuses all: nothing is lost, nothing is tried again before its time, a changed configuration tries at once."""
    sink = start.receiver(status)
    g = start(config(sink))
    assert g.post(one1("held")).status == 204
    wait_for("the hold", lambda: g.metric("telamon_route_breaker_state", node="n0") == 1)
    assert len(sink.requests) == 1
    sink.answer = 204
    assert g.reload(config(sink, send="{timeout: 9s}")).status == 200
    arrived(sink, "held")


def test_gw_tx_7_hold_of_nothing_is_a_dead_letter(start):
    sink = start.receiver(404)
    g = start(config(sink, send="{retry: {client_error_hold: 0}}"))
    assert g.post(one1()).status == 204
    wait_for("the dead letter", lambda: g.metric("telamon_route_queue_records_total", node="n0", event="dead") == 1)
    assert len(sink.requests) == 1


def test_gw_tx_7_413_halves(start):
    """More than three series are too many; a single one with a certain name is, too."""
    sink = start.receiver(lambda q: 413 if len(q.series) > 3 or "huge" in q.names() else 204)
    g = start(config(sink, send="{lanes: 1}"))
    body = b"".join(one1("huge" if i == 11 else f"s{i:02}", float(i)) for i in range(20))
    assert g.post(body).status == 204
    wait_for("all but one", lambda: len(sink.values()) == 19)
    assert sorted(sink.values()) == [float(i) for i in range(20) if i != 11]
    wait_for("the dead letter", lambda: g.metric("telamon_route_send_samples_total", node="n0", result="dead") == 1)


def test_gw_tx_7_415_steps_down(start):
    sink = start.receiver(lambda q: 415 if q.version == 2 else 204)
    g = start(config(sink, send="{lanes: 1}"))
    for name in ("a", "b"):
        assert g.post(one2(name), RW2).status == 204
        arrived(sink, name)
    assert [q.version for q in sink.requests] == [2, 1, 1]


def test_gw_tx_8_retry_after(start):
    answers = iter([(429, {"Retry-After": "2"}, b""), (503, {"Retry-After": time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(1))}, b"x" * 100_000)])
    sink = start.receiver(lambda q: next(answers, 204))
    g = start(config(sink, send="{retry: {min: 1ms, max: 5ms}}"))
    assert g.post(one1("late")).status == 204
    arrived(sink, "late")
    first, second, third = (q.at for q in sink.requests)
    assert second - first >= 1.99 and third >= second  # a lower bound: what the node asked for is kept


def test_gw_tx_8_backoff_grows(start):
    sink = start.receiver(500)
    g = start(config(sink, send="{lanes: 1, retry: {min: 20ms, max: 160ms}, breaker: {failures: 1000}}"))
    assert g.post(one1()).status == 204
    wait_for("tries", lambda: len(sink.requests) >= 7)
    at = [q.at for q in sink.requests]
    for i, (a, b) in enumerate(zip(at, at[1:])):
        assert b - a >= 0.75 * min(0.02 * 2 ** i, 0.16) - 0.003  # never sooner


def test_gw_tx_10_poison(start):
    """One series makes the node fail; the others of its block arrive, and it ends as a dead letter."""
    sink = start.receiver(lambda q: 500 if "poison" in q.names() else 204)
    g = start(config(sink, send="{lanes: 4, retry: {min: 1ms, max: 5ms, poison_attempts: 3}, breaker: {failures: 2, open: 1s, successes: 1}}"))
    assert g.post(b"".join(one1("poison" if i == 5 else "fine", float(i), i=str(i)) for i in range(40))).status == 204

    def settled():
        g.post(one1("other", 1000.0, i=str(time.monotonic())))
        return set(range(40)) - {5} <= set(map(int, sink.values())) and g.metric("telamon_route_send_samples_total", result="dead") == 1
    wait_for("the dead letter", settled, 30)
    assert 5.0 not in sink.values()


def test_gw_tx_10_poison_of_one_lane(start):
    """The one lane there is: its next block is the probe."""
    sink = start.receiver(lambda q: 500 if "poison" in q.names() else 204)
    g = start(config(sink, send="{lanes: 1, retry: {min: 1ms, max: 5ms, poison_attempts: 3}, breaker: {failures: 100}}"))
    assert g.post(b"".join(one1("poison" if i == 5 else "fine", float(i), i=str(i)) for i in range(40))).status == 204
    assert g.post(one1("behind", 100.0)).status == 204
    wait_for("all others", lambda: set(sink.values()) == set(map(float, range(40))) - {5.0} | {100.0})
    wait_for("the dead letter", lambda: g.metric("telamon_route_send_samples_total", node="n0", result="dead") == 1)


def test_gw_tx_12_redirect_loop(start):
    sink = start.receiver(lambda q: (307, {"Location": q.path}, b""))
    g = start(config(sink))
    assert g.post(one1()).status == 204
    wait_for("the hold", lambda: g.metric("telamon_route_breaker_state", node="n0") == 1)
    assert len(sink.requests) == 4  # the request and three hops


# --- reload: GW-TS-8, GW-LC-1, 2 ---

class Load(threading.Thread):
    """Posts one series after another, each with a value of its own; `failed` are answers other than 204."""

    def __init__(self, g, base=0):
        super().__init__(daemon=True)
        self.g, self.base, self.sent, self.failed, self.over = g, base, [], [], threading.Event()

    def run(self):
        for i in itertools.count(self.base):
            if self.over.is_set():
                return
            a = self.g.post(one1("load", float(i), now(), s=str(i % 7)))
            (self.sent if a.status == 204 else self.failed).append(float(i))

    def end(self):
        self.over.set()
        self.join()
        return self.sent


def test_gw_ts_8_reload_under_load(start):
    a, b, c = (start.receiver() for _ in range(3))
    g = start(config(a, b))
    loads = [Load(g, i * 1_000_000) for i in range(2)]
    for load in loads:
        load.start()
    try:
        for i in range(20):
            nodes = [[a, b], [b, a], [a, b, c], [a]][i % 4]
            assert g.reload(config(*nodes)).status == 200
            before = g.get("/api/v1/status/config").text
            bad = g.reload(config(*nodes) + "nonsense: 1\nroutes: 5\n")
            assert bad.status == 500 and "nonsense" in bad.text
            assert g.get("/api/v1/status/config").text == before
    finally:
        sent = [v for load in loads for v in load.end()]
    assert not any(load.failed for load in loads) and len(sent) > 20
    wait_for("all", lambda: set(sent) <= {v for r in (a, b, c) for v in r.values()})
    assert sorted(v for r in (a, b, c) for v in r.values()) == sorted(sent)  # nobody died: each exactly once
    wait_for("the metric", lambda: g.metric("telamon_route_config_last_reload_successful") == 0)
    assert g.process.poll() is None


def test_gw_lc_2_new_url_gets_the_queue(start):
    dead, new, third = f"http://127.0.0.1:{free_port()}/api/v1/write", start.receiver(), start.receiver()
    g = start(config(dead))
    for i in range(5):
        assert g.post(one1("moved", float(i))).status == 204
    assert g.reload(config(new)).status == 200
    wait_for("all", lambda: sorted(new.values()) == [0.0, 1.0, 2.0, 3.0, 4.0])
    # A node that is gone still gets what is its own.
    new.answer = 503
    for i in range(5, 8):
        assert g.post(one1("moved", float(i))).status == 204
    wait_for("a refusal", lambda: new.requests[-1].status == 503)
    assert g.reload(config(third).replace("name: n0", "name: n1")).status == 200
    assert g.post(one1("moved", 8.0)).status == 204
    new.answer = 204
    wait_for("the rest", lambda: sorted(new.values()) == list(map(float, range(8))))
    wait_for("the new one", lambda: third.values() == [8.0])


# --- stop: GW-LC-3 ---

def test_gw_lc_3_stop_with_dead_nodes(start):
    good, hang = start.receiver(), start.receiver()
    over = threading.Event()
    hang.answer = lambda q: (over.wait(30), 204)[1]
    dead = f"http://127.0.0.1:{free_port()}/api/v1/write"
    text = config(good, hang, dead, queue="{min_free_disk: 0, ack: memory}", batch="{linger: 5ms}")
    g = start(text, ["--shutdown.timeout=10s"])
    values = [float(i) for i in range(60)]
    for v in values:
        assert g.post(one1("keep", v, i=str(v))).status == 204
    assert g.stop(15) == 0
    over.set()
    hang.answer = 204
    # What was in memory alone is on disk now, and goes to the nodes of the next start.
    late = start.receiver()
    g.configure(text.replace(dead, late.url))
    g.start()
    wait_for("all", lambda: set(values) == {v for r in (good, hang, late) for v in r.values()})
    assert g.stop(15) == 0


def test_gw_lc_3_requests_in_work_are_answered(start):
    sink = start.receiver()
    g = start(config(sink, batch="{linger: 600ms}"))
    got = []
    t = threading.Thread(target=lambda: got.append(g.post(one1("waiting")).status))
    t.start()
    wait_for("the request", lambda: g.metric("stream_receive_in_flight") == 1 or got)
    assert g.stop(15) == 0
    t.join()
    assert got == [204]


def test_second_process_is_refused(start, tmp_path):
    g = start(config(start.receiver()))
    other = Gateway(tmp_path / "other", config(start.receiver()))
    other.storage = g.storage
    other.start(ready=False)
    assert other.process.wait(20) == 1 and str(g.process.pid) in other.log()


# --- documents of the original: GW-CF-5 ---

def test_gw_cf_5_compat(start):
    nodes = [start.receiver() for _ in range(3)]
    urls = json.dumps([n.url for n in nodes])
    g = start(f"""router_rules:
- router_name: vm
  upstreams: {{upstream_type: remotewriter, upstream_urls: {urls}}}
  hash_labels: {{mode: 100, labels: [], algorithm: hashmod}}
  metric_relabel_configs: [{{source_labels: [__name__], regex: "up|http_.*", action: keep}}]
""")
    series = [[("__name__", "up"), ("job", "node")], [("__name__", "up"), ("instance", "host1"), ("job", "api")],
              [("__name__", "http_requests_total"), ("code", "200"), ("instance", "10.0.0.1:9100"), ("job", "api")], [("__name__", "other"), ("job", "x")]]
    assert g.post(b"".join(series1(s, [(1.0, now())]) for s in series), path="/api/v1/receive").status == 204
    expect = [("12", 1), ("2", 2), ("61", 2)]  # GW-SH-2: task by mod 100, node by mod 3
    wait_for("three", lambda: sum(len(n.series()) for n in nodes) == 3)
    for labels, (task, node) in zip(series, expect):
        assert sorted(labels + [("stream_task_id", task)]) in [s.labels for s in nodes[node].series()]
    assert not nodes[0].requests
    stats = json.loads(g.get("/stats").text)["data"]
    assert stats["vm"]["total_requests"] >= 2
    wait_for("the count", lambda: g.metric("stream_router_timeseries_total", route_name="vm") == 3)


# --- sums: GW-RO-5 ---

def test_gw_ro_5_sums(start):
    sink = start.receiver(lambda q: 400 if any(n.startswith("dead") for n in q.names()) else 204)
    away = f"http://127.0.0.1:{free_port()}/api/v1/write"
    text = config(sink, away, top="""time_window: {max_age: 1h, max_ahead: 1h}
relabel_configs: [{source_labels: [__name__], regex: "global_drop", action: drop}]
routing: {mode: all, default_route: rest}""", routes="""- {name: first, destination: d, match: ['{job="a"}'], stop: true}
- {name: second, destination: d, match: ['{job=~"a|b"}'], relabel_configs: [{source_labels: [__name__], regex: "no.*", action: drop}]}
- {name: rest, destination: d}""", batch="{linger: 0s}")
    g = start(text)
    t, n = now(), 0
    names = ["x", "dead", "no", "global_drop"]
    for i, (name, job, age) in enumerate(itertools.product(names, "abc", (0, 2 * 3600_000, -2 * 3600_000))):
        assert g.post(series1([("__name__", name), ("i", str(i)), ("job", job)], [(float(i), t - age)])).status == 204
        n += 1
    bad = b"".join(series1([("job", "x")], [(1.0, t)]) for _ in range(3)) + one1("x", job="b")
    assert g.post(bad).status == 400
    n += 4

    def total(name, **labels):
        return int(m(name, labels))

    def m(name, labels):
        return sum(v for k, v in page.items() if k.split("{")[0] == name and all(f'{a}="{b}"' in k for a, b in labels.items()))
    page = {}

    def settled():
        page.clear()
        page.update(g.metrics())
        return total("telamon_route_received_total", version="rw1", kind="series") == n and not total("telamon_route_queue_blocks", node="n0")
    wait_for("rest", settled)
    time.sleep(1.2)  # every figure is carried over once a second
    assert settled()
    routed = {r: sum(total("telamon_route_route_samples_total", route=r, result=x) for x in ("accepted", "dropped", "unmatched", "skipped"))
              for r in ("first", "second", "rest")}
    before = sum(int(v) for k, v in page.items() if k.startswith("telamon_route_dropped_samples_total{") and 'stage="route"' not in k
                 and not any(f'route="{r}"' in k for r in routed))
    assert before == 24 + 3
    for r in routed:
        assert n == 3 + before + routed[r], (r, routed)
    for node in ("n0", "n1"):
        events = {e: total("telamon_route_queue_records_total", node=node, event=e) for e in ("enqueued", "sent", "dropped", "dead", "expired")}
        pending = total("telamon_route_queue_blocks", node=node)
        assert events["enqueued"] == events["sent"] + events["dropped"] + events["dead"] + events["expired"] + pending, (node, events, pending)
    assert total("telamon_route_queue_records_total", event="dead") and total("telamon_route_queue_blocks", node="n1")


def test_gw_ro_2_no_route_is_taken(start):
    sink = start.receiver()
    g = start(config(sink, routes="- {name: only, destination: d, match: ['{job=\"a\"}']}"))
    a = g.post(Body2().add([("__name__", "u"), ("job", "b")], [(1.0, now())], [], []).bytes(), RW2)
    assert (a.status, a.written()) == (204, ["1", "0", "0"])
    wait_for("the count", lambda: g.metric("telamon_route_dropped_samples_total", reason="no_route") == 1)
    assert not sink.requests


def test_gw_ro_1_each_route_has_its_own_copy(start):
    a, b = start.receiver(), start.receiver()
    g = start(f"""destinations:
- {{name: a, nodes: [{{name: n, url: "{a.url}"}}], add_labels: {{dc: one}}}}
- {{name: b, nodes: [{{name: n, url: "{b.url}"}}]}}
routes:
- {{name: ra, destination: a, relabel_configs: [{{target_label: job, replacement: changed}}]}}
- {{name: rb, destination: b}}
""")
    h = histogram(now())
    assert g.post(series1([("__name__", "c"), ("job", "j")], [(1.0, now())]) + series1([("__name__", "h")], [], sub(4, h))).status == 204
    wait_for("both", lambda: len(a.series()) == 2 and len(b.series()) == 2)
    assert sorted(s.labels for s in a.series()) == [[("__name__", "c"), ("dc", "one"), ("job", "changed")], [("__name__", "h"), ("dc", "one"), ("job", "changed")]]
    assert sorted(s.labels for s in b.series()) == [[("__name__", "c"), ("job", "j")], [("__name__", "h")]]


# --- gateways behind gateways: GW-RO-4 ---

def test_gw_ro_4_hops(start):
    sink = start.receiver()
    last = start(config(sink))
    first = start(config(f"{last.url}/api/v1/write"))
    assert first.post(one1("up")).status == 204
    wait_for("it", lambda: sink.stored)
    assert sink.stored[0].headers["X-Telamon-Hops"] == "2"
    for hops, status in (("0", 204), ("4", 204), ("5", 400), ("4000000000", 400), ("-1", 400), ("x", 400)):
        answer = last.post(one1("up"), headers={"X-Telamon-Hops": hops})
        assert answer.status == status, hops
        assert status == 204 or answer.text.startswith("hops:"), answer.text
    # A ring ends by itself.
    port = free_port()
    ring = start(config(f"http://127.0.0.1:{port}/api/v1/write"), port=port)
    assert ring.post(one1("round")).status == 204
    wait_for("the end", lambda: ring.metric("telamon_route_queue_records_total", event="dead") == 1)
    wait_for("an empty queue", lambda: ring.metric("telamon_route_queue_blocks") == 0)
    assert ring.metric("telamon_route_received_total", kind="series") == 5
