# SPDX-License-Identifier: Apache-2.0
"""Certificates, users, tokens and passwords that change while the gateway works; what a reload leaves alone; who gets in."""

import base64
import contextlib
import http.client
import os
import signal
import socket
import ssl
import threading
import time

import pytest

from conftest import wait_for
from route_common import RW1, Answer, Gateway, Receiver, config, one1, snappy
from test_web_config import CHANGED, SESAME, pki  # noqa: F401  pylint: disable=unused-import

RELOADS = "telamon_route_file_reloads_total"


@pytest.fixture(scope="module")
def sink():
    receiver = Receiver()
    yield receiver
    receiver.stop()


def publish(directory, files):
    """As Kubernetes does: a new directory, and one link that is swapped."""
    fresh = directory / f"..{time.time_ns()}"
    fresh.mkdir(parents=True)
    for name, source in files.items():
        (fresh / name).write_bytes(source if isinstance(source, bytes) else source.read_bytes())
        with contextlib.suppress(FileExistsError):
            (directory / name).symlink_to(os.path.join("..data", name))
    (directory / "..new").symlink_to(fresh.name)
    os.rename(directory / "..new", directory / "..data")
    return directory


class Secure(Gateway):
    """Asked by TLS; `client` is the name of a certificate of the pki, `user` a pair or a whole header."""

    def __init__(self, directory, text, web, pki, options=()):  # noqa: F811
        self.pki, self.client, self.authorization, self.ca = pki, None, None, "root.crt"
        os.makedirs(directory, exist_ok=True)
        self.web_file = os.path.join(directory, "web.yml")
        with open(self.web_file, "w", encoding="utf-8") as f:
            f.write(web)
        self.tls = "cert_file" in web
        super().__init__(directory, text, [f"--web.config.file={self.web_file}", *options])

    def is_ready(self):  # who may not ask cannot be told
        assert self.process.poll() is None, self.log()
        return "is ready" in self.log()

    def context(self):
        c = ssl.create_default_context(cafile=self.pki / self.ca)
        if self.client:
            c.load_cert_chain(self.pki / f"{self.client}.crt", self.pki / f"{self.client}.key")
        return c

    def connection(self, timeout=30):
        if not self.tls:
            return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=timeout, context=self.context())

    def request(self, method, path, body=None, headers=None, timeout=30):
        headers = dict(headers or {})
        if self.authorization:
            headers.setdefault("Authorization", self.authorization)
        c = self.connection(timeout)
        try:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                c.request(method, path, body, headers)
            return Answer(c.getresponse())
        finally:
            c.close()

    def common_name(self):
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as s:
            with self.context().wrap_socket(s, server_hostname="127.0.0.1") as t:
                return dict(x[0] for x in t.getpeercert()["subject"])["commonName"]


def basic(pair):
    return "Basic " + base64.b64encode(pair.encode()).decode()


@pytest.fixture
def start(tmp_path, sink, pki):  # noqa: F811
    made = []

    def make(web="", top="", text=None, options=()):
        made.append(Secure(str(tmp_path / "g"), text or config(sink, top=top), web, pki, options).start())
        return made[-1]
    yield make
    for g in made:
        g.clean_up()


class Keep(threading.Thread):
    """Posts on one connection all the while: it must not be dropped."""

    def __init__(self, g):
        super().__init__(daemon=True)
        self.g, self.over, self.statuses, self.error, self.connection = g, threading.Event(), [], None, g.connection()

    def run(self):
        body = snappy(one1("kept"))
        try:
            while not self.over.wait(0.02):
                self.connection.request("POST", "/api/v1/write", body, {"Content-Type": RW1})
                answer = self.connection.getresponse()
                answer.read()
                self.statuses.append(answer.status)
        except (OSError, http.client.HTTPException) as e:
            self.error = e

    def end(self):
        self.over.set()
        self.join(20)
        assert not self.error and self.statuses and set(self.statuses) == {204}


# --- the server's side ---

