# SPDX-License-Identifier: Apache-2.0
"""What the gateway does as a sender: answers of every kind, redirects, names, TLS, HTTP/2, proxies, dead letters (GW-TS-4, GW-TX-7 to 12)."""

import contextlib
import email.utils
import json
import os
import random
import socket
import ssl
import subprocess
import threading
import time

import pytest

from conftest import free_port, telamon, wait_for
from route_chaos import fill, queue_records, segments, small_tmpfs, world  # noqa: F401  pylint: disable=unused-import
from route_common import RW1, RW2, config, one1, one2, read1, unsnappy

ONE_LANE = "{lanes: 1, retry: {min: 5ms, max: 40ms}, breaker: {failures: 1000}}"


def settled(g, **labels):
    return wait_for("an empty queue", lambda: g.metric("telamon_route_queue_blocks", **labels) == 0 and g.metric("telamon_route_queue_records_total") > 0)


# --- answers ---

BODIES = {"empty": b"", "zeros": bytes(3_000_000), "html": b"<html>" * 50_000, "escapes": b"\x1b[2J\r\n\"quote\\" * 300, "utf8": "ä\ud7ff".encode() * 4000}


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("status", [200, 400, 500])
def test_gw_tx_12_bodies_of_answers(world, status, body):
    """They are read to 4 KiB for the log and never believed."""
    answers = iter([(status, {"Content-Type": "application/json", "X-Junk": "x" * 5000}, BODIES[body])])
    sink = world.receiver(lambda q: next(answers, 204))
    g = world.gateway(config(sink, send=ONE_LANE))
    for i in range(2):
        assert g.post(one1(f"m{i}")).status == 204
    settled(g)
    assert [q.names() for q in sink.stored] == {200: [["m0"], ["m1"]], 400: [["m1"]], 500: [["m0"], ["m1"]]}[status]
    assert len(sink.requests) == 2 + (status == 500)
    assert "\x1b" not in g.log() and len(g.log()) < 20000


def test_gw_tx_7_partial_write(world):
    """Version 2 and fewer written than were sent: that is no reason to send it again, and it is counted."""
    sink = world.receiver(lambda q: (200, {"X-Prometheus-Remote-Write-Samples-Written": "0"}, b""))
    g = world.gateway(config(sink))
    assert g.post(one2("less"), RW2).status == 204
    wait_for("the count", lambda: g.metric("telamon_route_send_samples_total", result="partial") == 1)
    assert len(sink.requests) == 1


def test_gw_tx_7_415_down_to_the_bottom(world):
    """zstd, then snappy, then nothing is left: held, not lost; version 2, then version 1."""
    sink = world.receiver(415)
    g = world.gateway(config(sink, send="{protocol: vm, lanes: 1}"))
    assert g.post(one1("vm")).status == 204
    wait_for("the hold", lambda: g.metric("telamon_route_breaker_state") == 1)
    assert [q.headers["Content-Encoding"] for q in sink.requests] == ["zstd", "snappy"] and not sink.stored
    two = world.receiver(415)
    g = world.gateway(config(two, send="{lanes: 1}"), directory="two")
    assert g.post(one2("two"), RW2).status == 204
    wait_for("the hold", lambda: g.metric("telamon_route_breaker_state") == 1)
    assert [q.version for q in two.requests] == [2, 1] and g.metric("telamon_route_queue_blocks") == 1


@pytest.mark.parametrize("first", [413, 415, 400, 308])
def test_gw_tx_9_half_open_goes_on(world, first):
    """The one request of a half-open breaker is answered with neither success nor failure of the node: sending goes on."""
    state = {"n": 0}

    def answer(q):
        state["n"] += 1
        if state["n"] == 1:
            return 500
        if first == 413:
            return 413 if len(q.series) > 1 else 204
        if first == 415:
            return 415 if q.version == 2 else 204
        if first == 308 and q.path == "/api/v1/write":
            return 308, {"Location": "/other"}, b""
        return 400 if first == 400 and "bad" in q.names() else 204
    sink = world.receiver(answer)
    g = world.gateway(config(sink, send="{lanes: 2, retry: {min: 5ms, max: 10ms}, breaker: {failures: 1, open: 1s, successes: 2}}"))
    body = b"".join(one1("bad", float(i), i=str(i)) for i in range(8)) if first != 415 else one2("bad")
    assert g.post(body, RW2 if first == 415 else RW1).status == 204
    wait_for("the open breaker", lambda: sink.requests)
    for i in range(8):
        assert g.post(one1("good", float(100 + i), i=str(i))).status == 204
    settled(g)
    wait_for("closed", lambda: g.metric("telamon_route_breaker_state") == 0)
    assert {float(100 + i) for i in range(8)} <= set(sink.values())


