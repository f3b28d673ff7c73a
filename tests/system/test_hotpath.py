# SPDX-License-Identifier: Apache-2.0
"""OOM-612, OOM-613: what the agent asks of libc and of the kernel between a record of the ring and the counter."""

import os
import re
import signal
import struct
import subprocess

import pytest

from conftest import BUILD, need, run, wait_for

SHIM = os.path.join(BUILD, "tests/system/shim/count_event_path.so")
KILLS = os.path.join(BUILD, "tests/system/shim/kills")
COUNTS = ["records", "victims", "allocations", "frees", "opens", "forks", "locks", "stdio", "outside"]
LIMIT = 8 << 20
FILES_V1 = ["memory.stat", "memory.usage_in_bytes", "memory.limit_in_bytes", "memory.max_usage_in_bytes", "memory.oom_control",
            "memory.failcnt"]
FILES_V2 = ["memory.stat", "memory.current", "memory.max", "memory.events.local"]


def kills(group, count, parallel, *more, limit=LIMIT):
    made = run(KILLS, group.directory, count, limit, parallel, *more, timeout=300)
    assert made.returncode == 0, made.stderr
    assert made.stdout.strip() == str(count)


def counted_agent(make_agent, tmp_path, config=""):
    """An agent whose libc calls inside the ring callback are counted, and what reads the counts."""
    file = tmp_path / "counts"
    file.write_bytes(bytes(8 * len(COUNTS)))
    agent = make_agent(config, env={**os.environ, "LD_PRELOAD": SHIM, "TELAMON_COUNT_FILE": str(file)})
    if agent.live("oom_kill") in ("kmsg", "counters", "none"):
        pytest.skip("no program reports kills on this host")
    return agent, lambda: dict(zip(COUNTS, struct.unpack(f"={len(COUNTS)}Q", file.read_bytes())))


def asked(counts):
    return {k: v for k, v in counts.items() if v and k not in ("records", "victims", "outside")}


def test_nothing_is_asked_of_libc(make_agent, tmp_path, cgroup, own):
    agent, counts = counted_agent(make_agent, tmp_path)
    group = cgroup(own)
    kills(group, 40, 8)
    wait_for("all records", lambda: len(agent.kills(own)) == 40)
    result = counts()
    assert result["victims"] >= 40 and result["outside"] > 1000, result
    assert asked(result) == {}, result


def test_nothing_is_asked_when_decisions_make_room(make_agent, tmp_path, cgroup, own):
    """More decisions at once than there are slots: the oldest is written out while a record is handled."""
    agent, counts = counted_agent(make_agent, tmp_path, "oom: {ring_bytes: 8MiB}\n")
    group = cgroup(own)
    agent.signal(signal.SIGSTOP)
    kills(group, 500, 16)
    agent.signal(signal.SIGCONT)
    agent.all_kills(own, 500)
    assert agent.metric("telamon_oom_node_kills_total") >= 500
    result = counts()
    # A worker is asked for names of symbols there; it holds its lock for a few instructions only.
    assert {k: v for k, v in asked(result).items() if k != "locks"} == {}, result
    if not wait_for("the metric", lambda: agent.metric("telamon_oom_records_total") >= 500) or \
            not agent.metric("telamon_oom_lost_total", reason="victims_full"):
        pytest.skip("the host was so slow that every decision found a free slot")


# What may follow the counter in the same wake-up: the spill, files that are open, the event writer, a worker, the timer.
ALLOWED = {"bpf", "read", "pread64", "write", "futex", "timerfd_settime"}