def test_certificate_changes_by_itself(start, tmp_path, pki):  # noqa: F811
    d = publish(tmp_path / "tls", {"tls.crt": pki / "server.crt", "tls.key": pki / "server.key"})
    g = start(f"tls_server_config: {{cert_file: {d}/tls.crt, key_file: {d}/tls.key}}\n")
    assert g.common_name() == "server"
    keep = Keep(g)
    keep.start()
    publish(d, {"tls.crt": pki / "second.crt", "tls.key": pki / "second.key"})
    wait_for("the new certificate", lambda: g.common_name() == "second")
    # What does not belong together, or is nothing at all, changes nothing.
    for bad in ({"tls.crt": pki / "server.crt", "tls.key": pki / "second.key"}, {"tls.crt": b"garbage", "tls.key": b""}):
        before = g.metric(RELOADS, kind="web", result="error")
        publish(d, bad)
        wait_for("the failure", lambda n=before: g.metric(RELOADS, kind="web", result="error") == n + 1)
        assert g.common_name() == "second" and "stay as they were" in g.log()
    publish(d, {"tls.crt": pki / "server.crt", "tls.key": pki / "server.key"})
    wait_for("the certificate again", lambda: g.common_name() == "server")
    keep.end()
    wait_for("the count", lambda: g.metric(RELOADS, kind="web", result="ok") == 2)


def test_files_that_are_written_one_after_the_other(start, tmp_path, pki):  # noqa: F811
    cert, key = tmp_path / "c.pem", tmp_path / "k.pem"
    cert.write_bytes((pki / "server.crt").read_bytes())
    key.write_bytes((pki / "server.key").read_bytes())
    g = start(f"tls_server_config: {{cert_file: {cert}, key_file: {key}}}\n")
    cert.write_bytes((pki / "second.crt").read_bytes())
    key.write_bytes((pki / "second.key").read_bytes())
    wait_for("the new certificate", lambda: g.common_name() == "second")


def test_users_and_tokens_change_by_themselves(start, tmp_path):
    tokens = publish(tmp_path / "tokens", {"t": b"old\n"})
    g = start(f"basic_auth_users: {{me: {SESAME}}}\n", f"receive: {{bearer_token_files: ['{tokens}/t']}}")

    def status(authorization, method="POST"):
        g.authorization = authorization
        a = g.post(one1("who")) if method == "POST" else g.get("/metrics")
        return a.status
    # Where there are users and tokens either will do for samples, users alone for the rest.
    assert (status("Bearer old"), status(basic("me:open sesame"))) == (204, 204)
    assert (status("Bearer old", "GET"), status(basic("me:open sesame"), "GET")) == (401, 200)
    g.authorization = None
    a = g.post(one1("who"))
    assert a.status == 401 and a.headers.get_all("WWW-Authenticate") == ["Basic", "Bearer"]
    publish(tokens, {"t": b"new\nsecond\n"})
    wait_for("the new token", lambda: status("Bearer new") == 204)
    assert (status("Bearer old"), status("Bearer second")) == (401, 204)
    publish(tokens, {"t": b"\n"})
    g.authorization = basic("me:open sesame")
    wait_for("the failure", lambda: g.metric(RELOADS, kind="tokens", result="error") == 1)
    assert status("Bearer new") == 204
    with open(g.web_file, "w", encoding="utf-8") as f:
        f.write(f"basic_auth_users: {{me: {CHANGED}}}\n")
    wait_for("the new user", lambda: status(basic("me:changed")) == 204)
    assert status(basic("me:open sesame")) == 401
    # SIGHUP does not wait for a look.
    publish(tokens, {"t": b"third\n"})
    g.process.send_signal(signal.SIGHUP)
    wait_for("the third token", lambda: status("Bearer third") == 204)