# --- waits ---

def test_gw_tx_8_retry_after_holds_for_the_node(world):
    """Nothing is sent to the node before its time, on no lane; another node does not care."""
    state = {"until": 0.0}

    def answer(_):
        if not state["until"]:
            state["until"] = time.monotonic() + 2
            return 429, {"Retry-After": "2"}, b""
        return 204
    sink, other = world.receiver(answer), world.receiver()
    text = config(sink, send="{lanes: 8}") + "- {name: other, destination: e}\n"
    g = world.gateway(text.replace("routes:", f'- {{name: e, nodes: [{{name: n0, url: "{other.url}"}}]}}\nroutes:'))
    assert g.post(one1("first")).status == 204
    wait_for("the answer", lambda: state["until"] and sink.requests[0].status == 429)
    time.sleep(0.05)  # it has reached the gateway
    for i in range(40):
        assert g.post(one1("later", float(i), i=str(i))).status == 204
    wait_for("the other node", lambda: len(other.values()) == 41)
    assert len(sink.requests) == 1
    wait_for("all", lambda: len(sink.values()) == 41)
    assert all(q.at >= state["until"] - 0.02 for q in sink.requests[1:])


@pytest.mark.parametrize("value", ["2", "date", "86400", "-5", "soon", "Thu, 99 Foo 2026 00:00:00 GMT", ""])
def test_gw_tx_8_retry_after_values(world, value):
    """Seconds, HTTP dates, capped at retry_after_max; what cannot be read is no wait."""
    text = email.utils.formatdate(time.time() + 3, usegmt=True) if value == "date" else value
    answers = iter([(503, {"Retry-After": text}, b"")])
    sink = world.receiver(lambda q: next(answers, 204))
    g = world.gateway(config(sink, send="{lanes: 1, retry: {min: 5ms, max: 10ms, retry_after_max: 3s}}"))
    assert g.post(one1("r")).status == 204
    wait_for("it", lambda: sink.stored)
    waited = sink.requests[1].at - sink.requests[0].at
    assert waited >= {"2": 1.95, "date": 1.9, "86400": 2.95}.get(value, 0)


# --- redirects, names, proxies ---

def test_gw_tx_12_redirects_within_the_host(world):
    """307 and 308, by path and by URL, three hops: the same body and headers arrive at the end."""
    places = {"/api/v1/write": (307, "/a"), "/a": (308, "b?x=1"), "/b?x=1": (307, None)}
    sink = world.receiver()
    sink.answer = lambda q: (places[q.path][0], {"Location": places[q.path][1] or f"http://127.0.0.1:{sink.port}/end"}, b"") if q.path in places else 204
    g = world.gateway(config(sink, send="{lanes: 1}", destination="  headers: {X-Mine: kept}\n"))
    assert g.post(one1("moved")).status == 204
    wait_for("the end", lambda: sink.stored)
    assert [q.path for q in sink.requests] == ["/api/v1/write", "/a", "/b?x=1", "/end"]
    assert len({q.body for q in sink.requests}) == 1 and {q.headers["X-Mine"] for q in sink.requests} == {"kept"}


@pytest.mark.parametrize("to", ["http://localhost:{other}/x", "http://127.0.0.1:{other}/x", "https://127.0.0.1:{own}/x", "file:///etc/passwd", "//[", ""])
def test_gw_tx_12_redirects_elsewhere_are_refused(world, to):
    """Another host, port or scheme would get our credentials."""
    other, sink = world.receiver(), world.receiver()
    sink.answer = lambda q: (308, {"Location": to.format(other=other.port, own=sink.port)}, b"")
    g = world.gateway(config(sink, destination="  basic_auth: {username: u, password: p}\n"))
    assert g.post(one1("kept")).status == 204
    wait_for("the hold", lambda: g.metric("telamon_route_breaker_state") == 1)
    assert not other.requests and len(sink.requests) == 1 and g.metric("telamon_route_queue_blocks") == 1


