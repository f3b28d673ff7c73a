# SPDX-License-Identifier: Apache-2.0
"""What goes wrong on real nodes: each ends in a clear message and the best service that is left."""

import glob
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading

import pytest

from conftest import AGENT, TELAMON, Agent, hog_command, need, run, telamon, wait_for


def in_mounts(script):
    """Prefix of a command that runs in mounts of its own, after `script`."""
    return ["unshare", "-m", "--propagation", "private", "/bin/sh", "-ec", script + '\nexec "$@"', "sh"]


def hide(directory):
    return f"if [ -d {directory} ]; then mount -t tmpfs -o size=64k none {directory}; fi\n"


NO_BTF = hide("/sys/kernel/btf")
NO_TRACEFS = hide("/sys/kernel/tracing") + hide("/sys/kernel/debug")


@pytest.fixture
def kill(cgroup, own):
    """kill() makes one OOM kill in a cgroup of its own and returns the path of that cgroup."""
    made = []

    def make(*arguments):
        group = cgroup(f"{own}/{len(made)}").limit(32 << 20)
        made.append(group)
        victim = group.spawn(*hog_command(), *arguments)
        assert victim.wait(60) == -signal.SIGKILL
        return group.path

    return make


def record(agent, path):
    return wait_for("the record", lambda: agent.kills(path), 30)[0]


def on_stderr(agent, path):
    """Records of kills in `path` that stand in the agent's output as JSON."""
    lines = [line for line in agent.log().splitlines() if line.startswith("{") and '"oom.kill"' in line]
    return [e for e in map(json.loads, lines) if e["telamon.cgroup.path"] == path]


def doctor(agent):
    return run(TELAMON, "doctor", "--hooks.file", os.path.join(agent.run, "hooks.json"), "--url", agent.url)


# --- less of a kernel ---

def test_no_btf_then_btf_and_a_reload(make_agent, kill):
    """Without BTF classic tracepoints or the kernel log serve; when BTF is there again, a reload finds it, and no kill is lost or told twice."""
    agent = make_agent("oom: {wait: 200ms}\n", prefix=in_mounts(NO_BTF + NO_TRACEFS))
    poorer = agent.live("oom_kill")
    assert poorer in ("tracepoint", "kmsg")
    assert "no_btf" in doctor(agent).stdout
    first = record(agent, kill())
    assert first["telamon.oom.comm"] == "python3" and first["telamon.oom.scope"] == "memcg"

    assert run("nsenter", "-t", agent.pid, "-m", "umount", "/sys/kernel/btf").returncode == 0
    agent.signal(signal.SIGHUP)
    wait_for("the better variant", lambda: agent.live("oom_kill") == "tp_btf_task", 60)
    assert f"capability oom_kill changes from {poorer} to tp_btf_task" in agent.log()
    assert agent.live("oom_signal") == "tp_btf" and agent.live("cgroup_track") == "tp_btf"
    path = kill()
    second = record(agent, path)
    assert second["process.executable.path"].startswith("/usr/bin/python3")
    assert "oom_kill/tp_btf_task" in second["telamon.hook"]

    # What is attached goes on without it: a reload never makes things worse.
    assert run("nsenter", "-t", agent.pid, "-m", "mount", "-t", "tmpfs", "none", "/sys/kernel/btf").returncode == 0
    agent.signal(signal.SIGHUP)
    wait_for("the second reload", lambda: agent.log().count("configuration reloaded") == 2, 60)
    third = record(agent, kill())
    assert third["telamon.oom.comm"] == "python3" and "oom_kill/tp_btf_task" in third["telamon.hook"]
    assert len(agent.kills(path)) == 1
    with open(os.path.join(agent.run, "hooks.json"), encoding="utf-8") as f:
        states = {c["capability"]: c["live"] for c in json.load(f)["capabilities"]}
    assert states["oom_kill"] == "tp_btf_task"
    assert agent.lost() == {}


def test_a_reload_without_a_change_of_variants(make_agent, kill):
    agent = make_agent()
    before = {k: v for k, v in agent.metrics().items() if k.startswith("telamon_hook_")}
    agent.signal(signal.SIGHUP)
    wait_for("the reload", lambda: "configuration reloaded" in agent.log(), 60)
    assert {k: v for k, v in agent.metrics().items() if k.startswith("telamon_hook_")} == before
    assert "changes from" not in agent.log()
    assert record(agent, kill())["telamon.oom.role"] == "chosen"


