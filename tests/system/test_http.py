# SPDX-License-Identifier: Apache-2.0
"""The HTTP surface: metrics, health, methods, who may ask, limits."""

import http.client
import re
import select
import shutil
import socket
import subprocess

import pytest

from conftest import need, run, wait_for

TEXT = "text/plain; version=0.0.4"
OPENMETRICS = "application/openmetrics-text; version=1.0.0"


def ask(agent, method, target, headers=None, body=None, source=None, host="127.0.0.1"):
    """(status, headers, body) without any help of a library that would tidy up the target."""
    connection = http.client.HTTPConnection(host, agent.port, timeout=20,
                                            source_address=(source, 0) if source else None)
    try:
        connection.putrequest(method, target, skip_accept_encoding=True)
        for name, value in (headers or {}).items():
            connection.putheader(name, value)
        if body is not None:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        reply = connection.getresponse()
        return reply.status, {k.lower(): v for k, v in reply.getheaders()}, reply.read().decode("utf-8", "replace")
    finally:
        connection.close()


@pytest.mark.parametrize("accept, content_type", [
    (None, TEXT),
    ("*/*", TEXT),
    ("text/plain", TEXT),
    ("text/html", TEXT),
    ("application/openmetrics-text", OPENMETRICS),
    ("application/openmetrics-text; version=1.0.0", OPENMETRICS),
    # What Prometheus 2.x and 3.x send.
    ("application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
     "text/plain;version=0.0.4;q=0.5,*/*;q=0.1", OPENMETRICS),
    ("text/plain;version=0.0.4;q=0.9,application/openmetrics-text;version=1.0.0;q=0.2", TEXT),
    ("application/openmetrics-text;q=0, text/plain", TEXT),
    ("nonsense;;;q=,,", TEXT),
])
def test_negotiation(shared_agent, accept, content_type):
    status, headers, body = ask(shared_agent, "GET", "/metrics", {"Accept": accept} if accept else {})
    assert status == 200
    assert headers["content-type"].startswith(content_type)
    assert body.endswith("# EOF\n") == (content_type == OPENMETRICS)


def test_promtool_accepts_the_metrics(shared_agent):
    need("promtool")
    checked = subprocess.run(["promtool", "check", "metrics"], input=shared_agent.get("/metrics")[1], text=True,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60, check=False)
    # The names with which all programs describe their process are not ours to lint.
    complaints = [line for line in checked.stdout.splitlines() if not line.startswith("process_")]
    assert checked.returncode in (0, 3) and not complaints, checked.stdout


def test_openmetrics_is_well_formed(shared_agent):
    """What the format asks for beyond the text format: one block a family, suffixes by type, the end mark once."""
    body = ask(shared_agent, "GET", "/metrics", {"Accept": OPENMETRICS})[2]
    lines = body.splitlines()
    assert lines[-1] == "# EOF" and lines.count("# EOF") == 1
    families, current = {}, None
    for line in lines[:-1]:
        if line.startswith("# TYPE "):
            _, _, current, kind = line.split(" ")
            assert current not in families, f"{current} is told twice"
            families[current] = kind
        elif line.startswith("# "):
            assert re.match(r"# (HELP|UNIT) [a-z_]+ ", line), line
        else:
            name = re.match(r"[a-zA-Z_:][a-zA-Z0-9_:]*", line).group()
            suffix = {"counter": "_total", "info": "_info"}.get(families[current], "")
            assert name.startswith(current) and name.endswith(suffix), (line, families[current])
    assert families["telamon_oom_kills" if "telamon_oom_kills" in families else "telamon_oom_node_kills"] == "counter"
    assert families["telamon_hook"] == "info" and families["telamon_build"] == "info"


ROUTES = ["/metrics", "/-/healthy", "/-/ready", "/", "/api/v1/events"]


@pytest.mark.parametrize("route", ROUTES)
def test_head_is_get_without_a_body(shared_agent, route):
    status, headers, body = ask(shared_agent, "HEAD", route)
    assert (status, body) == (200, "")
    assert headers["content-type"] == ask(shared_agent, "GET", route)[1]["content-type"]
    assert headers["x-content-type-options"] == "nosniff"