def test_gw_tx_12_names_and_proxies(world):
    """A name is resolved; a proxy of the environment is not asked, nor is ~/.netrc."""
    sink, proxy = world.receiver(), world.receiver()
    env = {**os.environ, "HOME": str(world.directory), **{k: f"http://127.0.0.1:{proxy.port}" for k in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY")}}
    (world.directory / ".netrc").write_text("machine localhost login thief password secret\n", encoding="utf-8")
    g = world.gateway(config(f"http://localhost:{sink.port}/api/v1/write"), env=env)
    assert g.post(one1("direct")).status == 204
    wait_for("it", lambda: sink.stored)
    assert not proxy.requests and sink.requests[0].headers["Host"] == f"localhost:{sink.port}" and "Authorization" not in sink.requests[0].headers


# --- TLS ---

@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """A CA, a server certificate for gw.internal, a client certificate."""
    d = tmp_path_factory.mktemp("tls")

    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], cwd=d, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=test ca", "-keyout", "ca.key", "-out", "ca.pem")
    for name, extra in (("server", "subjectAltName=DNS:gw.internal"), ("client", "extendedKeyUsage=clientAuth")):
        (d / "ext").write_text(extra + "\n", encoding="ascii")
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.csr")
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "ext", "-out", f"{name}.pem")
    return d


def server_context(certificates, client=False, maximum=None, alpn=None):
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    c.load_cert_chain(certificates / "server.pem", certificates / "server.key")
    if client:
        c.verify_mode = ssl.CERT_REQUIRED
        c.load_verify_locations(certificates / "ca.pem")
    if maximum:
        c.maximum_version = maximum
    if alpn:
        c.set_alpn_protocols(alpn)
    return c


def tls_config(certificates, more="", ca=True, name="gw.internal"):
    return (f"  tls_config: {{{f'ca_file: {certificates}/ca.pem, ' if ca else ''}{f'server_name: {name}, ' if name else ''}{more}}}\n").replace(", }", "}")


def test_gw_sc_1_tls_out(world, certificates):
    """Verified, by the name that is configured; the URL stays what it is."""
    names = []
    context = server_context(certificates)
    context.sni_callback = lambda sock, name, ctx: names.append(name)
    sink = world.receiver(tls=context)
    g = world.gateway(config(sink, destination=tls_config(certificates)))
    assert g.post(one1("tls")).status == 204
    wait_for("it", lambda: sink.stored)
    assert set(names) == {"gw.internal"} and sink.requests[0].headers["Host"] == f"127.0.0.1:{sink.port}"
    # Redirects within the host keep the name.
    sink.answer = lambda q: 204 if q.path == "/end" else (307, {"Location": f"https://127.0.0.1:{sink.port}/end"}, b"")
    assert g.post(one1("moved")).status == 204
    wait_for("the end", lambda: [q.path for q in sink.stored][-1] == "/end")


BAD_TLS = {"unknown ca": {"ca": False}, "other name": {"name": "other.internal"}, "no name": {"name": None}, "version": {"more": "min_version: TLS13"}}


@pytest.mark.parametrize("how", BAD_TLS)
def test_gw_tx_7_tls_failures_are_retried(world, certificates, how):
    """Nothing is sent over a connection that cannot be trusted, nothing is lost, and the reason is told; a changed configuration helps."""
    sink = world.receiver(tls=server_context(certificates, maximum=ssl.TLSVersion.TLSv1_2 if how == "version" else None))
    send = "{retry: {min: 5ms, max: 20ms}, breaker: {failures: 2, open: 1s}}"
    g = world.gateway(config(sink, send=send, destination=tls_config(certificates, **BAD_TLS[how])))
    assert g.post(one1("secret")).status == 204
    wait_for("tries", lambda: g.metric("telamon_route_send_requests_total", code="error") >= 2)
    wait_for("the breaker", lambda: g.metric("telamon_route_breaker_state") >= 1)
    assert not sink.requests and g.metric("telamon_route_queue_blocks") == 1
    assert "SSL" in g.log() or "certificate" in g.log().lower()
    good = "  tls_config: {insecure_skip_verify: true}\n" if how == "unknown ca" else tls_config(certificates)
    assert g.reload(config(sink, send=send, destination=good)).status == 200
    wait_for("it", lambda: sink.stored)