def test_no_tracefs(make_agent):
    agent = make_agent(prefix=in_mounts(NO_TRACEFS))
    assert agent.live("oom_kill") == "tp_btf_task"
    shown = run("nsenter", "-t", agent.pid, "-m", TELAMON, "doctor", "--hooks.file",
                os.path.join(agent.run, "hooks.json"), "--fix", "--format", "text")
    refused = agent.metric("telamon_hook_refused_info", capability="oom_kill", variant="tracepoint")
    assert ("mount -t tracefs" in shown.stdout) == (refused == 1)


# --- fewer rights ---

@pytest.fixture
def open_directory():
    """A directory that everybody reaches, with a copy of the agent: the build tree may be closed to others."""
    directory = tempfile.mkdtemp(prefix="telamon-")
    os.chmod(directory, 0o777)
    shutil.copy(AGENT, directory)
    yield directory
    shutil.rmtree(directory)


RIGHTS = {
    "uid": ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"],
    "caps": ["setpriv", "--bounding-set=-all", "--inh-caps=-all"],
}


@pytest.mark.parametrize("who", RIGHTS)
def test_no_rights(open_directory, kill, who):
    need("setpriv")
    agent = Agent(open_directory, prefix=RIGHTS[who])
    agent.command = [os.path.join(open_directory, "telamon-agent") if c == AGENT else c for c in agent.command]
    try:
        agent.start()
        log = agent.log()
        assert agent.live("oom_kill") == "counters", log
        for message in ("oom_score_adj", "CAP_IPC_LOCK", "capability oom_signal has no variant"):
            assert message in log, log
        assert agent.metric("telamon_agent_protection", what="locked") == 0
        shown = doctor(agent)
        assert shown.returncode == 3 and "blind" in shown.stdout
        assert "no_capability" in shown.stdout or "eperm" in shown.stdout
        if who == "caps":  # files of root are readable: the counters tell that there was a kill
            kill()
            wait_for("the kill to be counted", lambda: agent.metric("telamon_oom_unseen_kills_total") >= 1, 30)
            assert [e for e in agent.events("type=oom.unseen")]
        assert agent.get("/api/v1/events")[0] == 200
        assert agent.stop() == 0
    finally:
        agent.stop()


# --- a disk that does not take it ---

READ_ONLY = """\
awk '$5 !~ "^/(proc|sys|dev)" { print $5 }' /proc/self/mountinfo | while read -r m; do
    mount -o remount,bind,ro "$m" 2>/dev/null || :
done
"""


