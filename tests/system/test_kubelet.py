# SPDX-License-Identifier: Apache-2.0
"""Kubelet enrichment (OOM-407): a kubelet of the test's own with TLS and a token, real containers, every way to fail."""

import http.server
import json
import os
import re
import ssl
import subprocess
import threading
import time
import uuid

import pytest

from conftest import need, run, telamon, wait_for
from test_containers import HOG, SLEEP, cid, cri, fixture_runtime, kill_of, remove_pod  # noqa: F401 (a fixture)

TOKEN = "eyJhbGciOiJSUzI1NiJ9.test-token"


class Kubelet:
    """Answers GET /pods as `mode` says: ok, or one of the ways in which a kubelet fails."""

    def __init__(self, directory, tls=True):
        self.mode = "ok"
        self.token = TOKEN
        self.pods = []
        self.requests = []  # Authorization headers, in order
        self.answered = 0
        self.stop = threading.Event()
        self.directory = str(directory)
        kubelet = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):  # pylint: disable=invalid-name
                kubelet.requests.append(self.headers.get("Authorization"))
                try:
                    kubelet.answer(self)
                except OSError:
                    pass  # the agent had enough of it
                kubelet.answered += 1

            def log_message(self, *_arguments):  # pylint: disable=arguments-differ
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        scheme = "http"
        if tls:
            scheme = "https"
            self.ca_file = self.make_certificate()
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.ca_file, os.path.join(self.directory, "key.pem"))
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True,
                                                     do_handshake_on_connect=False)
        self.url = f"{scheme}://127.0.0.1:{self.server.server_port}/pods"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def make_certificate(self):
        """Self-signed, as the kubelet's own. Vouches for one address and one name."""
        need("openssl")
        path = os.path.join(self.directory, "cert.pem")
        made = run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=node",
                   "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost", "-keyout", os.path.join(self.directory, "key.pem"),
                   "-out", path)
        assert made.returncode == 0, made.stderr
        return path

    def answer(self, request):
        if self.token and request.headers.get("Authorization") != f"Bearer {self.token}":
            self.reply(request, 401, b"Unauthorized")
        elif request.path != "/pods":
            self.reply(request, 404, b"404 page not found")
        elif self.mode == "broken":
            self.reply(request, 200, self.body()[:-20])
        elif self.mode == "other":
            self.reply(request, 200, b'{"kind":"Status","status":"Failure"}')
        elif self.mode == "500":
            self.reply(request, 500, self.body())
        elif self.mode == "huge":
            self.huge(request, (32 << 20) + 1)
        elif self.mode == "endless":
            self.huge(request, None)
        elif self.mode == "slow":
            request.send_response(200)
            request.end_headers()
            request.wfile.write(b'{"items":[')
            self.stop.wait(60)
        else:
            self.reply(request, 200, self.body())

    def body(self):
        return json.dumps({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": self.pods}).encode()

    @staticmethod
    def reply(request, status, body):
        request.send_response(status)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    def huge(self, request, size):
        """A list of which every byte is right; without a size it has no end."""
        request.send_response(200)
        if size:
            request.send_header("Content-Length", str(size))
        request.end_headers()
        request.wfile.write(b'{"items":[')
        while not self.stop.is_set():
            request.wfile.write(b" " * (1 << 20))

    def close(self):
        self.stop.set()
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture(name="kubelet")
def fixture_kubelet(tmp_path):
    kubelet = Kubelet(tmp_path)
    yield kubelet
    kubelet.close()


def pod(uid, name="search-7d9f8c6b5-x2lqp", owner=("ReplicaSet", "finder-7d9f8c6b5"), **labels):
    return {
        "metadata": {
            "name": name, "namespace": "shop", "uid": uid,
            "labels": {"pod-template-hash": "7d9f8c6b5", **labels},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": owner[0], "name": owner[1], "uid": "0",
                                 "controller": True, "blockOwnerDeletion": True}]},
        "spec": {
            "priorityClassName": "shop-high",
            "containers": [
                {"name": "search", "resources": {"requests": {"cpu": "1", "memory": "16M"},
                                                 "limits": {"memory": "24Mi"}}},
                {"name": "sidecar", "resources": {}}]},
        "status": {"phase": "Running", "qosClass": "Burstable"},
    }


