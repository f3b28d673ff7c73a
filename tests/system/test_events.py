# SPDX-License-Identifier: Apache-2.0
"""Events: filters, followers, the schema, redaction, sinks, and `telamon events`."""

import json
import os
import re
import signal
import socket
import subprocess
import threading
import time
import urllib.parse
import urllib.request

import pytest

from conftest import TELAMON, hog_command, run, telamon, wait_for

CID = "5" * 32 + "0123456789abcdef" * 2


class Follower:
    """A client of /events on a plain socket. What it read is parsed by the rules of server-sent events."""

    def __init__(self, agent, query="", last_id=None, buffer=None):
        self.socket = socket.socket()
        if buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self.socket.settimeout(30)
        self.socket.connect(("127.0.0.1", agent.port))
        header = f"Last-Event-ID: {last_id}\r\n" if last_id else ""
        self.socket.sendall(f"GET /events{query} HTTP/1.0\r\nHost: x\r\n{header}\r\n".encode())
        self.text, self.events, self.comments, self.last_id = b"", [], 0, None
        self.fields = {}
        self.read_until(lambda: b"\r\n\r\n" in self.text)
        head, self.text = self.text.split(b"\r\n\r\n", 1)
        self.status = int(head.split()[1])
        self.head = head.decode().lower()
        if self.status == 200:
            self.parse()

    def read_until(self, condition, seconds=30):
        end = time.monotonic() + seconds
        while not condition():
            self.socket.settimeout(max(end - time.monotonic(), 0.01))
            data = self.socket.recv(65536)
            assert data, "the agent ended the stream"
            self.text += data

    def parse(self):
        while b"\n" in self.text:
            line, self.text = self.text.split(b"\n", 1)
            line = line.decode()
            if line.startswith(":"):
                self.comments += 1
            elif line:
                name, value = line.split(": ", 1)
                assert name in ("id", "event", "data") and name not in self.fields, line
                self.fields[name] = value
            elif self.fields:
                event = json.loads(self.fields["data"])
                assert event["event.name"] == self.fields["event"]
                assert event.get("telamon.id") == self.fields.get("id")
                self.events.append(event)
                self.fields = {}

    def wait(self, condition, seconds=60):
        """Reads on until condition(self); gives the events."""
        def done():
            self.parse()
            return condition(self)
        self.read_until(done, seconds)
        return self.events

    def ids(self):
        return [e["telamon.id"] for e in self.events if "telamon.id" in e]

    def close(self):
        self.socket.close()


@pytest.fixture
def follow():
    made = []

    def make(agent, *arguments, **kwargs):
        f = Follower(agent, *arguments, **kwargs)
        made.append(f)
        return f

    yield make
    for f in made:
        f.close()


def post_test(agent):
    request = urllib.request.Request(agent.url + "/api/v1/events/test", method="POST", data=b"")
    with urllib.request.urlopen(request, timeout=30) as reply:
        return [json.loads(line) for line in reply.read().decode().splitlines()]


def kill_in(group, *arguments):
    victim = group.limit(32 << 20).spawn(*hog_command(), *arguments)
    assert victim.wait(60) == -signal.SIGKILL


class Scene:
    """One agent, some kills in cgroups of several kinds and a test alert: read only."""

    def __init__(self, agent, own):
        self.agent, self.own = agent, own
        self.unit = f"{own}/telamon-scene.service"
        self.container = f"{own}/nerdctl-{CID}.scope"
        self.events = []


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    from conftest import Agent, Cgroup
    directory = tmp_path_factory.mktemp("scene")
    agent = Agent(directory, "oom: {wait: 200ms, aftermath: 1s}\nevents: {max_clients: 64, journal: {path: @DIR@/journal.db}}\n").start()
    own = f"/telamon-test-{os.getpid()}-scene"
    s = Scene(agent, own)
    groups = []
    try:
        for path in (f"{own}/plain", s.unit, s.container, f"{own}/plain2"):
            groups.append(Cgroup(path))
            kill_in(groups[-1])
            wait_for("the record", lambda p=path: agent.kills(p))
        post_test(agent)
        wait_for("the aftermaths", lambda: len(agent.events("type=oom.aftermath")) >= 4, 30)
        s.events = agent.events()
        yield s
    finally:
        for group in reversed(groups):
            group.remove()
        assert agent.stop() == 0


def ids(events):
    return [e["telamon.id"] for e in events]


def quoted(**parameters):
    return urllib.parse.urlencode(parameters)