def test_client_certificates(start, tmp_path, pki):  # noqa: F811
    d = publish(tmp_path / "tls", {"ca.crt": pki / "root.crt"})
    tls = f"cert_file: {pki}/server.crt, key_file: {pki}/server.key, client_auth_type: RequireAndVerifyClientCert, client_ca_file: {d}/ca.crt"
    g = start(f"tls_server_config: {{{tls}}}\n")

    def status(client):
        g.client = client
        return g.post(one1("cert")).status
    assert (status(None), status("client"), status("other")) == (403, 204, 403)
    # Other authorities, without a restart.
    publish(d, {"ca.crt": pki / "other.crt"})
    wait_for("the new authority", lambda: status("client") == 403)
    publish(d, {"ca.crt": b"nothing"})
    g.client = "other"
    time.sleep(2.5)
    assert status("client") == 403
    publish(d, {"ca.crt": pki / "root.crt"})
    wait_for("the old authority", lambda: status("client") == 204)
    # Of those that are verified, only some.
    with open(g.web_file, "w", encoding="utf-8") as f:
        f.write(f"tls_server_config: {{{tls}, client_allowed_sans: [10.0.0.1, someone]}}\n")
    wait_for("the names", lambda: status("client") == 403)
    with open(g.web_file, "w", encoding="utf-8") as f:
        f.write(f"tls_server_config: {{{tls}, client_allowed_sans: [10.0.0.1, 127.0.0.1]}}\n")
    wait_for("the names", lambda: status("client") == 204)
    g.client = "client"
    wait_for("the count", lambda: g.metric("stream_receive_requests_total", status_code="403") >= 3)


# --- the nodes' side ---

class SecureReceiver(Receiver):
    def __init__(self, pki, name="server", client_ca=None, **more):  # noqa: F811
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(pki / f"{name}.crt", pki / f"{name}.key")
        if client_ca:
            self.context.verify_mode = ssl.CERT_REQUIRED
            self.context.load_verify_locations(pki / client_ca)
        super().__init__(**more)
        self.url = self.url.replace("http:", "https:")

    def start(self):
        super().start()
        self.server.socket = self.context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)


def test_password_of_a_node_changes(start, tmp_path):
    node = Receiver(lambda q: 204 if q.headers["Authorization"] == basic("me:right") else 401)
    try:
        d = publish(tmp_path / "secret", {"password": b"wrong\n"})
        g = start(text=config(node, destination=f"  basic_auth: {{username: me, password_file: {d}/password}}\n"))
        assert g.post(one1("held")).status == 204
        wait_for("a refusal", lambda: node.requests)
        publish(d, {"password": b"right\n"})  # the hold is five minutes: nobody waits for that
        wait_for("the sample", lambda: node.stored)
        publish(d, {"password": b""})
        wait_for("the count", lambda: g.metric(RELOADS, kind="node", result="error") >= 1)
        assert g.post(one1("still")).status == 204
        wait_for("the sample", lambda: len(node.stored) == 2)
        assert "right" not in g.log() + g.get("/metrics").text + g.get("/api/v1/status/config").text
    finally:
        node.stop()


def test_certificates_of_a_node_change(start, tmp_path, pki):  # noqa: F811
    node = SecureReceiver(pki, client_ca="root.crt")
    try:
        d = publish(tmp_path / "tls", {"ca": pki / "other.crt", "crt": pki / "other.crt", "key": pki / "other.key"})
        tls = f"  tls_config: {{ca_file: {d}/ca, cert_file: {d}/crt, key_file: {d}/key}}\n"
        g = start(text=config(node, destination=tls))
        assert g.post(one1("far")).status == 204
        wait_for("errors", lambda: g.metric("telamon_route_send_requests_total", code="error") >= 1)
        assert not node.requests
        publish(d, {"ca": pki / "root.crt", "crt": pki / "client.crt", "key": pki / "client.key"})
        wait_for("the sample", lambda: node.stored)
        # What is wrong changes nothing, not even for new connections.
        publish(d, {"ca": b"garbage", "crt": pki / "client.crt", "key": pki / "other.key"})
        wait_for("the count", lambda: g.metric(RELOADS, kind="node", result="error") >= 1)
        for c in node.connections:
            with contextlib.suppress(OSError):
                c.shutdown(socket.SHUT_RDWR)
        assert g.post(one1("again")).status == 204
        wait_for("the sample", lambda: len(node.stored) == 2)
    finally:
        node.stop()


# --- what a reload leaves alone: GW-LC-2, GW-EP-5 ---

