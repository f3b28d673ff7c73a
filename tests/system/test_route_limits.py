# SPDX-License-Identifier: Apache-2.0
"""What limits refuse: slow and many connections, hostile bodies, too many samples a second. Others are served all the while."""

import random
import resource
import select
import socket
import threading
import time

import pytest

from conftest import free_port, wait_for
from route_common import RW1, RW2, Body2, Gateway, Receiver, config, label1, now, one1, sample1, series1, snappy, sub, varint, zstd

REFUSED = "telamon_route_limit_refused_total"
HEAD = b"POST /api/v1/write HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\n"


@pytest.fixture(scope="module")
def sink():
    receiver = Receiver()
    yield receiver
    receiver.stop()


@pytest.fixture
def start(tmp_path, sink):
    made = []

    def make(top="", options=(), **more):
        made.append(Gateway(tmp_path, config(sink, top=top, **more), options).start())
        made[-1].sink = sink
        return made[-1]
    yield make
    for g in made:
        g.clean_up()


def connect(g, data=b"", source=None):
    s = socket.socket()
    s.settimeout(30)
    if source:
        s.bind((source, 0))
    s.connect(("127.0.0.1", g.port))
    if data:
        s.sendall(data)
    return s


def closed(s):
    """Is the stream at its end, or reset? What came before it is read and thrown away."""
    s.setblocking(False)
    try:
        while True:
            if s.recv(65536) == b"":
                return True
    except BlockingIOError:
        return False
    except OSError:
        return True
    finally:
        s.settimeout(30)


def ask(s, body=None):
    """One request on a connection that stays open: the status."""
    body = snappy(one1("kept")) if body is None else body
    s.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body)
    return int(s.recv(65536).split()[1])


# --- slow ones: GW-SC-3 ---

def test_header_timeout(start):
    g = start("receive: {header_timeout: 1s, idle_timeout: 5m}")
    silent, half, dripping, kept = connect(g), connect(g, HEAD), connect(g), connect(g)
    assert ask(kept) == 204
    over = threading.Event()

    def drip():
        while not over.wait(0.1):
            try:
                dripping.sendall(b"P")
            except OSError:
                return
    t = threading.Thread(target=drip, daemon=True)
    t.start()
    try:
        wait_for("the end of those that bring no headers", lambda: closed(silent) and closed(half), 15)
        t.join(15)
        assert not t.is_alive()
        wait_for("the count", lambda: g.metric(REFUSED, limit="header_timeout") == 3)
        assert ask(kept) == 204  # who had asked before may be silent
        # The next request of a connection has its time, too.
        kept.sendall(HEAD)
        wait_for("its end", lambda: closed(kept), 15)
        wait_for("the count", lambda: g.metric(REFUSED, limit="header_timeout") == 4)
    finally:
        over.set()