def cases(scene):
    """(query, what a reader of all events would have kept)"""
    times = [e["timestamp"] for e in scene.events]
    middle = scene.events[len(scene.events) // 2]["timestamp"]
    named = [e for e in scene.events if e.get("container.id")]
    assert len(named) >= 1 and times
    return [
        ({"type": "oom"}, lambda e: e["event.name"].startswith("oom.")),
        ({"type": "oom.kill"}, lambda e: e["event.name"] == "oom.kill"),
        ({"type": "oom.kill,runtime"}, lambda e: e["event.name"] in ("oom.kill", "runtime.alert")),
        ({"type": "alert"}, lambda e: e["event.name"] == "runtime.alert"),
        ({"type": "oo"}, lambda e: False),
        ({"type": "oom.kil"}, lambda e: False),
        ({"since": middle}, lambda e: e["timestamp"] >= middle),
        ({"until": middle}, lambda e: e["timestamp"] <= middle),
        ({"since": middle, "until": middle}, lambda e: e["timestamp"] == middle),
        ({"since": "1h"}, lambda e: True),
        ({"until": "1h"}, lambda e: False),
        ({"cgroup": f"{scene.own}/*"}, lambda e: e.get("telamon.cgroup.path", "").startswith(scene.own + "/")),
        ({"cgroup": f"{scene.own}/plain?"}, lambda e: e.get("telamon.cgroup.path") == f"{scene.own}/plain2"),
        ({"cgroup": f"{scene.own}/[!p]*.service"}, lambda e: e.get("telamon.cgroup.path") == scene.unit),
        ({"cgroup": "*" * 200 + "x"}, lambda e: False),
        ({"container": CID}, lambda e: e.get("container.id") == CID),
        ({"container": CID[:8]}, lambda e: e.get("container.id") == CID),
        ({"container": CID[:7]}, lambda e: False),
        ({"namespace": "shop"}, lambda e: False),
        ({"workload": "none"}, lambda e: False),
        ({"severity": "13"}, lambda e: e["severity_number"] >= 13),
        ({"severity": "high"}, lambda e: e["severity_number"] >= 17),
        ({"severity": "critical"}, lambda e: e["severity_number"] >= 21),
        ({"type": "oom", "severity": "17", "cgroup": "*/plain*"},
         lambda e: e["event.name"] == "oom.kill" and "/plain" in e["telamon.cgroup.path"]),
    ]


def test_filters_of_the_query(scene):
    for parameters, keeps in cases(scene):
        assert ids(scene.agent.events(quoted(**parameters))) == ids(filter(keeps, scene.events)), parameters
    newest = scene.agent.events("limit=3")
    assert ids(newest) == ids(scene.events[-3:]), "the newest, oldest first"
    pid = next(e["process.pid"] for e in scene.events if e["event.name"] == "oom.kill")
    assert {e["process.pid"] for e in scene.agent.events(f"pid={pid}")} == {pid}


def test_filters_of_followers(scene, follow):
    """The same filters, over what is replayed; a mark of the end comes as the newest alert."""
    mark = [e for e in scene.events if e["event.name"] == "runtime.alert"][-1]["telamon.id"]
    for parameters, keeps in cases(scene):
        if "since" in parameters or "until" in parameters:
            continue
        expected = ids(filter(keeps, scene.events))
        f = follow(scene.agent, "?" + quoted(since="1h", **parameters))
        assert f.status == 200 and "text/event-stream" in f.head
        f.wait(lambda f, n=len(expected): len(f.events) >= n)
        assert f.ids() == expected, parameters
        f.close()
    assert mark


def test_filters_of_the_journal(scene):
    """`telamon events` finds the same in the journal as from the agent."""
    for parameters, keeps in cases(scene):
        options = [word for name, value in parameters.items() for word in (f"--{name}", value)
                   if name not in ("workload",)]
        for source in (["--url", scene.agent.url], ["--journal", scene.agent.journal]):
            if "workload" in parameters:
                done = telamon("oom", "--workload", parameters["workload"], "--format", "json", *source)
            else:
                done = telamon("events", "--format", "json", *options, *source)
            expected = ids(filter(keeps, scene.events))
            assert done.returncode == (0 if expected else 1), (parameters, done.stderr)
            assert ids(map(json.loads, done.stdout.splitlines())) == expected, (parameters, source)


@pytest.mark.parametrize("option, value", [("--severity", "loud"), ("--limit", "0"), ("--limit", "x"), ("--since", "soon"),
                                           ("--until", "10"), ("--pid", "x")])
def test_bad_values_are_told_alike(scene, option, value):
    """By the agent and without it."""
    texts = []
    for source in (["--url", scene.agent.url], ["--journal", scene.agent.journal]):
        done = telamon("events", option, value, *source)
        assert done.returncode == 2 and done.stdout == "", done.stderr
        texts.append(done.stderr.split(f"{option[2:]}: ", 1)[1])
    assert texts[0] == texts[1]


def test_head_of_the_query(scene):
    status, body = scene.agent.get("/api/v1/events?limit=1")
    assert status == 200 and body.count("\n") == 1 and body.endswith("}\n")


# --- followers ---

def test_replay_and_live_without_a_seam(make_agent, follow, cgroup, own):
    """While kills and alerts go on, each of many clients that come and go sees every event once, in order."""
    agent = make_agent("oom: {wait: 100ms, aftermath: 1s}\n")
    stop = threading.Event()
    posted = []

    def post():
        while not stop.is_set():
            post_test(agent)
            posted.append(1)

    poster = threading.Thread(target=post)
    poster.start()
    try:
        wait_for("some events", lambda: len(posted) >= 30)
        followers = [follow(agent, "?since=1h")]
        for n in range(4):
            kill_in(cgroup(f"{own}/{n}"))
            followers.append(follow(agent, "?since=1h"))
        # One leaves in the middle and comes back where it was, twice.
        early = followers[0]
        early.wait(lambda f: len(f.events) >= 20)
        early.close()
        seen = early.ids()
        for _ in range(2):
            back = follow(agent, last_id=seen[-1])
            back.wait(lambda f: len(f.events) >= 10)
            back.close()
            seen += back.ids()
        late = follow(agent, last_id=seen[-1])
        wait_for("the kills", lambda: len(agent.events("type=oom.kill")) >= 4)
    finally:
        stop.set()
        poster.join()
    wait_for("the aftermaths", lambda: len(agent.events("type=oom.aftermath")) >= 4, 30)
    post_test(agent)
    everything = ids(agent.events())
    assert len(everything) > 40
    for f in followers[1:]:
        f.wait(lambda f: f.ids() and f.ids()[-1] == everything[-1])
        assert f.ids() == everything
    late.wait(lambda f: f.ids() and f.ids()[-1] == everything[-1])
    assert seen + late.ids() == everything
    assert agent.metric("telamon_sse_overflows_total") == 0


def test_last_event_id_that_is_gone_or_nonsense(scene, follow):
    everything = ids(scene.agent.events())  # and kills of other tests, which this agent sees too
    f = follow(scene.agent, last_id=everything[2])
    f.wait(lambda f: len(f.events) >= len(everything) - 3)
    assert f.ids()[:len(everything) - 3] == everything[3:]
    for nonsense in ("0", "../../etc/passwd", "'; DROP TABLE events; --", "\x7f\xff"):
        f = follow(scene.agent, last_id=nonsense)
        assert f.status == 200
        f.close()
    assert ids(scene.agent.events())[:len(everything)] == everything


def test_comments_keep_an_idle_follower_alive(make_agent, follow):
    """Each 15 s, also when nothing has happened since the agent started."""
    agent = make_agent("oom: {enabled: false}\n")
    f = follow(agent, "?type=oom")
    f.wait(lambda f: f.comments >= 3, 60)
    assert f.events == []


def test_more_clients_than_allowed(make_agent, follow):
    agent = make_agent("oom: {enabled: false}\nevents: {max_clients: 2, journal: {path: @DIR@/journal.db}}\n")
    first, _ = follow(agent), follow(agent)
    refused = follow(agent)
    assert refused.status == 503
    refused.read_until(lambda: b"\n" in refused.text)
    assert b"events.max_clients" in refused.text
    wait_for("the count", lambda: agent.metric("telamon_sse_refused_total") == 1)
    assert agent.metric("telamon_sse_clients") == 2
    first.close()
    post_test(agent)

    def again():
        post_test(agent)  # what is sent to a client that is gone shows that it is
        f = follow(agent)
        f.close()
        return f.status == 200
    wait_for("room", again)


def test_slow_follower_is_told_what_it_missed(make_agent, follow):
    """A client that does not read loses events, never the agent's memory; received and told as lost is all that there was."""
    agent = make_agent("oom: {enabled: false}\n")
    slow = follow(agent, buffer=4096)
    quick = follow(agent)
    posted = 0
    while agent.metric("telamon_sse_overflows_total") < 50:
        for _ in range(100):
            post_test(agent)
        posted += 100
        quick.wait(lambda f: len(f.events) >= posted)
        assert posted < 40000
    post_test(agent)
    posted += 1

    def counted(f):
        lost = [e for e in f.events if e["event.name"] == "telemetry.lost"]
        got = [e for e in f.events if e["event.name"] != "telemetry.lost"]
        return len(got) + sum(e["telamon.lost.count"] for e in lost)

    slow.wait(lambda f: counted(f) >= posted)
    assert counted(slow) == posted
    lost = [e for e in slow.events if e["event.name"] == "telemetry.lost"]
    assert lost and all(e["telamon.lost.class"] == "sse" for e in lost)
    told = sum(e["telamon.lost.count"] for e in lost)
    wait_for("the count", lambda: agent.metric("telamon_sse_overflows_total") == told)
    assert len(quick.events) in (posted - 1, posted)


def read_lines(process, n, into):
    for _ in range(n):
        line = process.stdout.readline()
        if not line:
            break
        into.append(json.loads(line))


def test_follow_survives_a_restart(make_agent):
    """The command comes back with the last id that it saw; what happened meanwhile is shown too, nothing twice."""
    agent = make_agent("oom: {enabled: false}\n")
    got = []
    with subprocess.Popen([TELAMON, "events", "--follow", "--format", "json", "--url", agent.url], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        wait_for("the follower", lambda: agent.metric("telamon_sse_clients") == 1)
        post_test(agent)
        read_lines(process, 1, got)
        agent.stop()
        agent.start()
        post_test(agent)
        post_test(agent)
        read_lines(process, 2, got)
        process.send_signal(signal.SIGTERM)
        process.wait(20)
    assert ids(got) == ids(agent.events())


def test_follow_that_saw_nothing_yet(make_agent):
    """Also between its start and its first event nothing is missed."""
    agent = make_agent("oom: {enabled: false}\n")
    got = []
    with subprocess.Popen([TELAMON, "events", "--follow", "--format", "json", "--url", agent.url], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        wait_for("the follower", lambda: agent.metric("telamon_sse_clients") == 1)
        agent.stop()
        agent.start()
        post_test(agent)
        read_lines(process, 1, got)
        process.send_signal(signal.SIGTERM)
        process.wait(20)
    assert ids(got) == ids(agent.events())


# --- redaction ---

SECRET = "hunter2-x9"


def test_secrets_do_not_leave(make_agent, follow, cgroup, own):
    """Not by the API, not to followers, not into the journal's bytes, sinks, logs, metrics or what the commands print."""
    agent = make_agent("oom: {wait: 200ms, aftermath: 1s}\nevents: {journal: {path: @DIR@/journal.db}, "
                       "sinks: [{type: stdout}, {type: file, path: @DIR@/sink.json}]}\n",
                       options=["--log.level=debug"])
    f = follow(agent)
    arguments = [f"--password={SECRET}", "--token", SECRET, f"DB_PASSWORD={SECRET}", f"--api-key={SECRET}", "--ok=shown"]  # 256 bytes are kept in all
    kill_in(cgroup(own), *arguments)
    kill = wait_for("the record", lambda: agent.kills(own))[0]
    assert kill["process.command_args"][-6:] == ["--password=<redacted>", "--token", "<redacted>", "DB_PASSWORD=<redacted>",
                                                 "--api-key=<redacted>", "--ok=shown"]
    f.wait(lambda f: any(e["event.name"] == "oom.aftermath" for e in f.events))
    shown = [telamon("oom", "show", "last", "--url", agent.url).stdout, telamon("oom", "--url", agent.url).stdout,
             telamon("events", "--url", agent.url).stdout, agent.get("/metrics")[1]]
    assert "--ok=shown" in shown[0]
    assert SECRET not in "".join(shown) and SECRET not in json.dumps(f.events)
    assert agent.stop() == 0
    for name in os.listdir(agent.directory):
        path = os.path.join(agent.directory, name)
        if os.path.isfile(path):
            with open(path, "rb") as file:
                assert SECRET.encode() not in file.read(), name
    assert "oom.kill" in open(os.path.join(agent.directory, "sink.json"), encoding="utf-8").read()


# --- sinks ---

def test_file_sink_follows_its_name(make_agent):
    """Renamed by logrotate, it goes on under the old name at once; `types` chooses."""
    agent = make_agent("oom: {enabled: false}\nevents: {journal: {path: @DIR@/journal.db}, sinks: ["
                       "{type: file, path: @DIR@/all.json}, {type: file, path: @DIR@/oom.json, types: [oom]}, "
                       "{type: file, path: @DIR@/none/x.json}]}\n")
    path = os.path.join(agent.directory, "all.json")
    results = {r.get("path", r["destination"]): r["result"] for r in post_test(agent)}
    assert results["journal"] == "delivered" and results[path] == "delivered"
    assert results[os.path.join(agent.directory, "oom.json")] == "filtered"
    assert results[os.path.join(agent.directory, "none/x.json")] == "failed"
    os.rename(path, path + ".1")
    post_test(agent)
    first, second = (open(p, encoding="utf-8").read().splitlines() for p in (path + ".1", path))
    assert len(first) == len(second) == 1
    assert ids(map(json.loads, first + second)) == ids(agent.events())
    assert os.stat(path).st_mode & 0o137 == 0
    assert not os.path.exists(os.path.join(agent.directory, "oom.json"))
    wait_for("the counts", lambda: agent.metric("telamon_sink_events_total", sink="file") == 2)
    assert agent.metric("telamon_sink_errors_total", sink="file") == 2


def test_journald_sink(make_agent, tmp_path):
    """The native protocol, to a socket that stands in for journald."""
    path = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.bind(path)
        s.settimeout(30)
        agent = make_agent("oom: {enabled: false}\nevents: {journal: {path: @DIR@/journal.db}, "
                           f"sinks: [{{type: journald, path: {path}}}]}}\n")
        assert {r["destination"]: r["result"] for r in post_test(agent)} == {"journal": "delivered", "journald": "delivered"}
        fields = dict(line.split("=", 1) for line in s.recv(1 << 17).decode().splitlines())
    assert fields["SYSLOG_IDENTIFIER"] == "telamon" and fields["PRIORITY"] == "6"
    assert fields["TELAMON_EVENT"] == "runtime.alert" and fields["MESSAGE"].startswith("runtime.alert")
    assert json.loads(fields["TELAMON_JSON"]) == agent.events()[0]
    os.unlink(path)
    assert post_test(agent)[-1]["result"] == "failed"


def test_events_test_tells_each_delivery(make_agent):
    agent = make_agent("oom: {enabled: false}\nevents: {journal: {path: @DIR@/journal.db}, sinks: [{type: stdout}]}\n")
    done = telamon("events", "test", "--url", agent.url)
    assert done.returncode == 0
    assert [json.loads(line)["destination"] for line in done.stdout.splitlines()] == ["journal", "stdout"]
    event = agent.events()[0]
    assert event["telamon.alert.test"] is True and event["telamon.rule.id"] == "self_test" and event["severity_number"] == 9
    assert event["telamon.id"] in agent.log()
    assert telamon("events", "test", "--url", "http://127.0.0.1:1").returncode == 3


# --- the schema ---

def schema():
    done = telamon("events", "--schema")
    assert done.returncode == 0
    return json.loads(done.stdout)


TYPES = {"object": dict, "array": list, "string": str, "boolean": bool}


def violations(value, rule, where="$", root=None):
    """What of JSON Schema 2020-12 our schema uses. An unknown keyword is an error of the schema, not silence."""
    root = root or rule
    found = []
    kinds = rule.get("type")
    for keyword in rule:
        assert keyword in {"$schema", "$id", "title", "description", "type", "required", "properties", "patternProperties",
                           "additionalProperties", "items", "enum", "const", "pattern", "minimum", "maximum", "format",
                           "$ref", "$defs", "anyOf", "oneOf", "allOf", "if", "then", "else", "maxItems", "minItems",
                           "minLength", "maxLength"}, keyword
    if "$ref" in rule:
        target = root
        for part in rule["$ref"].lstrip("#/").split("/"):
            target = target[part]
        found += violations(value, target, where, root)
    if kinds:
        kinds = [kinds] if isinstance(kinds, str) else kinds
        fits = any((isinstance(value, (int, float)) and not isinstance(value, bool) and
                    (k == "number" or float(value).is_integer())) if k in ("number", "integer")
                   else value is None if k == "null" else isinstance(value, TYPES[k]) for k in kinds)
        if not fits:
            return [f"{where}: {value!r} is not {kinds}"]
    if "enum" in rule and value not in rule["enum"]:
        found.append(f"{where}: {value!r} is not in {rule['enum']}")
    if "const" in rule and value != rule["const"]:
        found.append(f"{where}: {value!r} is not {rule['const']!r}")
    if "pattern" in rule and isinstance(value, str) and not re.search(rule["pattern"], value):
        found.append(f"{where}: {value!r} does not match {rule['pattern']}")
    if "minimum" in rule and value < rule["minimum"] or "maximum" in rule and value > rule["maximum"]:
        found.append(f"{where}: {value!r} is out of bounds")
    if "minLength" in rule and isinstance(value, str) and len(value) < rule["minLength"]:
        found.append(f"{where}: {value!r} is too short")
    if isinstance(value, list) and "items" in rule:
        for i, item in enumerate(value):
            found += violations(item, rule["items"], f"{where}[{i}]", root)
    if isinstance(value, dict):
        found += [f"{where}: {key} is missing" for key in rule.get("required", []) if key not in value]
        for key, item in value.items():
            patterns = [r for p, r in rule.get("patternProperties", {}).items() if re.search(p, key)]
            if key in rule.get("properties", {}):
                found += violations(item, rule["properties"][key], f"{where}.{key}", root)
            elif patterns:
                found += violations(item, patterns[0], f"{where}.{key}", root)
            elif rule.get("additionalProperties", True) is False:
                found.append(f"{where}: nobody told of {key}")
    for rules, enough in (("allOf", all), ("anyOf", any), ("oneOf", lambda x: sum(x) == 1)):
        if rules in rule and not enough([not violations(value, r, where, root) for r in rule[rules]]):
            found.append(f"{where}: not {rules}")
    if "if" in rule:
        branch = "else" if violations(value, rule["if"], where, root) else "then"
        found += violations(value, rule.get(branch, {}), where, root)
    return found


GOLDEN = os.path.join(os.path.dirname(__file__), "..", "golden", "events-schema.json")


def test_schema_is_the_golden_one():
    """A field that comes, goes or changes its type is seen in review. UPDATE_GOLDEN=1 writes it anew."""
    text = telamon("events", "--schema").stdout
    if os.environ.get("UPDATE_GOLDEN"):
        with open(GOLDEN, "w", encoding="utf-8") as f:
            f.write(text)
    with open(GOLDEN, encoding="utf-8") as f:
        assert text == f.read()


def test_schema_is_a_schema():
    s = schema()
    assert s["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert s["additionalProperties"] is False, "a field that nobody told of must be found"
    assert {"timestamp", "event.name", "severity_number", "severity_text"} <= set(s["required"])
    assert "oom.kill" in s["properties"]["event.name"]["enum"]


def test_schema_refuses(scene):
    """The check has teeth: each of these is found."""
    s = schema()
    good = next(e for e in scene.events if e["event.name"] == "oom.kill")
    assert violations(good, s) == []
    for change in ({"timestamp": 5}, {"event.name": "oom.kil"}, {"severity_number": 99}, {"process.pid": "7"},
                   {"telamon.oom.members": [{"pid": "x"}]}, {"telamon.oom.nonsense": 1}, {"severity_text": "LOUD"},
                   {"telamon.oom.scope": "planet"}, {"timestamp": "2026-11-22 09:31:07"}):
        assert violations({**good, **change}, s), change


def test_every_record_of_the_lab_fits_the_schema(make_agent):
    s = schema()
    agent = make_agent("oom: {aftermath: 2s}\n")
    assert telamon("lab", "oom", "--scenario", "all", "--url", agent.url).returncode == 0
    wait_for("the aftermaths", lambda: len(agent.events("type=oom.aftermath")) >= 15, 60)
    post_test(agent)
    events = agent.events()
    names = {e["event.name"] for e in events}
    assert {"oom.kill", "oom.aftermath", "runtime.alert"} <= names  # a reserve is the kernel's choice
    for event in events:
        assert violations(event, s) == [], event
        assert "" not in event.values(), "an unknown fact is left out, never empty"
        assert len(json.dumps(event)) <= 64 << 10


def test_schema_of_the_scene(scene):
    s = schema()
    for event in scene.events:
        assert violations(event, s) == [], event


# --- what this version does not have ---

@pytest.mark.parametrize("arguments, text", [
    (["--rule", "x"], "rules"), (["rules"], "rules"), (["rules", "list"], "rules"), (["tree", "1"], "process tree"),
    (["--follow", "--until", "1h"], "--until"), (["--follow", "--limit", "3"], "--limit"), (["nonsense"], "nonsense"),
    (["--format", "xml"], "xml"), (["--nonsense"], "nonsense"),
])
def test_usage(arguments, text):
    done = run(TELAMON, "events", *arguments)
    assert done.returncode == 2 and text in done.stderr and done.stdout == ""