def agent_for(make_agent, runtime, kubelet, more="", token=TOKEN, ca_file=None, refresh="10m", **kwargs):
    token_file = os.path.join(kubelet.directory, "token")
    with open(token_file, "w", encoding="ascii") as f:
        f.write(token + "\n")
    agent = make_agent(
        f"identity:\n  roots: {{run: {runtime.run_root}, docker: {runtime.directory}/docker, "
        f"containers: {runtime.directory}/containers, pods_log: {runtime.directory}/log}}\n"
        f"  labels: [team, tier]\n"
        f"  kubelet: {{mode: on, url: '{kubelet.url}', token_file: {token_file}, "
        f"ca_file: '{kubelet.ca_file if ca_file is None else ca_file}', refresh: {refresh}}}\n" + more, **kwargs)
    agent.token_file = token_file
    return agent


def errors(agent, reason):
    return agent.metric("telamon_identity_errors_total", source="kubelet", reason=reason)


class Pod:
    """A pod of one container that can be made to die."""

    def __init__(self, runtime, uid=None):
        self.runtime = runtime
        self.uid = uid or str(uuid.uuid4())
        self.path = f"/kubepods/burstable/pod{self.uid}"

    def die(self, agent, name="search"):
        container = cid()
        self.runtime.create(container, HOG, f"{self.path}/{container}", cri("container", name, cid(), self.uid),
                            limit=24 << 20, containerd="k8s.io")
        return kill_of(agent, container)

    def sit(self):
        container = cid()
        self.runtime.create(container, SLEEP, f"{self.path}/{container}", cri("container", "sidecar", cid(), self.uid),
                            containerd="k8s.io")


@pytest.fixture(name="make_pod")
def fixture_make_pod(runtime):
    made = []

    def make(uid=None):
        made.append(Pod(runtime, uid))
        return made[-1]

    yield make
    runtime.close()
    for one in made:
        remove_pod(one.path)


def test_record_carries_owner_and_labels(make_agent, runtime, kubelet, make_pod):
    """The pod was known before; the guess from its name would be `search`."""
    victim = make_pod()
    kubelet.pods = [pod(victim.uid, team="find", tier="backend", other="x")]
    agent = agent_for(make_agent, runtime, kubelet)
    wait_for("a poll", lambda: kubelet.answered)
    event = victim.die(agent)
    assert event["k8s.deployment.name"] == "finder"
    assert event["telamon.workload"] == "finder"
    assert event["k8s.pod.label.team"] == "find"
    assert event["k8s.pod.label.tier"] == "backend"
    assert not any(key.endswith(".other") or "template-hash" in key for key in event)
    assert event["telamon.k8s.qos"] == "Burstable"
    assert event["telamon.k8s.priority_class"] == "shop-high"
    assert event["telamon.k8s.memory.request"] == 16000000
    assert event["telamon.k8s.memory.limit"] == 24 << 20
    assert event["k8s.pod.name"] == "search-7d9f8c6b5-x2lqp"
    schema = json.loads(telamon("events", "--schema").stdout)
    patterns = [re.compile(p) for p in schema["patternProperties"]]
    assert [k for k in event if k not in schema["properties"] and not any(p.search(k) for p in patterns)] == []
    wait_for("the workload's counter", lambda: agent.metric("telamon_oom_kills_total", workload="finder") == 1)
    assert set(kubelet.requests) == {f"Bearer {TOKEN}"}
    assert TOKEN not in agent.log()
    assert agent.metric("telamon_identity_errors_total", source="kubelet") == 0


def test_pod_that_comes_between_two_polls(make_agent, runtime, kubelet, make_pod):
    """The next poll is ten minutes away; an unknown pod brings it forward."""
    victim = make_pod()
    agent = agent_for(make_agent, runtime, kubelet)
    wait_for("a poll", lambda: kubelet.answered)
    kubelet.pods = [pod(victim.uid, owner=("StatefulSet", "db"), team="data")]
    victim.sit()
    wait_for("a poll for the new pod", lambda: kubelet.answered >= 2)
    event = victim.die(agent)
    assert event["k8s.statefulset.name"] == "db"
    assert event["telamon.workload"] == "db"
    assert event["k8s.pod.label.team"] == "data"
    wait_for("the workload's counter", lambda: agent.metric("telamon_oom_kills_total", workload="db") == 1)


def test_owner_of_another_kind(make_agent, runtime, kubelet, make_pod):
    victim = make_pod()
    kubelet.pods = [pod(victim.uid, owner=("CloneSet", "clones"))]
    agent = agent_for(make_agent, runtime, kubelet)
    wait_for("a poll", lambda: kubelet.answered)
    event = victim.die(agent, name="sidecar")
    assert event["telamon.k8s.owner.kind"] == "CloneSet"
    assert event["telamon.k8s.owner.name"] == event["telamon.workload"] == "clones"
    assert "telamon.k8s.memory.limit" not in event  # this container has none


