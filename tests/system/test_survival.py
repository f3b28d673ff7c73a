# SPDX-License-Identifier: Apache-2.0
"""OOM-611, OOM-621, OOM-101: protection of the agent, its rights, and hooks that are probed again."""

import json
import os
import signal

import pytest

from conftest import BUILD, hog_command, need, run, telamon, wait_for

KILLS = os.path.join(BUILD, "tests/system/shim/kills")
LIMIT = 8 << 20
CAP_SYS_RESOURCE, CAP_PERFMON, CAP_BPF = 24, 38, 39


def kills(group, count, parallel):
    made = run(KILLS, group.directory, count, LIMIT, parallel, timeout=300)
    assert made.returncode == 0 and made.stdout.strip() == str(count), made.stderr


def status(path):
    with open(path, encoding="ascii", errors="replace") as f:
        return dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)


def holds(path, capability):
    return bool(int(status(path)["CapPrm"], 16) >> capability & 1)


def threads(agent):
    return [f"/proc/{agent.pid}/task/{t}/status" for t in os.listdir(f"/proc/{agent.pid}/task")]


# --- protection ---


def test_protected(agent):
    assert int(status(f"/proc/{agent.pid}/status")["VmLck"].split()[0]) > 1024
    assert agent.metric("telamon_agent_protection", what="locked") == 1
    assert agent.metric("telamon_agent_protection", what="ring_prefault") == 1
    with open(f"/proc/{agent.pid}/oom_score_adj", encoding="ascii") as f:
        adj = int(f.read())
    lowered = adj <= -999
    assert adj > -1000
    assert agent.metric("telamon_agent_protection", what="adj") == lowered
    assert agent.log().count("cannot set oom_score_adj") == (not lowered)
    # Memory that is only reserved is not paid for: the lock is on fault.
    locked = int(status(f"/proc/{agent.pid}/status")["VmRSS"].split()[0])
    assert locked < 64 << 10


def test_stacks_of_threads_are_small(agent):
    """Stacks are mapped beside a guard page; the largest would be 8 MiB without a size of our own."""
    sizes = []
    with open(f"/proc/{agent.pid}/maps", encoding="ascii", errors="replace") as f:
        lines = f.read().splitlines()
    for guard, stack in zip(lines, lines[1:]):
        g, s = guard.split(), stack.split()
        if g[1] == "---p" and len(g) == 5 and s[1] == "rw-p" and len(s) == 5 and g[0].split("-")[1] == s[0].split("-")[0]:
            begin, end = (int(x, 16) for x in s[0].split("-"))
            sizes.append(end - begin)
    assert sizes.count(256 << 10) >= 4, sizes  # two workers, the writer, HTTP
    assert 8 << 20 not in sizes


def test_each_missing_protection_is_told(make_agent, cgroup, own):
    need("setpriv", "prlimit")
    agent = make_agent(prefix=["prlimit", "--memlock=0:0", "--", "setpriv", "--bounding-set", "-ipc_lock,-sys_resource", "--"])
    log = agent.log()
    assert log.count("cannot lock all memory") == 1
    assert agent.metric("telamon_agent_protection", what="locked") == 0
    assert agent.metric("telamon_agent_protection", what="ring_prefault") == 0
    assert agent.metric("telamon_agent_protection", what="adj") == 0
    assert log.count("cannot set oom_score_adj") == 1
    doctor = telamon("doctor", "--url", agent.url, "--hooks.file", f"{agent.run}/hooks.json")
    assert "memory not locked" in doctor.stdout and "oom_score_adj not set" in doctor.stdout, doctor.stdout + doctor.stderr
    group = cgroup(own)
    kills(group, 3, 1)
    wait_for("records", lambda: len(agent.kills(own)) == 3)


# --- rights ---


def test_drop_capabilities(make_agent, cgroup, own):
    agent = make_agent("oom: {drop_capabilities: true}\n")
    wait_for("dropped rights", lambda: "CAP_BPF and CAP_PERFMON dropped" in agent.log())
    assert len(threads(agent)) >= 4
    for thread in threads(agent):
        assert not holds(thread, CAP_BPF) and not holds(thread, CAP_PERFMON), thread
    group = cgroup(own)
    kills(group, 5, 2)
    wait_for("records", lambda: len(agent.kills(own)) == 5)
    # What is read each second by bpf(2) is still read.
    assert agent.lost() == {}
    agent.signal(signal.SIGHUP)
    wait_for("the log", lambda: "hooks are not probed again" in agent.log())
    assert "hooks probed again" not in agent.log()
    kills(group, 2, 1)
    wait_for("records", lambda: len(agent.kills(own)) == 7)