def test_syscalls_of_the_loop_thread(make_agent, cgroup, own, tmp_path):
    need("strace")
    agent = make_agent()
    group = cgroup(own)
    kills(group, 4, 4, "keep")
    wait_for("records", lambda: len(agent.kills(own)) == 4)
    wait_for("open files", lambda: all(open_below(agent.pid, f"{group.directory}/{i}") for i in range(4)))
    trace = tmp_path / "trace"
    with subprocess.Popen(["strace", "-q", "-e", "signal=none", "-o", str(trace), "-p", str(agent.pid)], stdin=subprocess.DEVNULL,
                          stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as strace:
        try:
            wait_for("strace", lambda: strace.poll() is not None or (trace.exists() and trace.stat().st_size > 0))
            if strace.poll() is not None:
                pytest.skip("ptrace is refused: " + strace.stderr.read().strip())
            kills(group, 60, 1, "reuse")
            wait_for("all records", lambda: len(agent.kills(own)) == 64, 60)
        finally:
            strace.terminate()
    # A wake-up by the ring alone, told by its source: that after which the spill is asked for. Between the two stand the callback,
    # the counter and the bus: no system call at all.
    alone = [w for w in wake_ups(trace.read_text(errors="replace")) if re.search(r"= 1$", w[0]) and "u64=0}" not in w[0]]
    direct = [w for w in alone if len(w) > 1 and "BPF_MAP_GET_NEXT_KEY" in w[1]]
    sources = {re.search(r"u64=(\w+)", w[0]).group(1) for w in direct}
    assert len(sources) == 1 and len(direct) >= 10, sources
    assert [w for w in alone if next(iter(sources)) in w[0] and w not in direct] == []
    calls = {line.split("(", 1)[0] for w in direct for line in w[1:]}
    assert calls <= ALLOWED, calls


def wake_ups(text):
    """The system calls after each return of epoll_wait of the loop, that one first."""
    current = []
    for line in text.splitlines():
        if re.match(r"epoll_wait\(\d+, \[\{", line):
            if current:
                yield current
            current = [line]
        elif current and re.match(r"[a-z_0-9]+\(", line):
            current.append(line)
    if current:
        yield current


def open_below(pid, directory):
    """Names of the files of a cgroup that a process has open."""
    names = []
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            path = os.readlink(f"/proc/{pid}/fd/{fd}")
        except OSError:
            continue
        if os.path.dirname(path) == directory:
            names.append(os.path.basename(path))
    return names


def test_files_are_open_before_the_kill(agent, cgroup, own):
    calm, limited = cgroup(own + "/calm"), cgroup(own + "/limited").limit(LIMIT)
    wanted = FILES_V1 if limited.v1 else FILES_V2
    wait_for("open files", lambda: set(wanted) <= set(open_below(agent.pid, limited.directory)))
    assert open_below(agent.pid, calm.directory) == []
    wait_for("the metric", lambda: agent.metric("telamon_oom_limit_cgroups") >= 1)
    limited.remove()
    wait_for("closed files", lambda: not open_below(agent.pid, limited.directory + " (deleted)") and
             not open_below(agent.pid, limited.directory))


def descriptors(agent, own):
    """How many descriptors there are but for files of other people's cgroups, and those of our own."""
    paths = []
    for fd in os.listdir(f"/proc/{agent.pid}/fd"):
        try:
            paths.append(os.readlink(f"/proc/{agent.pid}/fd/{fd}"))
        except OSError:
            continue
    # A watched cgroup of cgroup v1 has an eventfd, too.
    ours = [p for p in paths if own in p]
    return len([p for p in paths if "/memory." not in p and p != "anon_inode:[eventfd]"]), len(ours)


def test_descriptors_are_stable_over_1000_kills(agent, cgroup, own):
    group = cgroup(own)
    kills(group, 8, 8)
    wait_for("records", lambda: len(agent.kills(own)) == 8)
    before, _ = descriptors(agent, own)
    for _ in range(4):
        kills(group, 250, 8)
    agent.all_kills(own, 1008)
    # Connections of this test come and go; files of cgroups that are gone must not stay.
    wait_for("closed files", lambda: descriptors(agent, own)[0] <= before + 4 and descriptors(agent, own)[1] == 0, 30)
    assert agent.lost() == {}
    assert agent.metric("telamon_oom_unseen_kills_total") == 0


def test_fewer_files_where_descriptors_are_refused(make_agent, cgroup, own):
    need("prlimit")
    group = cgroup(own)
    agent = make_agent(prefix=["prlimit", "--nofile=2100:2100", "--"])
    if "files of" not in agent.log():
        pytest.skip("the limit can be raised by right: CAP_SYS_RESOURCE is held")
    limited = [cgroup(f"{own}/{i}").limit(LIMIT) for i in range(12)]
    wait_for("refusals", lambda: agent.metric("telamon_oom_limit_refused_total"))

    def accounted():
        """Cgroups are found one after the other: in the end each has its files or was refused."""
        kept = agent.metric("telamon_oom_limit_cgroups")
        return 0 < kept < 12 and agent.metric("telamon_oom_limit_refused_total") >= 12 - kept
    wait_for("every cgroup", accounted)
    # The kill in one of the others is complete all the same, and from then on its files are open.
    open_ones = {g.path for g in limited if open_below(agent.pid, g.directory)}
    other = next(g for g in limited if g.path not in open_ones)
    hog = other.spawn(KILLS, "/", "1", "1", "1")
    hog.wait()
    grow = other.spawn("/usr/bin/python3", "-S", "-E", "-c", "b = bytearray(b'x') * (64 << 20)")
    grow.wait()
    record = wait_for("the record", lambda: agent.kills(other.path))[0]
    assert "telamon.oom.stat.anon" in record
    wait_for("its files", lambda: open_below(agent.pid, other.directory))
    assert agent.metric("telamon_oom_limit_evicted_total") == 1
    assert group.path == own