def test_health_and_landing_page(shared_agent):
    assert ask(shared_agent, "GET", "/-/healthy")[2] == "telamon-agent is healthy.\n"
    assert ask(shared_agent, "GET", "/-/ready")[2] == "telamon-agent is ready.\n"
    page = ask(shared_agent, "GET", "/")[2]
    for link in ("/metrics", "/api/v1/events", "/-/healthy"):
        assert f'href="{link}' in page


@pytest.mark.parametrize("method, route, allow", [
    ("POST", "/metrics", {"GET", "HEAD"}),
    ("GET", "/-/reload", {"POST", "PUT"}),
    ("HEAD", "/-/reload", {"POST", "PUT"}),
    ("DELETE", "/api/v1/events", {"GET", "HEAD"}),
    ("GET", "/api/v1/events/test", {"POST"}),
    ("POST", "/events", {"GET"}),
    ("BREW", "/", {"GET", "HEAD"}),
])
def test_other_methods_are_405(shared_agent, method, route, allow):
    status, headers, _ = ask(shared_agent, method, route)
    assert status == 405
    assert {m.strip() for m in headers["allow"].split(",")} == allow


@pytest.mark.parametrize("target", [
    "/nothing", "/metrics/", "/metricsx", "//metrics", "/api/v1/", "/events/", "/-/", "/../../etc/passwd", "/..",
    "/%2e%2e/%2e%2e/etc/passwd", "/metrics/../-/reload", "/.", "/%00", "/api/v1/events%00", "/\\..\\etc", "/%",
])
def test_what_is_not_there_is_404(shared_agent, target):
    status, _, body = ask(shared_agent, "GET", target)
    assert status == 404 and "root:" not in body


@pytest.mark.parametrize("request_bytes", [
    b"\r\n\r\n\r\n", b"GET\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"GET / HTTP/9.9\r\n\r\n",
    b"GET /" + b"a" * 65536 + b" HTTP/1.1\r\n\r\n", b"POST /-/reload HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    b"POST /-/reload HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n", b"\x00" * 5000,
])
def test_garbage_does_no_harm(shared_agent, request_bytes):
    with socket.create_connection(("127.0.0.1", shared_agent.port), timeout=1) as s:
        try:
            s.sendall(request_bytes)
            s.shutdown(socket.SHUT_WR)
            answer = s.recv(200)
        except OSError:  # closed before all was sent, or half a line: more may come
            answer = b""
    assert not answer.startswith((b"HTTP/1.1 200", b"HTTP/1.0 200"))
    assert shared_agent.get("/-/healthy")[0] == 200


def test_large_header_is_431(shared_agent):
    assert ask(shared_agent, "GET", "/metrics", {"X-Large": "a" * 40000})[0] == 431
    assert ask(shared_agent, "GET", "/metrics", {"X-Large": "a" * 8000})[0] == 200


def test_large_body_is_413(shared_agent):
    assert ask(shared_agent, "POST", "/-/reload", body=b"x" * ((1 << 20) + 1))[0] == 413
    assert ask(shared_agent, "POST", "/-/reload", body=b"x" * 1000)[0] == 200


@pytest.mark.parametrize("query, name", [
    ("kind=oom", "kind"), ("since=yesterday", "since"), ("since=10", "since"), ("until=2026-13-01T00:00:00Z", "until"),
    ("severity=loud", "severity"), ("severity=25", "severity"), ("severity=0", "severity"), ("limit=0", "limit"),
    ("limit=10001", "limit"), ("limit=-1", "limit"), ("limit=1e3", "limit"), ("pid=x", "pid"),
    ("pid=99999999999", "pid"), ("type=oom&rule=x", "rule"), ("%00=1", "parameter"), ("a%0d%0ab=1", "parameter"),
])
@pytest.mark.parametrize("route", ["/api/v1/events", "/events"])
def test_bad_parameter_is_400_with_its_name(shared_agent, route, query, name):
    status, headers, body = ask(shared_agent, "GET", f"{route}?{query}")
    assert status == 400 and name in body
    assert headers["content-type"].startswith("text/plain")


def refused(agent):
    return agent.metric("telamon_http_connections_refused_total")


def connect(agent, source, n):
    made = []
    for _ in range(n):
        s = socket.socket()
        s.settimeout(20)
        s.bind((source, 0))
        s.connect(("127.0.0.1", agent.port))
        made.append(s)
    return made


