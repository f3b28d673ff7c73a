# SPDX-License-Identifier: Apache-2.0
"""TLS and users by the exporter-toolkit's file: who gets in, what a reload changes, which errors are told."""

import base64
import json
import os
import re
import signal
import socket
import ssl
import urllib.error
import urllib.request

import pytest

from conftest import AGENT, TELAMON, Agent, need, run, wait_for

# bcrypt of "open sesame" and of "changed", cost 4
SESAME = "$2b$04$m87/Z1ByN7tPgG3p9FclkudY15aU8a96fJAE5uWDSnxEwHPBGtp/q"
CHANGED = "$2b$04$SbGSp7nbegWd9msz.gA/2uKJ9/vB99YOaVb.iEAw1NjqKtXoeIiR."


def openssl(directory, *arguments):
    done = run("openssl", *arguments, cwd=directory)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    """root → intermediate → server.crt (with its chain), and a client's certificate."""
    need("openssl")
    d = tmp_path_factory.mktemp("pki")
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    ca = ["-addext", "basicConstraints=critical,CA:TRUE"]
    openssl(d, "req", "-x509", *key, "-keyout", "root.key", "-out", "root.crt", "-days", "2", "-subj", "/CN=root", *ca)
    openssl(d, "req", "-x509", *key, "-keyout", "other.key", "-out", "other.crt", "-days", "2", "-subj", "/CN=other", *ca)
    (d / "ca.ext").write_text("basicConstraints=critical,CA:TRUE\n", encoding="ascii")
    (d / "host.ext").write_text("subjectAltName=IP:127.0.0.1\n", encoding="ascii")
    for name, issuer, ext in (("middle", "root", "ca.ext"), ("server", "middle", "host.ext"),
                              ("second", "middle", "host.ext"), ("client", "root", "host.ext")):
        openssl(d, "req", *key, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        openssl(d, "x509", "-req", "-in", f"{name}.csr", "-CA", f"{issuer}.crt", "-CAkey", f"{issuer}.key",
                "-CAcreateserial", "-out", f"{name}.crt", "-days", "2", "-extfile", ext)
    for name in ("server", "second"):
        chain = (d / f"{name}.crt").read_text("ascii") + (d / "middle.crt").read_text("ascii")
        (d / f"{name}.crt").write_text(chain, encoding="ascii")
    return d


class WebAgent(Agent):
    """An agent with a web configuration, asked by a client that only trusts the root."""

    def __init__(self, directory, text, pki):
        self.web_file = os.path.join(directory, "web.yml")
        self.pki = pki
        self.user = self.client_cert = None
        self.write_web(text)
        super().__init__(directory, "oom: {enabled: false}\n", options=[f"--web.config.file={self.web_file}"])
        if "cert_file" in text:
            self.url = self.url.replace("http:", "https:")

    def write_web(self, text):
        with open(self.web_file, "w", encoding="utf-8") as f:
            f.write(text.replace("@PKI@", str(self.pki)))

    def context(self, version=None):
        c = ssl.create_default_context(cafile=os.path.join(self.pki, "root.crt"))
        if version:
            c.minimum_version = c.maximum_version = version
        if self.client_cert:
            c.load_cert_chain(os.path.join(self.pki, self.client_cert + ".crt"),
                              os.path.join(self.pki, self.client_cert + ".key"))
        return c

    def get(self, path, headers=None, timeout=20, user=None, method="GET"):
        headers = dict(headers or {})
        user = user or self.user
        if user:
            headers["Authorization"] = "Basic " + base64.b64encode(user.encode()).decode()
        request = urllib.request.Request(self.url + path, headers=headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=timeout, context=self.context()) as reply:
                return reply.status, reply.read().decode("utf-8", "replace")
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode("utf-8", "replace")

    def common_name(self):
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as s:
            with self.context().wrap_socket(s, server_hostname="127.0.0.1") as t:
                return dict(x[0] for x in t.getpeercert()["subject"])["commonName"]


@pytest.fixture
def web_agent(tmp_path, pki):
    agents = []

    def make(text, ready=True, **kwargs):
        agent = WebAgent(str(tmp_path), text, pki)
        for key, value in kwargs.items():
            setattr(agent, key, value)
        agents.append(agent)
        return agent.start(ready)

    yield make
    for agent in agents:
        agent.stop()


TLS = "tls_server_config: {cert_file: @PKI@/server.crt, key_file: @PKI@/server.key}\n"
USERS = f"basic_auth_users: {{me: {SESAME}}}\n"


def test_users(web_agent):
    agent = web_agent(USERS, user="me:open sesame")
    for route in ("/metrics", "/-/healthy", "/api/v1/events", "/"):
        assert agent.get(route)[0] == 200
    for bad in ("me:open", "me:", ":open sesame", "you:open sesame", "me:open sesame ", "ME:open sesame", "x" * 600 + ":y"):
        assert agent.get("/metrics", user=bad)[0] == 401, bad
    agent.user = None
    for header in (None, "Basic", "Basic ", "Basic !!!!", "Bearer x", "Basic bWU6b3BlbiBzZXNhbWUAeA==", "Basic bWU="):
        headers = {"Authorization": header} if header else {}
        assert agent.get("/metrics", headers)[0] == 401, header
        assert agent.get("/-/healthy", headers)[0] == 401
    agent.user = "me:open sesame"
    wait_for("the count", lambda: agent.metric("telamon_http_auth_failures_total") >= 21)
    assert SESAME not in agent.log() and "sesame" not in agent.log()


def test_users_change_by_reload(web_agent):
    agent = web_agent(USERS, user="me:open sesame")
    agent.write_web(f"basic_auth_users: {{me: {CHANGED}}}\n")
    agent.signal(signal.SIGHUP)
    wait_for("the new password", lambda: agent.get("/-/ready", user="me:changed")[0] == 200)
    assert agent.get("/-/ready")[0] == 401, "the old one was remembered"
    agent.write_web("basic_auth_users: {me: changed}\n")
    agent.user = "me:changed"
    assert agent.get("/-/reload", method="POST")[0] == 500
    assert re.search(r"web\.yml:1:\d+: basic_auth_users\.me: is not a bcrypt hash", agent.log()), agent.log()
    assert agent.get("/-/ready")[0] == 200
    wait_for("the metric", lambda: agent.metric("telamon_config_last_reload_successful") == 0)
    agent.write_web("")
    assert agent.get("/-/reload", method="POST")[0] == 200
    agent.user = None
    assert agent.get("/-/ready")[0] == 200


def test_tls_with_its_chain(web_agent):
    """The client knows the root only: it needs the intermediate certificate from us."""
    agent = web_agent(TLS)
    assert agent.common_name() == "server"
    assert agent.get("/api/v1/events")[0] == 200
    with socket.create_connection(("127.0.0.1", agent.port), timeout=20) as s:
        s.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        assert not s.recv(100).startswith(b"HTTP/1.1 200"), "no plain HTTP beside TLS"


def test_certificate_changes_by_reload(web_agent):
    agent = web_agent(TLS)
    agent.write_web(TLS.replace("server", "second").replace("tls_second", "tls_server"))
    assert agent.get("/-/reload", method="POST")[0] == 200
    assert agent.common_name() == "second"
    agent.write_web(TLS.replace("server.key", "second.key"))
    assert agent.get("/-/reload", method="POST")[0] == 500
    assert "server.key" in agent.log() or "second.key" in agent.log()
    assert agent.common_name() == "second"
    agent.write_web("")
    assert agent.get("/-/reload", method="POST")[0] == 500
    assert "by a restart only" in agent.log()
    assert agent.common_name() == "second"


@pytest.mark.parametrize("bounds, offered", [
    ("", {"TLSv1_2", "TLSv1_3"}),
    (", min_version: TLS13", {"TLSv1_3"}),
    (", max_version: TLS12", {"TLSv1_2"}),
])
def test_versions(web_agent, bounds, offered):
    agent = web_agent(TLS.replace("}", bounds + "}"))
    for version in ("TLSv1_2", "TLSv1_3"):
        context = agent.context(getattr(ssl.TLSVersion, version))
        with socket.create_connection(("127.0.0.1", agent.port), timeout=20) as s:
            try:
                with context.wrap_socket(s, server_hostname="127.0.0.1") as t:
                    t.sendall(b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n")
                    taken = t.recv(100).startswith(b"HTTP/1.1 200")
            except (ssl.SSLError, ConnectionResetError):
                taken = False
        assert taken == (version in offered), version


CLIENTS = TLS.replace("}", ", client_auth_type: RequireAndVerifyClientCert, client_ca_file: @PKI@/root.crt}")


def test_client_certificates(web_agent):
    agent = web_agent(CLIENTS, client_cert="client")
    assert agent.get("/metrics")[0] == 200
    for stranger in (None, "other"):
        agent.client_cert = stranger
        try:
            assert agent.get("/metrics")[0] == 403, stranger
        except (urllib.error.URLError, ConnectionError, ssl.SSLError):
            pass  # refused in the handshake already


def test_headers(web_agent):
    agent = web_agent("http_server_config: {headers: {X-Frame-Options: deny, Strict-Transport-Security: max-age=1}}\n")
    with urllib.request.urlopen(agent.url + "/metrics", timeout=20) as reply:
        assert reply.headers["X-Frame-Options"] == "deny" and reply.headers["Strict-Transport-Security"] == "max-age=1"


@pytest.mark.parametrize("text, what", [
    ("basic_auth_users: {me: secret}\n", r"web\.yml:1:\d+: basic_auth_users\.me: is not a bcrypt hash"),
    ("basic_auth_user: {}\n", r"web\.yml:1:1: .*basic_auth_users"),
    ("tls_server_config: {cert_file: none.crt, key_file: none.key}\n", r"cannot read '.*/none\.crt'"),
    ("tls_server_config: {cert_file: @PKI@/server.crt}\n", "come together"),
    ("tls_server_config: {cert_file: @PKI@/server.key, key_file: @PKI@/server.key}\n", r"server\.key"),
    ("tls_server_config: {cert_file: @PKI@/server.crt, key_file: @PKI@/client.key}\n", r"client\.key"),
    (TLS.replace("}", ", client_auth_type: RequireAndVerifyClientCert}"), "client_ca_file"),
    (TLS.replace("}", ", min_version: TLS13, max_version: TLS12}"), "max_version"),
    ("tls_server_config: {min_version: SSL3}\n", r"web\.yml:1:\d+: .*SSL3"),
    ("{\n", r"web\.yml:2:"),
])
def test_errors_end_the_start(tmp_path, pki, text, what):
    web = tmp_path / "web.yml"
    web.write_text(text.replace("@PKI@", str(pki)), encoding="utf-8")
    config = tmp_path / "agent.yaml"
    config.write_text(f"paths: {{run: {tmp_path}/run}}\noom: {{enabled: false}}\n"
                      f"events: {{journal: {{path: {tmp_path}/j.db}}}}\n", encoding="utf-8")
    for options in (["--config.check"], ["--web.listen-address=127.0.0.1:0"]):
        done = run(AGENT, f"--config.file={config}", f"--web.config.file={web}", *options, timeout=60)
        assert done.returncode == 1 and re.search(what, done.stderr), done.stderr
        assert "secret" not in done.stderr


def test_the_commands_with_tls_and_user(web_agent, tmp_path):
    """telamon's --http.config.file is the other half."""
    agent = web_agent(TLS + USERS, user="me:open sesame")
    client = tmp_path / "client.yml"
    client.write_text(f"basic_auth: {{username: me, password: open sesame}}\ntls_config: {{ca_file: {agent.pki}/root.crt}}\n",
                      encoding="utf-8")
    posted = run(TELAMON, "events", "test", "--url", agent.url, "--http.config.file", client)
    assert posted.returncode == 0, posted.stderr
    assert json.loads(posted.stdout.splitlines()[0])["result"] == "delivered"
    done = run(TELAMON, "events", "--type", "alert", "--url", agent.url, "--http.config.file", client, "--format", "json")
    assert done.returncode == 0 and json.loads(done.stdout)["telamon.alert.test"] is True
    client.write_text(f"basic_auth: {{username: me, password: wrong}}\ntls_config: {{ca_file: {agent.pki}/root.crt}}\n",
                      encoding="utf-8")
    done = run(TELAMON, "events", "--url", agent.url, "--http.config.file", client)
    assert done.returncode == 3 and "401" in done.stderr
    done = run(TELAMON, "events", "--url", agent.url)
    assert done.returncode == 3 and "certificate" in done.stderr.lower()