def test_read_only_root(make_agent, kill):
    agent = make_agent("oom: {wait: 200ms}\n", prefix=in_mounts(READ_ONLY))
    assert "events are not journalled" in agent.log() and "hooks.json" in agent.log()
    path = kill()
    told = wait_for("the record on stderr", lambda: on_stderr(agent, path), 30)
    assert len(told) == 1 and told[0]["telamon.oom.role"] == "chosen"
    assert agent.metric("telamon_oom_node_kills_total") >= 1
    status, body = agent.get("/api/v1/events")
    assert status == 503 and "journal" in body
    assert agent.stop() == 0
    assert len(on_stderr(agent, path)) == 1


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 1 MiB: mounted here, because the agent and the test both look at it."""
    directory = tmp_path / "small"
    directory.mkdir()
    if run("mount", "-t", "tmpfs", "-o", "size=1m", "none", directory).returncode != 0:
        pytest.skip("tmpfs cannot be mounted")
    yield str(directory)
    run("umount", "-l", directory)


def fill(directory):
    path = os.path.join(directory, "filler")
    with open(path, "wb", buffering=0) as f:
        try:
            while f.write(b"\0" * 4096):
                pass
        except OSError:
            pass
    return path


@pytest.mark.parametrize("when", ["before", "later"])
def test_full_disk(make_agent, kill, small_disk, when):
    """Full when the agent starts, or while it runs: told on stderr, live to followers, in the journal once there is room."""
    filler = fill(small_disk) if when == "before" else None
    agent = make_agent(f"oom: {{wait: 200ms}}\nevents: {{journal: {{path: {small_disk}/j.db}}}}\n")
    early = kill() if when == "later" else None
    if early:
        record(agent, early)
        filler = fill(small_disk)
    path = kill()
    wait_for("the record on stderr", lambda: on_stderr(agent, path), 30)
    wait_for("the error to be counted", lambda: agent.metric("telamon_journal_errors_total") >= 1)
    assert "journal" in agent.log()
    if when == "later":
        assert not agent.kills(path)
    os.unlink(filler)
    wait_for("the record in the journal", lambda: agent.get("/api/v1/events")[0] == 200 and agent.kills(path), 60)
    assert len(agent.kills(path)) == 1 and len(on_stderr(agent, path)) == 1
    assert not early or len(agent.kills(early)) == 1
    assert agent.metric("telamon_journal_missed_total") == 0
    assert agent.stop() == 0


def test_full_disk_at_the_end(make_agent, kill, small_disk):
    """SIGTERM does not wait for a disk that does not take it."""
    agent = make_agent(f"oom: {{wait: 200ms}}\nevents: {{journal: {{path: {small_disk}/j.db}}}}\n")
    fill(small_disk)
    path = kill()
    wait_for("the record on stderr", lambda: on_stderr(agent, path), 30)
    assert agent.stop() == 0
    assert len(on_stderr(agent, path)) == 1


def test_journal_directory_is_made(make_agent, tmp_path):
    agent = make_agent(f"events: {{journal: {{path: {tmp_path}/a/b/c/j.db}}}}\n")
    assert agent.get("/api/v1/events")[0] == 200
    assert os.stat(tmp_path / "a" / "b" / "c").st_mode & 0o7 == 0, "others may not look into it"
    assert os.stat(tmp_path / "a" / "b" / "c" / "j.db").st_mode & 0o137 == 0


@pytest.mark.parametrize("path", ["/dev/null/j.db", "/proc/j.db", "@DIR@"])
def test_journal_that_cannot_be(make_agent, path):
    agent = make_agent(f"oom: {{enabled: false}}\nevents: {{journal: {{path: {path}}}}}\n")
    assert f"journal '{path.replace('@DIR@', agent.directory)}'" in agent.log()
    assert agent.get("/metrics")[0] == 200 and agent.get("/-/ready")[0] == 200
    status, body = agent.get("/api/v1/events")
    assert status == 503 and "journal" in body
    assert agent.stop() == 0


def test_damaged_journal_is_set_aside(make_agent):
    agent = make_agent("oom: {enabled: false}\n", start=False)
    with open(agent.journal, "wb") as f:
        f.write(b"this was a database once\n" * 500)
    agent.start()
    assert agent.get("/api/v1/events")[0] == 200
    assert glob.glob(agent.journal + ".corrupt-*")


# --- a place that is taken ---

def test_port_is_taken(make_agent, tmp_path):
    first = make_agent("oom: {enabled: false}\n")
    hooks = os.stat(os.path.join(first.run, "hooks.json"))
    second = run(AGENT, f"--config.file={first.config_file}", f"--web.listen-address=127.0.0.1:{first.port}")
    assert second.returncode == 1
    assert f"listen address '127.0.0.1:{first.port}' is taken" in second.stderr
    assert os.stat(os.path.join(first.run, "hooks.json")).st_mtime_ns == hooks.st_mtime_ns
    assert first.get("/-/healthy")[0] == 200


# --- the end, and what is left ---

def program_ids(pid):
    """BPF programs that the process holds, by the links that it holds."""
    ids = set()
    for path in glob.glob(f"/proc/{pid}/fdinfo/*"):
        try:
            with open(path, encoding="ascii") as f:
                ids |= {int(line.split()[1]) for line in f if line.startswith("prog_id:")}
        except OSError:
            continue
    return ids


def pinned():
    return sorted(glob.glob("/sys/fs/bpf/**", recursive=True))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_end_leaves_nothing(make_agent, number):
    pins, cgroups = pinned(), glob.glob("/sys/fs/cgroup/*/*agent*")
    agent = make_agent()
    held = program_ids(agent.pid)
    assert len(held) >= 5
    # Somebody follows, somebody holds a connection: neither delays the end.
    follower = socket.create_connection(("127.0.0.1", agent.port))
    follower.sendall(b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n")
    assert follower.recv(100)
    idle = socket.create_connection(("127.0.0.1", agent.port))
    agent.signal(number)
    assert agent.process.wait(10) == 0
    follower.close()
    idle.close()
    assert f"stopping on signal {int(number)}" in agent.log()
    bpftool = shutil.which("bpftool") or "/usr/sbin/bpftool"
    if os.path.exists(bpftool):
        wait_for("the programs to go", lambda: all(
            run(bpftool, "prog", "show", "id", i).returncode != 0 for i in held))
    assert pinned() == pins and glob.glob("/sys/fs/cgroup/*/*agent*") == cgroups
    assert os.listdir(agent.run) == [], "hooks.json tells of an agent that runs"
    assert sorted(os.listdir(agent.directory)) == ["agent.log", "agent.yaml", "journal.db", "run"]


def test_end_while_starting(make_agent):
    for _ in range(5):
        agent = make_agent(ready=False)
        wait_for("its first words", agent.log)
        agent.signal(signal.SIGTERM)
        assert agent.process.wait(30) == 0, agent.log()


def test_killed_agent_keeps_its_records(make_agent, kill):
    """What was visible survives kill -9 right after; counters begin anew; ids do not repeat."""
    agent = make_agent("oom: {wait: 200ms}\n")
    path = kill()
    seen = record(agent, path)
    agent.process.kill()
    agent.process.wait()
    agent.start()
    again = agent.kills(path)
    assert [e["telamon.id"] for e in again] == [seen["telamon.id"]] and again[0] == seen
    assert agent.metric("telamon_oom_node_kills_total") == 0
    later = record(agent, kill())
    assert later["telamon.id"].split("-")[0] > seen["telamon.id"].split("-")[0]
    need("sqlite3")
    assert run("sqlite3", agent.journal, "PRAGMA integrity_check").stdout == "ok\n"


def test_closed_standard_descriptors(make_agent, kill):
    """Nothing else may stand where the log is written."""
    agent = make_agent("oom: {wait: 200ms}\nevents: {journal: {path: @DIR@/journal.db}, sinks: [{type: stdout}]}\n",
                       prefix=["/bin/sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh"])
    path = kill()
    record(agent, path)
    for fd in (0, 1, 2):
        assert os.readlink(f"/proc/{agent.pid}/fd/{fd}") == "/dev/null"
    assert agent.stop() == 0


def test_stdout_that_nobody_reads(make_agent, kill):
    """A pipe that is full holds up nothing but itself."""
    agent = make_agent("oom: {wait: 200ms}\nevents: {journal: {path: @DIR@/journal.db}, sinks: [{type: stdout}]}\n", start=False)
    read, write = os.pipe()
    os.set_blocking(write, False)
    try:
        while os.write(write, b"x" * 4096):
            pass
    except BlockingIOError:
        pass
    os.set_blocking(write, True)
    with open(agent.log_file, "ab") as log:
        agent.process = subprocess.Popen(agent.command, stdout=write, stderr=log, stdin=subprocess.DEVNULL)
    os.close(write)
    wait_for("a ready agent", agent.is_ready, 60)
    for _ in range(2):
        record(agent, kill())
    wait_for("the error", lambda: agent.metric("telamon_sink_errors_total", sink="stdout") >= 2)
    drained = threading.Thread(target=lambda: os.read(read, 1 << 20))
    drained.start()
    drained.join()
    path = kill()
    record(agent, path)
    os.set_blocking(read, False)
    text = wait_for("a line again", lambda: read_all(read))
    assert path in text
    assert agent.stop() == 0
    os.close(read)


def read_all(fd):
    text = b""
    try:
        while chunk := os.read(fd, 65536):
            text += chunk
    except BlockingIOError:
        pass
    text = text.lstrip(b"x").decode()
    return text if text.endswith("\n") else ""


def test_the_commands_without_an_agent(tmp_path, make_agent):
    """The journal serves when the agent is down; without both it is 3 and says what was tried."""
    done = telamon("oom", "--url", "http://127.0.0.1:1")
    assert done.returncode == 3 and "127.0.0.1:1" in done.stderr
    done = telamon("oom", "--journal", tmp_path / "none.db")
    assert done.returncode == 3 and f"{tmp_path}/none.db" in done.stderr
    (tmp_path / "bad.db").write_bytes(b"nonsense" * 1000)
    done = telamon("events", "--journal", tmp_path / "bad.db")
    assert done.returncode == 3 and "bad.db" in done.stderr
    agent = make_agent("oom: {enabled: false}\n")
    assert telamon("events", "test", "--url", agent.url).returncode == 0
    agent.stop()
    assert telamon("events", "--journal", agent.journal).returncode == 0
    assert telamon("oom", "--journal", agent.journal).returncode == 1