def test_gw_lc_2_breakers_of_unchanged_nodes_stay(start):
    node, other = Receiver(401), Receiver()
    try:
        text = config(node, destination="  add_labels: {dc: one}\n")
        g = start(text=text)
        assert g.post(one1("held")).status == 204
        wait_for("the hold", lambda: g.metric("telamon_route_breaker_state", node="n0") == 1)
        n = len(node.requests)
        assert g.reload(text.replace("dc: one", "dc: two").replace("linger: 5ms", "linger: 6ms")).status == 200
        assert g.reload().status == 200
        assert g.post(one1("held")).status == 204
        time.sleep(1.5)
        assert len(node.requests) == n and g.metric("telamon_route_breaker_state", node="n0") == 1
        # Other credentials: tried at once.
        assert g.reload(text + "").status == 200
        node.answer = 204
        assert g.reload(text.replace("  nodes:", "  authorization: {credentials: other}\n  nodes:")).status == 200
        wait_for("both", lambda: sorted(v for q in node.stored for v in q.values) == [1.0, 1.0])
    finally:
        node.stop()
        other.stop()


def test_gw_lc_2_decisions_of_unchanged_routes_stay(start, sink):
    rules = "relabel_configs: [{source_labels: [job], regex: '(a|b).*', target_label: x, replacement: '$1'}]"
    routes = f"- {{name: one, destination: d, {rules}}}\n- {{name: two, destination: d, match: '{{job=\"z\"}}'}}\n"
    g = start(text=config(sink, routes=routes))
    body = b"".join(one1("cached", job=f"a{i}") for i in range(50))

    def misses():
        return (g.metric("telamon_route_relabel_cache_misses_total", route="one"), g.metric("telamon_route_relabel_cache_misses_total", route="two"))
    for _ in range(20):  # either worker sees it
        assert g.post(body).status == 204
    wait_for("decisions", lambda: misses()[0] in (50, 100))
    time.sleep(1.2)
    before = misses()
    assert g.reload(config(sink, routes=routes.replace('"z"', '"y"'))).status == 200
    for _ in range(20):
        assert g.post(body).status == 204
    wait_for("decisions of the other route", lambda: misses()[1] > before[1])
    time.sleep(1.2)
    after = misses()
    assert after[0] <= 100 and after[0] - before[0] in (0, 50 if before[0] == 50 else 0)
    assert after[1] - before[1] >= 50
    # The rule itself changes: decided anew.
    assert g.reload(config(sink, routes=routes.replace("a|b", "a|c"))).status == 200
    assert g.post(body).status == 204
    wait_for("decisions", lambda: misses()[0] >= after[0] + 50)


def test_gw_ep_5_a_reload_that_fails_changes_no_node(start, tmp_path):
    old, new, third = Receiver(), Receiver(), Receiver()
    try:
        def text(url, more=""):
            return (f"destinations:\n- {{name: a, batch: {{linger: 5ms}}, nodes: [{{name: n, url: '{url}'}}]}}\n"
                    f"- {{name: b, batch: {{linger: 5ms}}, nodes: [{{name: n, url: '{third.url}'}}, {{name: m, url: '{third.url}'}}]{more}}}\n"
                    "routes: [{name: a, destination: a}]\n")
        g = start(text=text(old.url))
        for more, why in ((f", shard: {{table_file: {tmp_path}/none.json}}", "none.json"),
                          (f", tls_config: {{ca_file: {tmp_path}/none.pem}}", "none.pem")):
            a = g.reload(text(new.url, more))
            assert a.status == 500 and why in a.text
            assert g.post(one1("stays")).status == 204
        wait_for("both", lambda: len(old.values()) == 2)
        assert not new.requests
        assert g.reload(text(new.url)).status == 200
        assert g.post(one1("goes")).status == 204
        wait_for("the third", lambda: new.values() == [1.0])
    finally:
        for r in (old, new, third):
            r.stop()


def test_what_needs_a_restart_is_told(start, sink):
    g = start()
    assert g.reload(config(sink, top="limits: {connections: 77}\nreceive: {header_timeout: 3s}")).status == 200
    assert "limits.connections has changed: it needs a restart" in g.log() and "receive.header_timeout has changed" in g.log()