def test_gw_sc_1_client_certificate(world, certificates):
    sink = world.receiver(tls=server_context(certificates, client=True))
    send = "{retry: {min: 5ms, max: 20ms}, breaker: {failures: 2, open: 1s}}"
    g = world.gateway(config(sink, send=send, destination=tls_config(certificates)))
    assert g.post(one1("anonymous")).status == 204
    wait_for("a failure", lambda: g.metric("telamon_route_send_requests_total", code="error") >= 1)
    assert not sink.requests
    more = f"cert_file: {certificates}/client.pem, key_file: {certificates}/client.key"
    assert g.reload(config(sink, send=send, destination=tls_config(certificates, more))).status == 200
    wait_for("it", lambda: sink.stored)


class Http2:
    """As much of a server as one request a stream needs: frames, no header of the request is looked at. Answers 204."""

    def __init__(self, context):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port, self.context, self.bodies, self.connections = self.listener.getsockname()[1], context, [], 0
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        with contextlib.suppress(OSError, EOFError), self.context.wrap_socket(connection, server_side=True) as s:
            f, bodies = s.makefile("rb"), {}
            assert s.selected_alpn_protocol() == "h2" and f.read(24) == b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
            self.connections += 1
            s.sendall(self.frame(4, 0, 0, b""))
            while True:
                head = f.read(9)
                if len(head) < 9:
                    return
                size, kind, flags, stream = int.from_bytes(head[:3], "big"), head[3], head[4], int.from_bytes(head[5:], "big")
                data = f.read(size)
                if kind == 4 and not flags & 1:
                    s.sendall(self.frame(4, 1, 0, b""))
                if kind == 0:
                    bodies[stream] = bodies.get(stream, b"") + data
                if kind == 0 and flags & 1:
                    self.bodies.append(bodies.pop(stream))
                    s.sendall(self.frame(1, 5, stream, b"\x89"))  # :status 204

    @staticmethod
    def frame(kind, flags, stream, data):
        return len(data).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + data

    def stop(self):
        self.listener.close()


def test_gw_tx_12_http_2(world, certificates):
    """HTTP/2 where it is offered: all lanes on one connection."""
    server = world.keep(Http2(server_context(certificates, alpn=["h2", "http/1.1"])), "stop")
    g = world.gateway(config(f"https://127.0.0.1:{server.port}/api/v1/write", destination=tls_config(certificates)))
    for i in range(40):
        assert g.post(one1("h2", float(i), i=str(i))).status == 204
    settled(g)
    assert sorted(v for b in server.bodies for s in read1(unsnappy(b)) for v in s.values) == [float(i) for i in range(40)]
    assert server.connections < len(server.bodies)


# --- dead letters ---

def test_gw_tx_10_several_poisons(world):
    """Three of 300 series make the node fail: they end in dead/, alone or nearly so, the rest arrives, and it does not take many requests."""
    bad = {float(i) for i in (7, 8, 211)}
    sink = world.receiver(lambda q: 500 if bad & set(q.values) else 204)
    g = world.gateway(config(sink, send="{lanes: 1, retry: {min: 1ms, max: 5ms, poison_attempts: 3}, breaker: {failures: 1000}}"))
    assert g.post(b"".join(one1("p", float(i), i=str(i)) for i in range(300))).status == 204
    assert g.post(one1("behind", 1000.0)).status == 204
    settled(g)
    assert set(sink.values()) == {float(i) for i in range(300)} - bad | {1000.0}
    dead = os.path.join(g.storage, "queue", "d", "n0", "dead")
    assert sorted(v for r in queue_records(dead) for v in r.values) == sorted(bad)
    with open(os.path.join(dead, "index.jsonl"), encoding="utf-8") as f:
        lines = [json.loads(line) for line in f]
    assert len(lines) == 3 and all(line["status"] == 500 and 'i="' in line["series"] for line in lines)