def test_min_body_rate(start):
    g = start("receive: {header_timeout: 1s, min_body_rate: 10KiB, idle_timeout: 5m}")
    body = snappy(b"".join(one1("steady", float(i), i="x" * 1000 + str(i)) for i in range(700)))
    stalled = connect(g, HEAD + b"Content-Length: 1000000\r\n\r\n" + bytes(100))
    dripping = connect(g, HEAD + b"Content-Length: 1000000\r\n\r\n")
    chunked = connect(g, HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
    steady = connect(g, HEAD + b"Content-Length: %d\r\n\r\n" % len(body))
    at = 0
    while at < len(body):  # longer than all timeouts, at ten times the rate
        steady.sendall(body[at:at + 20_000])
        at += 20_000
        for s, data in ((dripping, b"x"), (chunked, b"1\r\nx\r\n")):
            try:
                s.sendall(data)
            except OSError:
                pass
        time.sleep(0.2)
    assert int(steady.recv(1000).split()[1]) == 204
    wait_for("the end of the others", lambda: closed(stalled) and closed(dripping) and closed(chunked), 15)
    wait_for("the count", lambda: g.metric(REFUSED, limit="min_body_rate") == 3)
    assert g.metric(REFUSED, limit="header_timeout") == 0


def test_idle_timeout(start):
    g = start("receive: {idle_timeout: 1s, header_timeout: 5m}")
    kept, new = connect(g), connect(g)
    assert ask(kept) == 204
    wait_for("the end of the idle one", lambda: closed(kept), 15)
    wait_for("the count", lambda: g.metric(REFUSED, limit="idle_timeout") >= 1)
    assert not closed(new)  # has not asked yet: its headers have five minutes


# --- many: GW-RX-17 ---

def open_connections(g):
    try:
        return g.metric("telamon_route_connections")
    except OSError:  # no room for the question either
        return None


def test_connections(start):
    g = start("limits: {connections: 12, connections_per_ip: 8}")
    first = [connect(g, source="127.0.0.2") for _ in range(11)]
    second = [connect(g, source="127.0.0.3") for _ in range(6)]
    wait_for("refusals", lambda: sum(map(closed, first)) >= 3 and sum(map(closed, second)) >= 2)
    served = [s for s in first if not closed(s)], [s for s in second if not closed(s)]
    assert len(served[0]) == 8 and 3 <= len(served[1]) <= 4  # one may have been that of the start
    assert all(ask(s) == 204 for s in served[0] + served[1])
    for s in served[0]:
        s.close()
    wait_for("room", lambda: open_connections(g) is not None and open_connections(g) <= 6)
    wait_for("the counts", lambda: (g.metric(REFUSED, limit="connections_per_ip"), g.metric(REFUSED, limit="connections") >= 2) == (3, True))


def test_connections_are_those_of_all_addresses(start):
    port = free_port()
    g = start("limits: {connections: 6, connections_per_ip: 0}", [f"--web.listen-address=127.0.0.1:{port}"])
    held = [connect(g) for _ in range(4)] + [socket.create_connection(("127.0.0.1", port)) for _ in range(4)]
    wait_for("refusals", lambda: 2 <= sum(map(closed, held)) <= 3)  # one may have been that of the start
    assert not closed(held[0])


def test_limits_of_series_are_counted_by_their_names(start):
    g = start("limits: {series_per_request: 5, samples_per_request: 10, symbols_per_request: 20, labels_per_series: 4, label_name_bytes: 10, "
              "label_value_bytes: 20, series_bytes: 256B}")
    t, name = now(), ("__name__", "m")
    bad = {"labels_per_series": [name] + [(f"l{i}", "v") for i in range(6)], "label_name_bytes": [name, ("n" * 11, "v")],
           "label_value_bytes": [name, ("n", "v" * 21)]}
    for labels in bad.values():
        assert g.post(series1(labels, [(1.0, t)])).status == 400
        assert g.post(Body2().add(labels, [(1.0, t)]).bytes(), RW2).status == 400
    assert g.post(b"".join(one1("m", i=str(i)) for i in range(6))).status == 413
    assert g.post(series1([name], [(1.0, i) for i in range(11)])).status == 413
    b = Body2()
    for i in range(30):
        b.ref(str(i))
    assert g.post(b.add([name], [(1.0, t)]).bytes(), RW2).status == 413
    want = {**{k: 2 for k in bad}, "series_per_request": 1, "samples_per_request": 1, "symbols_per_request": 1}
    wait_for("the counts", lambda: {k: g.metric(REFUSED, limit=k) for k in want} == want)


def test_bodies_are_counted_by_their_limits(start):
    g = start("receive: {max_body: 64KiB, max_decompressed: 64KiB}")
    assert g.post(bytes(70_000), raw=True).status == 413
    assert g.request("POST", "/api/v1/write", (bytes(10_000) for _ in range(9)), {"Content-Type": RW1}).status == 413
    assert g.post(zstd(bytes(1 << 20)), RW1, "zstd", raw=True).status == 413
    wait_for("the counts", lambda: (g.metric(REFUSED, limit="max_body"), g.metric(REFUSED, limit="max_decompressed")) == (2, 1))


# --- samples a second: GW-RX-18 ---

TENANTS = "  tenant: {from_request: true}\n"


def many(n, name="rate"):
    return b"".join(one1(name, float(i), i=str(i)) for i in range(n))


def test_rate_of_tenants(start):
    g = start("limits: {samples_per_second: 50, tenants: 2}", destination=TENANTS)

    def post(tenant, n=1):
        return g.post(many(n), headers={"X-Scope-OrgID": tenant} if tenant else {})
    assert post("a", 300).status == 204
    a = post("a")
    assert a.status == 429 and int(a.headers["Retry-After"]) in (4, 5)  # 200 too many, 50 a second
    assert post(None, 300).status == 204 and post(None).status == 429
    assert post("b", 300).status == 204 and post("b").status == 429
    # Two are told apart; the others share one.
    assert post("c", 300).status == 204 and post("d").status == 429
    wait_for("the counts", lambda: (g.metric(REFUSED, limit="samples_per_second"), g.metric(REFUSED, limit="tenants")) == (4, 2))
    wait_for("tokens of a", lambda: post("a").status == 204)
    assert post("x" * 256).status == 400


def test_rate_without_tenants_is_one(start):
    g = start("limits: {samples_per_second: 50, rate_status: 503}")
    assert g.post(many(200), headers={"X-Scope-OrgID": "a"}).status == 204
    a = g.post(many(1), headers={"X-Scope-OrgID": "b"})
    assert a.status == 503 and int(a.headers["Retry-After"]) >= 1
    # A reload changes the limit for what comes next.
    g.configure(config(g.sink, top="limits: {samples_per_second: 0}"))
    assert g.reload().status == 200
    assert g.post(many(1)).status == 204


def test_each_destination_has_the_tenant_of_its_own_header(start, sink):
    other = Receiver()
    try:
        text = ("destinations:\n"
                f"- {{name: a, tenant: {{from_request: true}}, batch: {{linger: 5ms}}, nodes: [{{name: n, url: '{sink.url}'}}]}}\n"
                "- {name: b, tenant: {from_request: true, header: X-Other}, batch: {linger: 5ms}, "
                f"nodes: [{{name: n, url: '{other.url}'}}]}}\n"
                "routes: [{name: a, destination: a}, {name: b, destination: b}]\n")
        g = start()
        assert g.reload(text).status == 200
        assert g.post(one1("both"), headers={"X-Scope-OrgID": "one", "X-Other": "two"}).status == 204
        assert g.post(one1("alone"), headers={"X-Scope-OrgID": "one"}).status == 204
        wait_for("all", lambda: "alone" in [n for r in sink.requests for n in r.names()] and len(other.requests) == 2)
        tenants = {n: r.headers["X-Scope-OrgID"] for r in sink.requests for n in r.names()}
        assert tenants["both"] == tenants["alone"] == "one"
        assert {n: r.headers["X-Other"] for r in other.requests for n in r.names()} == {"both": "two", "alone": None}
    finally:
        other.stop()


# --- all bodies together, and how soon to come again ---

def test_max_inflight(start):
    g = start("receive: {max_body: 1MiB, max_decompressed: 1MiB, max_inflight: 1MiB, min_body_rate: 0}")
    part = HEAD + b"Content-Length: 1000000\r\n\r\n" + bytes(700_000)
    first = connect(g, part)
    wait_for("the body", lambda: g.metric("stream_receive_in_flight") == 1)
    big = snappy(one1("big", x="y" * 4000) * 100)
    assert len(big) < 500_000
    time.sleep(0.5)
    a = g.post(big, raw=True)
    assert a.status == 503 and 1 <= int(a.headers["Retry-After"]) <= 30 and "too many bodies" in a.text
    assert g.post(one1("small")).status == 204  # there is room for that
    wait_for("the count", lambda: g.metric(REFUSED, limit="max_inflight") == 1)
    first.close()
    wait_for("room", lambda: g.post(big, raw=True).status == 204)


def test_retry_after_by_fill(tmp_path):
    away = Receiver()
    away.answer = 503
    g = Gateway(tmp_path, config(away, queue="{min_free_disk: 0, disk: 1MiB, segment: 1MiB, memory: 64KiB}")).start()
    try:
        draw, seconds, taken = random.Random(1), [], 0

        def fill(n=300, size=40):
            nonlocal taken
            a = g.post(b"".join(one1("fill", draw.random(), i=draw.randbytes(size).hex()) for i in range(n)))
            taken += n if a.status == 204 else 0
            return a
        while len(seconds) < 3:
            a = fill()
            if a.status == 503:
                seconds.append(int(a.headers["Retry-After"]))
            else:
                assert a.status == 204
        assert all(20 <= s <= 30 for s in seconds)
        # An empty queue has room, though its last file has not got its size.
        away.answer = 204
        wait_for("an empty queue", lambda: len(away.values()) == taken, 30)
        wait_for("room", lambda: fill().status == 204)
        wait_for("an empty queue", lambda: len(away.values()) == taken, 30)
        # A body that never fits may come again soon: others have room.
        a = fill(1200, 500)
        assert (a.status, a.headers["Retry-After"]) == (503, "1")
    finally:
        g.clean_up()
        away.stop()


# --- tokens: GW-SC-1 ---

def test_bearer_tokens(start, tmp_path):
    file = tmp_path / "tokens"
    file.write_text("correct horse\nsecond\n", encoding="ascii")
    g = start(f"receive: {{bearer_token_files: ['{file}']}}")

    def post(value, path="/api/v1/write"):
        return g.post(one1("token"), path=path, headers={"Authorization": value} if value else {})
    for path in ("/api/v1/write", "/api/v1/receive"):
        for right in ("Bearer correct horse", "bearer second", "Bearer   second"):
            assert post(right, path).status == 204
        for wrong in (None, "", "Bearer", "Bearer ", "Bearer wrong", "Bearer correct", "Basic c2Vjb25k", "second"):
            a = post(wrong, path)
            assert (a.status, a.headers["WWW-Authenticate"]) == (401, "Bearer"), wrong
    assert g.get("/-/ready").status == 200 and g.get("/metrics").status == 200
    wait_for("the count", lambda: g.metric("stream_receive_requests_total", status_code="401") == 16)
    text = g.get("/api/v1/status/config").text + g.get("/metrics").text + g.log()
    assert "correct horse" not in text and "Bearer wrong" not in text


def test_no_token_file_no_start(start, tmp_path, sink):
    for text, why in (("\n\n", "holds no token"), (None, "No such file")):
        file = tmp_path / "tokens"
        if text:
            file.write_text(text, encoding="ascii")
        g = Gateway(tmp_path / "bad", config(sink, top=f"receive: {{bearer_token_files: ['{file}']}}")).start(ready=False)
        assert g.process.wait(20) == 1 and why in g.log()
        file.unlink(missing_ok=True)
