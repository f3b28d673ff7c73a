# SPDX-License-Identifier: Apache-2.0
"""OT-12: names that lie, pids and paths that are used again, floods. Bounded in time and number, each in cgroups of its own."""

import os
import signal
import subprocess
import time

import pytest

from conftest import BUILD, hog_command, run, telamon, wait_for

KILLS = os.path.join(BUILD, "tests/system/shim/kills")
LIMIT = 16 << 20


def programs_live(agent):
    if agent.live("oom_kill") in ("kmsg", "counters", "none"):
        pytest.skip("no program reports kills on this host")


def named_hog(comm):
    return hog_command(f"open('/proc/self/comm', 'wb').write({comm!r})\nb = []\nwhile True:\n    b.append(bytearray(b'x') * (1 << 20))\n")


def one(agent, path):
    return wait_for("the record", lambda: agent.kills(path))[0]


# --- texts ---


@pytest.mark.parametrize("comm, shown, lossy", [
    (b'a\n\x1b[31m"\\b', 'a\n\x1b[31m"\\b', False),
    (b"x) S 1 (,pid=1", "x) S 1 (,pid=1", False),
    (b"oom-kill:a=b,c", "oom-kill:a=b,c", False),
    (b"\xff\xfe\x80", "\ufffd\ufffd\ufffd", True),
])
def test_hostile_comm(shared_agent, cgroup, own, comm, shown, lossy):
    group = cgroup(own).limit(LIMIT)
    hog = group.spawn(*named_hog(comm))
    assert hog.wait() == -signal.SIGKILL
    record = one(shared_agent, own)
    assert record["telamon.oom.comm"] == shown
    assert record["process.pid"] == hog.pid
    assert record.get("telamon.lossy_text", False) is lossy
    raw = shared_agent.get("/api/v1/events?type=oom&limit=10000")[1]
    assert not set(raw) & {chr(c) for c in range(32) if c != 10} and "\x7f" not in raw
    for line in shared_agent.get("/metrics")[1].splitlines():
        assert line == "" or line[0] == "#" or line.rsplit(" ", 1)[1] != ""
    shown_text = telamon("oom", "show", "last", "--url", shared_agent.url).stdout
    assert "\x1b" not in shown_text and "killed" in shown_text


def test_hostile_cgroup_name(shared_agent, cgroup, own):
    group = cgroup(own + '/x\x1b]0;t\x07"y\\').limit(LIMIT)
    assert group.spawn(*hog_command()).wait() == -signal.SIGKILL
    record = one(shared_agent, group.path)
    assert record["telamon.cgroup.path"] == group.path
    for arguments in (["oom"], ["oom", "show", "last"], ["events"]):
        out = telamon(*arguments, "--url", shared_agent.url).stdout
        assert out and "\x1b" not in out and "\x07" not in out
    assert "\x1b" not in shared_agent.get("/metrics")[1]


# --- used again ---


def take_pid(pid):
    """A process that sleeps under the pid of one that is gone; None where the pid cannot be had."""
    for _ in range(300):
        try:
            with open("/proc/sys/kernel/ns_last_pid", "w", encoding="ascii") as f:
                f.write(str(pid - 1))
        except OSError as error:
            pytest.skip(f"a pid cannot be chosen: {error}")
        sleeper = subprocess.Popen(["/bin/sleep", "30"])  # pylint: disable=consider-using-with
        if sleeper.pid == pid:
            return sleeper
        sleeper.kill()
        sleeper.wait()
    return None


def test_pid_is_used_again_before_the_record_is_read(agent, cgroup, own):
    programs_live(agent)
    group = cgroup(own).limit(LIMIT)
    agent.signal(signal.SIGSTOP)
    hog = group.spawn(*hog_command())
    assert hog.wait() == -signal.SIGKILL
    impostor = take_pid(hog.pid)
    agent.signal(signal.SIGCONT)
    try:
        record = one(agent, own)
    finally:
        if impostor:
            impostor.kill()
            impostor.wait()
    if not impostor:
        pytest.skip("somebody else was faster than us at the pid")
    assert record["process.pid"] == hog.pid
    assert "sleep" not in record["process.executable.path"]
    assert "/bin/sleep" not in record.get("process.command_args", [])
    assert record["telamon.oom.comm"].startswith("python")
    after = wait_for("the aftermath", lambda: [e for e in agent.events("type=oom.aftermath&limit=100")
                                               if e.get("telamon.oom.decision") == record["telamon.oom.decision"]])
    assert len(after) == 1


def missing(agent, field):
    return agent.metric("telamon_oom_fields_missing_total", field=field)


def test_path_is_used_again_before_the_record_is_read(agent, cgroup, own):
    """The cgroup goes and another comes at the same path: its figures are not those of the dead one's."""
    programs_live(agent)
    group = cgroup(own).limit(LIMIT)
    old = group.id()
    wait_for("open files", lambda: agent.metric("telamon_oom_limit_cgroups"))
    before = missing(agent, "stat")
    agent.signal(signal.SIGSTOP)
    assert group.spawn(*hog_command()).wait() == -signal.SIGKILL
    os.rmdir(group.directory)
    os.mkdir(group.directory)
    group.limit(4 * LIMIT)
    new = group.id()
    agent.signal(signal.SIGCONT)
    record = one(agent, own)
    assert record["telamon.cgroup.id"] == str(old) and record["telamon.oom.limit.cgroup.id"] == str(old)
    assert record["telamon.oom.limit.max"] == LIMIT
    assert not [k for k in record if k.startswith("telamon.oom.stat.") or k == "telamon.oom.limit.peak"]
    assert "stat" in record["telamon.oom.missing"] and record["telamon.oom.complete"] is False
    assert missing(agent, "stat") == before + 1
    if old != new:
        assert group.spawn(*hog_command()).wait() == -signal.SIGKILL
        second = wait_for("the second record", lambda: len(agent.kills(own)) == 2 and agent.kills(own))[1]
        assert second["telamon.cgroup.id"] == str(new) and second["telamon.oom.limit.max"] == 4 * LIMIT
        assert "telamon.oom.stat.anon" in second