FAILURES = [("500", "missing"), ("huge", "too_large"), ("slow", "timeout"), ("broken", "parse"), ("other", "parse")]


def peak(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return next(int(line.split()[1]) << 10 for line in f if line.startswith("VmHWM:"))


def test_endless_answer_takes_no_memory(make_agent, runtime, kubelet, make_pod):
    """Scanned as it comes. Whether 32 MiB or 2 s are reached first is for the machine to say."""
    agent = agent_for(make_agent, runtime, kubelet)
    wait_for("a poll", lambda: kubelet.answered)
    time.sleep(0.2)
    before = peak(agent.pid)
    kubelet.mode = "endless"
    make_pod().sit()
    wait_for("a counter", lambda: errors(agent, "too_large") + errors(agent, "timeout") >= 1)
    assert peak(agent.pid) - before < 8 << 20


@pytest.mark.parametrize("mode,reason", FAILURES)
def test_failure_is_counted_and_the_last_answer_kept(make_agent, runtime, kubelet, make_pod, mode, reason):
    known, unknown = make_pod(), make_pod()
    kubelet.pods = [pod(known.uid, team="find")]
    agent = agent_for(make_agent, runtime, kubelet)
    wait_for("a poll", lambda: kubelet.answered)
    kubelet.mode = mode
    kubelet.pods = []
    unknown.sit()  # asks the kubelet
    wait_for("the counter", lambda: errors(agent, reason) >= 1)
    event = unknown.die(agent)
    assert event["telamon.workload"] == "search"  # the guess of OOM-408
    assert "k8s.deployment.name" not in event
    event = known.die(agent)
    assert event["k8s.deployment.name"] == "finder" and event["k8s.pod.label.team"] == "find"
    assert agent.metric("telamon_identity_errors_total", source="kubelet") == errors(agent, reason)
    assert agent.log().count("the kubelet does not list its pods") == 1
    # And back again.
    kubelet.mode, kubelet.pods = "ok", [pod(unknown.uid, owner=("DaemonSet", "logs"))]
    make_pod().sit()
    wait_for("the good answer", lambda: "lists its 1 pods again" in agent.log())
    assert unknown.die(agent)["k8s.daemonset.name"] == "logs"


def test_token_is_read_at_each_poll(make_agent, runtime, kubelet, make_pod):
    victim = make_pod()
    kubelet.pods = [pod(victim.uid)]
    agent = agent_for(make_agent, runtime, kubelet, token="old")
    wait_for("a refusal", lambda: errors(agent, "denied") == 1)
    victim.sit()
    wait_for("another one", lambda: errors(agent, "denied") >= 2)
    with open(agent.token_file, "w", encoding="ascii") as f:
        f.write(TOKEN)
    make_pod().sit()
    wait_for("the good answer", lambda: "lists its 1 pods again" in agent.log())
    assert victim.die(agent)["k8s.deployment.name"] == "finder"
    for text, reason in (("", "parse"), ("two\nlines", "parse"), (None, "missing")):
        before = errors(agent, reason)
        if text is None:
            os.unlink(agent.token_file)
        else:
            with open(agent.token_file, "w", encoding="ascii") as f:
                f.write(text)
        asked = len(kubelet.requests)
        make_pod().sit()
        wait_for(f"{reason}", lambda b=before, r=reason: errors(agent, r) > b)
        assert len(kubelet.requests) == asked


@pytest.mark.parametrize("ca_file", ["", "@other@", "/does/not/exist.pem"])
def test_certificate_that_nobody_vouches_for(make_agent, runtime, kubelet, tmp_path, make_pod, ca_file):
    """No token is ever sent to it."""
    if ca_file == "@other@":
        (tmp_path / "other").mkdir()
        other = Kubelet(tmp_path / "other")
        ca_file = other.ca_file
        other.close()
    victim = make_pod()
    agent = agent_for(make_agent, runtime, kubelet, ca_file=ca_file)
    wait_for("a refusal", lambda: errors(agent, "denied") >= 1)
    assert kubelet.requests == []
    assert victim.die(agent)["telamon.workload"] == "search"


def test_node_name_in_the_url(make_agent, runtime, kubelet, make_pod):
    """The certificate vouches for `localhost`, and for no `elsewhere.localhost`, which leads to the same place."""
    kubelet.url = kubelet.url.replace("127.0.0.1", "{node}")
    victim = make_pod()
    kubelet.pods = [pod(victim.uid)]
    agent = agent_for(make_agent, runtime, kubelet, env={**os.environ, "NODE_NAME": "localhost"})
    wait_for("a poll", lambda: kubelet.answered)
    assert victim.die(agent)["k8s.deployment.name"] == "finder"
    asked = len(kubelet.requests)
    agent = agent_for(make_agent, runtime, kubelet, env={**os.environ, "NODE_NAME": "elsewhere.localhost"})
    wait_for("a refusal", lambda: errors(agent, "denied") + errors(agent, "missing") >= 1)
    assert len(kubelet.requests) == asked


def test_nobody_listens(make_agent, runtime, kubelet, make_pod):
    kubelet.close()
    agent = agent_for(make_agent, runtime, kubelet)
    wait_for("the counter", lambda: errors(agent, "missing") >= 1)
    assert make_pod().die(agent)["telamon.workload"] == "search"


def test_token_is_not_sent_without_tls(make_agent, runtime, tmp_path, make_pod):
    plain = Kubelet(tmp_path, tls=False)
    try:
        plain.token, plain.ca_file = None, ""
        victim = make_pod()
        plain.pods = [pod(victim.uid)]
        agent = agent_for(make_agent, runtime, plain)
        wait_for("a poll", lambda: plain.answered)
        assert victim.die(agent)["k8s.deployment.name"] == "finder"
        assert set(plain.requests) == {None}
        assert "token_file is not sent" in agent.log()
    finally:
        plain.close()


def test_off_costs_nothing(make_agent, runtime, kubelet, make_pod):
    """No request, and libcurl is not even loaded; it is when the kubelet is asked."""
    victim = make_pod()
    kubelet.pods = [pod(victim.uid)]
    agent = agent_for(make_agent, runtime, kubelet, start=False)
    with open(agent.config_file, encoding="utf-8") as f:
        config = f.read()
    with open(agent.config_file, "w", encoding="utf-8") as f:
        f.write(config.replace("mode: on", "mode: off"))
    agent.start()
    event = victim.die(agent)
    assert event["telamon.workload"] == "search" and "k8s.deployment.name" not in event
    assert kubelet.requests == []
    assert "libcurl" not in maps(agent.pid)
    agent.stop()
    with open(agent.config_file, "w", encoding="utf-8") as f:
        f.write(config)
    agent.start()
    wait_for("a poll", lambda: kubelet.answered)
    assert "libcurl" in maps(agent.pid)


def maps(pid):
    with open(f"/proc/{pid}/maps", encoding="utf-8") as f:
        return f.read()


def test_agent_stops_while_the_kubelet_hangs(make_agent, runtime, kubelet):
    kubelet.mode = "slow"
    agent = agent_for(make_agent, runtime, kubelet)
    wait_for("a request", lambda: kubelet.requests)
    assert agent.stop() == 0


def test_bad_configuration(tmp_path):
    from conftest import AGENT
    for text, message in (("{mode: maybe}", "mode"), ("{url: 'ftp://x/pods'}", "is no URL"), ("{url: 'https://'}", "is no URL"),
                          ("{token_file: token}", "is no absolute path"), ("{ca_file: ./ca}", "is no absolute path"),
                          ("{refresh: 1s}", "below 5s"), ("{what: 1}", "what")):
        path = tmp_path / "agent.yaml"
        path.write_text(f"identity: {{kubelet: {text}}}\n", encoding="utf-8")
        checked = subprocess.run([AGENT, f"--config.file={path}", "--config.check"], stdout=subprocess.PIPE,
                                 stderr=subprocess.STDOUT, text=True, check=False, timeout=60)
        assert checked.returncode != 0 and message in checked.stdout, (text, checked.stdout)


def test_polls_are_at_least_two_seconds_apart(make_agent, runtime, kubelet, make_pod):
    agent = agent_for(make_agent, runtime, kubelet)
    wait_for("a poll", lambda: kubelet.answered)
    begin = time.monotonic()
    for _ in range(20):
        make_pod().sit()  # each is unknown
    wait_for("the poll that they asked for", lambda: kubelet.answered >= 2)
    assert kubelet.answered <= 2 + (time.monotonic() - begin) / 2
    assert errors(agent, "timeout") == 0