def test_rights_are_kept_without_being_asked(agent):
    for thread in threads(agent):
        assert holds(thread, CAP_BPF) and holds(thread, CAP_PERFMON), thread


# --- probing again ---


def probed(agent):
    return agent.log().count("hooks probed again")


def test_reload_probes_again_and_loses_nothing(agent, cgroup, own):
    hooks = os.path.join(agent.run, "hooks.json")
    live = {c["capability"]: c["live"] for c in json.load(open(hooks, encoding="utf-8"))["capabilities"]}
    before = os.stat(hooks).st_ino
    group = cgroup(own)
    for n in range(1, 4):
        agent.signal(signal.SIGHUP)
        kills(group, 20, 4)
        wait_for("the probe", lambda: probed(agent) == n)
    wait_for("60 records", lambda: len(agent.kills(own)) == 60)
    assert not any(e.get("telamon.oom.attempts", 1) > 1 for e in agent.kills(own))
    assert os.stat(hooks).st_ino != before
    assert {c["capability"]: c["live"] for c in json.load(open(hooks, encoding="utf-8"))["capabilities"]} == live
    assert agent.lost() == {}


def test_better_hooks_take_over(make_agent, cgroup, own):
    """A ring that finds no memory in the agent's cgroup at start, and does after the limit was raised."""
    home = cgroup(own + "/agent")
    home.limit(40 << 20)
    agent = make_agent("oom: {ring_bytes: 64MiB}\n", prefix=["/bin/sh", "-c", f'echo 0 >{home.directory}/cgroup.procs; exec "$@"', "sh"])
    worse = agent.live("oom_kill")
    if worse in ("tp_btf_task", "tp_btf_pid"):
        pytest.skip("the kernel does not account this ring to the cgroup")
    if home.v1:
        home.write("memory.memsw.limit_in_bytes", -1)
    home.write("memory.limit_in_bytes" if home.v1 else "memory.max", "-1" if home.v1 else "max")
    agent.signal(signal.SIGHUP)
    group = cgroup(own + "/kills")
    kills(group, 40, 4)
    wait_for("better hooks", lambda: agent.live("oom_kill") not in (worse, None), 60)
    assert "capability oom_kill changes from" in agent.log()
    kills(group, 20, 4)
    wait_for("records", lambda: len([k for k in agent.kills(group.path) if "telamon.oom.thread" in k]) >= 20)
    assert agent.metric("telamon_oom_node_kills_total") >= 20


# --- the kernel log ---


@pytest.mark.parametrize("mode", ["on", "off", "auto"])
def test_kernel_log(make_agent, cgroup, own, mode):
    agent = make_agent(f"oom: {{kmsg: {mode}}}\n")
    kmsg = any(os.readlink(f"/proc/{agent.pid}/fd/{fd}") == "/dev/kmsg" for fd in os.listdir(f"/proc/{agent.pid}/fd")
               if os.path.islink(f"/proc/{agent.pid}/fd/{fd}"))
    hooked = agent.live("oom_decision") in ("fentry", "kprobe")
    assert kmsg == {"on": True, "off": False, "auto": not hooked}[mode]
    if mode == "off":
        assert agent.live("oom_kill") != "kmsg"
        assert agent.metric("telamon_hook_refused_info", capability="oom_kill", variant="kmsg", reason="disabled") == 1
    group = cgroup(own)
    kills(group, 2, 1)
    records = wait_for("records", lambda: len(agent.kills(own)) == 2 and agent.kills(own))
    assert all(("telamon.oom.kernel_log" in r) == kmsg for r in records)


# --- what was before the agent ---


def test_history_of_a_cgroup_is_not_told_again(make_agent, cgroup, own):
    """However long programs take to load: only the OOM after the start counts."""
    unit = own.strip("/") + ".service"
    group = cgroup(f"/system.slice/{unit}").limit(16 << 20)
    for _ in range(3):
        assert group.spawn(*hog_command()).wait(60) == -signal.SIGKILL
    agent = make_agent()
    assert agent.metric("telamon_oom_limit_hits_total", container=unit) == 0
    assert group.spawn(*hog_command()).wait(60) == -signal.SIGKILL
    record = wait_for("the record", lambda: agent.kills(group.path))[0]
    assert record["telamon.oom.limit.cgroup.path"] == group.path
    wait_for("the hit", lambda: agent.metric("telamon_oom_limit_hits_total", container=unit, event="oom"))
    hits = agent.metric("telamon_oom_limit_hits_total", container=unit, event="oom")
    assert hits == sum(1 for _ in agent.kills(group.path)) == 1