def test_cgroup_goes_between_mark_and_record(make_agent, cgroup, own):
    agent = make_agent("oom: {wait: 5s}\n")
    programs_live(agent)
    group = cgroup(own)
    made = run(KILLS, group.directory, 30, LIMIT, 4)
    assert made.stdout.strip() == "30", made.stderr
    records = wait_for("30 records", lambda: len(agent.kills(own)) == 30 and agent.kills(own))
    assert {r["telamon.cgroup.path"] for r in records} == {f"{own}/{i}" for i in range(30)}
    assert {r.get("telamon.oom.limit.cgroup.path") for r in records} == {f"{own}/{i}" for i in range(30)}


# --- floods ---

FORKER = """
import os, signal, ctypes
signal.alarm(40)
libc = ctypes.CDLL(None)
for i in range(150):
    if os.fork() == 0:
        libc.prctl(1, 9)
        b = bytearray(b'x') * (1 << 20)
        signal.alarm(40)
        signal.pause()
        os._exit(0)
while True:
    os.wait()
"""


def is_empty(group):
    """Whoever was forked too late to die with its parent is killed here."""
    group.kill_members(group.directory)
    with open(group.directory + "/cgroup.procs", encoding="ascii") as f:
        return not f.read()


def test_victim_that_forks_until_death(agent, cgroup, own):
    programs_live(agent)
    group = cgroup(own).limit(2 * LIMIT)
    forker = group.spawn("/usr/bin/python3", "-S", "-E", "-c", FORKER)
    try:
        wait_for("kills", lambda: group.oom_kills() >= 20 or forker.poll() is not None, 40)
    finally:
        forker.kill()
        forker.wait()
    wait_for("an empty cgroup", lambda: is_empty(group))
    total = group.oom_kills()
    records = wait_for("all records", lambda: len(agent.kills(own)) == total and agent.kills(own))
    assert total > 0 and len({r["telamon.process.id"] for r in records}) == total
    assert agent.lost() == {}


# Zombies take any number of signals.
SIGNALS = """
import os, time
pid = os.fork()
if pid == 0:
    os._exit(0)
time.sleep(0.2)
end, n = time.monotonic() + 3, 0
while time.monotonic() < end:
    for _ in range(1000):
        os.kill(pid, 9)
    n += 1000
print(n)
"""


def test_signals_of_user_space_are_no_kills(agent, cgroup, own):
    programs_live(agent)
    group = cgroup(own).limit(LIMIT)
    total, records = agent.balance(), agent.metric("telamon_oom_records_total")
    with subprocess.Popen(["/usr/bin/python3", "-S", "-E", "-c", SIGNALS], stdout=subprocess.PIPE, text=True) as flood:
        time.sleep(1)
        assert group.spawn(*hog_command()).wait() == -signal.SIGKILL
        one(agent, own)
        sent = int(flood.communicate()[0])
    assert sent > 100000
    wait_for("the counter", lambda: agent.metric("telamon_oom_node_kills_total") == total())
    assert not [e for e in agent.events("type=oom.reserve&limit=100") if e.get("telamon.oom.comm", "").startswith("python")]
    # A record and an exit for each kill, and nothing for 100,000 signals.
    assert agent.metric("telamon_oom_records_total") - records <= 4 * total()
    assert agent.metric("telamon_oom_unseen_kills_total") == 0


CGROUPS = """
import os, sys, time
base, end, n = sys.argv[1], time.monotonic() + 4, 0
while time.monotonic() < end:
    d = f"{base}/c{n}"
    os.mkdir(d)
    os.rmdir(d)
    n += 1
print(n)
"""


def rss(agent):
    with open(f"/proc/{agent.pid}/statm", encoding="ascii") as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_thousands_of_cgroups_a_second(make_agent, cgroup, own):
    agent = make_agent("identity: {entries: 2048, tombstones: 512}\n")
    programs_live(agent)
    groups = [cgroup(f"{own}/flood{i}") for i in range(2)]
    hogs = cgroup(own + "/hogs")
    before = rss(agent)
    floods = [subprocess.Popen(["/usr/bin/python3", "-S", "-E", "-c", CGROUPS, g.directory], stdout=subprocess.PIPE, text=True)
              for g in groups]
    time.sleep(0.5)
    made = run(KILLS, hogs.directory, 20, LIMIT, 2)
    assert made.stdout.strip() == "20", made.stderr
    cgroups = sum(int(f.communicate()[0]) for f in floods)
    assert cgroups > 2000
    records = wait_for("20 records", lambda: len(agent.kills(hogs.path)) == 20 and agent.kills(hogs.path))
    assert {r["telamon.cgroup.path"] for r in records} == {f"{hogs.path}/{i}" for i in range(20)}
    entries = sum(v for k, v in agent.metrics().items() if k.startswith("telamon_identity_entries{"))
    assert entries <= 2048 and agent.metric("telamon_identity_tombstones") <= 512
    assert agent.metric("telamon_identity_tombstones_evicted_total") > 0
    assert agent.lost() == {}
    assert rss(agent) < before + (32 << 20)