def closed(sockets):
    """Those that the agent closed: nobody sent anything, so what is readable is at its end."""
    poll = select.poll()
    for s in sockets:
        poll.register(s, select.POLLIN | select.POLLHUP)
    gone = {fd for fd, _ in poll.poll(0)}
    return [s for s in sockets if s.fileno() in gone]


def test_one_address_gets_half_of_the_connections(agent):
    """128 connections, 64 of them for one address; who is refused is counted, the rest is served as before."""
    before = refused(agent)
    first, second = connect(agent, "127.0.0.2", 80), []
    try:
        wait_for("refusals", lambda: refused(agent) >= before + 14)
        # Two threads accept: each may let one in while the other decides.
        assert 62 <= len(first) - len(closed(first)) <= 66
        second = connect(agent, "127.0.0.3", 80)
        wait_for("the rest of the room to be taken", lambda: len(closed(second)) >= 14)
        gone = closed(first + second)
        served = [s for s in first + second if s not in gone]
        assert 124 <= len(served) <= 132
        for s in (served[0], served[-1]):
            s.sendall(b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n")
            assert s.recv(100).startswith(b"HTTP/1.1 200")
    finally:
        for s in first + second:
            s.close()
    wait_for("room again", lambda: ask(agent, "GET", "/-/healthy", source="127.0.0.2")[0] == 200)


def own_address():
    """An address of this host that is not loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        try:
            s.connect(("192.0.2.1", 9))  # of documentation: a route is looked up, nothing is sent
            address = s.getsockname()[0]
        except OSError:
            return None
    return None if address.startswith("127.") else address


def test_without_users_only_metrics_and_health_for_others(make_agent):
    address = own_address()
    if not address:
        pytest.skip("this host has no address but loopback")
    agent = make_agent()
    agent.stop()
    agent.command = [c.replace("127.0.0.1:", "0.0.0.0:") for c in agent.command]
    agent.start()
    for route in ("/metrics", "/-/healthy", "/-/ready"):
        assert ask(agent, "GET", route, host=address)[0] == 200, route
    for method, route in (("GET", "/"), ("GET", "/events"), ("GET", "/api/v1/events"), ("POST", "/-/reload"),
                          ("POST", "/api/v1/events/test")):
        status, _, body = ask(agent, method, route, host=address)
        assert status == 403 and "loopback" in body, route
        # Who says that he comes from loopback is not believed.
        headers = {"X-Forwarded-For": "127.0.0.1", "X-Real-IP": "127.0.0.1", "Host": "localhost"}
        assert ask(agent, method, route, headers, host=address)[0] == 403, route
    assert ask(agent, "GET", "/")[0] == 200
    wait_for("the count", lambda: agent.metric("telamon_http_requests_total", code="4xx") >= 10)


def test_ipv6(make_agent):
    try:
        with socket.socket(socket.AF_INET6) as s:
            s.bind(("::1", 0))
    except OSError:
        pytest.skip("this host has no IPv6")
    agent = make_agent(start=False)
    agent.command = [c.replace("127.0.0.1:", ":") for c in agent.command]
    agent.start()
    assert ask(agent, "GET", "/api/v1/events", host="::1")[0] == 200
    assert ask(agent, "GET", "/api/v1/events", host="127.0.0.1")[0] == 200


def test_telemetry_path(make_agent):
    agent = make_agent(options=["--web.telemetry-path=/probe"])
    assert ask(agent, "GET", "/metrics")[0] == 404
    assert "telamon_build_info" in ask(agent, "GET", "/probe")[2]
    assert 'href="/probe"' in ask(agent, "GET", "/")[2]


def test_curl_gets_what_it_asks_for(shared_agent):
    """An independent client: keep-alive, several requests on one connection, a range of one character."""
    if not shutil.which("curl"):
        pytest.skip("curl is missing")
    url = shared_agent.url
    done = run("curl", "-sS", "-v", f"{url}/-/healthy", f"{url}/-/ready", f"{url}/metrics")
    assert done.returncode == 0 and done.stdout.startswith("telamon-agent is healthy.\ntelamon-agent is ready.\n# HELP")
    assert done.stderr.count("Re-using existing connection") == 2