def test_gw_tx_11_dead_letters_are_bounded_and_replayed(world):
    """The oldest make room for the newest, and are counted; what is left is replayed and arrives once."""
    sink, rng, n = world.receiver(400), random.Random(4), 120
    g = world.gateway(config(sink, queue="{min_free_disk: 0, dead_letter: 64KiB}", send=ONE_LANE, batch="{linger: 0s}"))
    for i in range(n):
        assert g.post(one1("dead", float(i), pad=rng.randbytes(700).hex())).status == 204
    settled(g)
    dead = os.path.join(g.storage, "queue", "d", "n0", "dead")
    assert sum(os.path.getsize(p) for p in segments(dead)) <= 64 * 1024
    left = sorted(v for r in queue_records(dead) for v in r.values)
    assert left == [float(i) for i in range(n - len(left), n)] and 20 < len(left) < n
    wait_for("the count", lambda: g.metric("telamon_route_queue_records_total", event="dead_dropped") == n - len(left))
    assert g.metric("telamon_route_queue_records_total", event="dead") == n
    g.stop()
    sink.answer = 204
    done = telamon("route", "replay", dead, "--to", sink.url)
    assert done.returncode == 0 and sorted(sink.values()) == left, done.stdout + done.stderr
    assert not segments(dead) and telamon("route", "replay", dead, "--to", sink.url).returncode == 0
    assert sorted(sink.values()) == left


def test_gw_tx_11_no_dead_letter_without_room(world):
    """The disk is full: a block that is refused for good stays in the queue until its letter can be written."""
    sink = world.receiver(400)
    g = world.gateway(config(sink, queue="{min_free_disk: 0, ack: memory}", send=ONE_LANE), start=False)
    with small_tmpfs(world.directory / "small", "2m") as small:
        g.storage = str(small / "storage")
        g.start()
        fill(small / "ballast")
        assert g.post(one1("kept", 5.0, pad="x" * 4000)).status == 204
        wait_for("an error", lambda: g.metric("telamon_route_queue_errors_total") >= 1)
        assert g.metric("telamon_route_queue_blocks") == 1 and g.metric("telamon_route_queue_records_total", event="dead") == 0
        (small / "ballast").unlink()
        settled(g)
        assert [v for r in queue_records(os.path.join(g.storage, "queue", "d", "n0", "dead")) for v in r.values] == [5.0]
        assert g.stop() == 0


def test_gw_tx_7_too_large_is_learnt(world):
    """A node that refuses what is over 3,000 bytes gets smaller requests at once afterwards, and whole ones again after a change."""
    sink, rng = world.receiver(lambda q: 413 if len(q.body) > 3000 else 204), random.Random(6)
    g = world.gateway(config(sink, send="{lanes: 1}"))

    def post(first):
        assert g.post(b"".join(one1("large", float(first + i), pad=rng.randbytes(30).hex()) for i in range(120))).status == 204
        settled(g)
        wait_for("all", lambda: len(sink.values()) == first + 120)
    post(0)
    assert any(q.status == 413 for q in sink.requests)
    seen = len(sink.requests)
    post(120)
    assert all(q.status == 204 for q in sink.requests[seen:]) and len(sink.requests) - seen > 2
    assert g.metric("telamon_route_send_samples_total", result="dead") == 0


def test_gw_tx_7_max_age_holds_while_the_node_is_away(world):
    """What is too old goes, also the block that is tried again and again, and what was never taken; what is young enough stays."""
    away = f"http://127.0.0.1:{free_port()}/api/v1/write"
    g = world.gateway(config(away, queue="{min_free_disk: 0, max_age: 2s}"))
    for i in range(30):
        assert g.post(one1("old", float(i), i=str(i))).status == 204
    settled(g)
    wait_for("the count", lambda: g.metric("telamon_route_dropped_samples_total", reason="expired") == 30)
