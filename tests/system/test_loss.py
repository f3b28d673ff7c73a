# SPDX-License-Identifier: Apache-2.0
"""OOM-601, OOM-602, OOM-119: kills = records + spilled + lost, exactly, whatever stops or ends the agent."""

import os
import re
import signal
import sqlite3
import time

import pytest

from conftest import BUILD, run, wait_for

KILLS = os.path.join(BUILD, "tests/system/shim/kills")
BAD_RING = os.path.join(BUILD, "tests/system/shim/bad_ring.so")
LIMIT = 8 << 20


def kills(group, count, parallel, *more):
    made = run(KILLS, group.directory, count, LIMIT, parallel, *more, timeout=300)
    assert made.returncode == 0, made.stderr
    assert made.stdout.strip() == str(count)


def lost(agent, reason):
    return agent.metric("telamon_oom_lost_total", reason=reason)


def need_programs(agent):
    if agent.live("oom_kill") in ("kmsg", "counters", "none"):
        pytest.skip("no program reports kills on this host")


def stopped_during(agent, group, count, parallel=16):
    """`count` kills while the agent stands still for at least 3 s. What tells how many kills it has to answer for."""
    total = agent.balance()
    agent.signal(signal.SIGSTOP)
    end = time.monotonic() + 3
    kills(group, count, parallel)
    time.sleep(max(0.0, end - time.monotonic()))
    agent.signal(signal.SIGCONT)
    return total


def test_nothing_is_lost_while_the_agent_stands_still(agent, cgroup, own):
    need_programs(agent)
    group = cgroup(own)
    total = stopped_during(agent, group, 200)
    records = agent.all_kills(own, 200)
    assert len({r["telamon.process.id"] for r in records}) == 200
    assert {r["telamon.oom.role"] for r in records} == {"chosen"}
    assert not any("telamon.oom.spilled" in r for r in records)
    assert sorted(int(r["telamon.cgroup.path"].rsplit("/", 1)[1]) for r in records) == list(range(200))
    wait_for("the counter", lambda: agent.metric("telamon_oom_node_kills_total") == total())
    # 200 records wait for the reader: here the capacity of the ring itself is what is tested.
    assert lost(agent, "ring_full") == 0 and agent.lost() == {}
    assert agent.metric("telamon_oom_unseen_kills_total") == 0


def test_more_kills_than_slots(make_agent, cgroup, own):
    """900 kills wait at once, and 256 decisions can be in work: each is written all the same."""
    agent = make_agent("oom: {ring_bytes: 8MiB}\n")
    need_programs(agent)
    group = cgroup(own)
    stopped_during(agent, group, 900)
    assert len({r["telamon.process.id"] for r in agent.all_kills(own, 900)}) == 900
    assert lost(agent, "ring_full") == 0 and agent.lost() == {}
    assert agent.metric("telamon_oom_unseen_kills_total") == 0


def test_what_finds_the_ring_full_is_spilled(make_agent, cgroup, own):
    agent = make_agent("oom: {ring_bytes: 256KiB, spill_entries: 1024}\n")
    need_programs(agent)
    group = cgroup(own)
    total = stopped_during(agent, group, 200)
    # A core record has no path; the id says which cgroup, and the cache which path that was.
    wait_for("all kills", lambda: agent.metric("telamon_oom_node_kills_total") == total())
    records = wait_for("all records", lambda: len(agent.events("type=oom.kill&limit=10000")) ==
                       agent.metric("telamon_oom_node_kills_total") and
                       agent.events("type=oom.kill&limit=10000"))
    spilled = [r for r in records if r.get("telamon.oom.spilled")]
    wait_for("the count of spilled records", lambda: lost(agent, "ring_full") >= len(spilled))
    assert len(spilled) > 20 and len(records) >= 200
    assert agent.lost() == {}
    for r in spilled:
        assert r["process.pid"] > 1 and r["telamon.process.id"] and r["telamon.cgroup.id"]
        assert r["telamon.oom.complete"] is False and "exe" in r["telamon.oom.missing"]
    own_pids = {r["process.pid"] for r in records}
    assert len(own_pids) == len(records)
    assert agent.metric("telamon_oom_unseen_kills_total") == 0


def test_what_finds_the_spill_full_is_told(make_agent, cgroup, own):
    agent = make_agent("oom: {ring_bytes: 256KiB, spill_entries: 64}\n")
    need_programs(agent)
    group = cgroup(own)
    total = stopped_during(agent, group, 300)
    wait_for("lost kills", lambda: lost(agent, "spill_full"))
    told = wait_for("the event", lambda: [e for e in agent.events("limit=10000") if e["event.name"] == "telemetry.lost"])
    assert sum(e["telamon.lost.count"] for e in told) == lost(agent, "spill_full")
    # Exactly: what was counted, and what is known to be lost, is what the kernel killed.
    wait_for("all kills", lambda: agent.metric("telamon_oom_node_kills_total") + lost(agent, "spill_full") == total())
    records = wait_for("all records", lambda: len(agent.events("type=oom.kill&limit=10000")) ==
                       agent.metric("telamon_oom_node_kills_total") and agent.events("type=oom.kill&limit=10000"))
    assert len([r for r in records if r.get("telamon.oom.spilled")]) == 64


def test_kill_9_and_restart(make_agent, cgroup, own):
    agent = make_agent()
    group = cgroup(own)
    kills(group, 20, 4)
    wait_for("20 records", lambda: len(agent.kills(own)) == 20)
    agent.process.kill()
    agent.process.wait()
    journal = sqlite3.connect(f"file:{agent.journal}?mode=ro", uri=True)
    assert journal.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    journal.close()
    # While nobody looks, somebody dies: not ours to tell, and not "unseen" either.
    kills(group, 3, 1)
    agent.start()
    assert agent.metric("telamon_oom_node_kills_total") < 20
    assert len(agent.kills(own)) == 20
    kills(group, 5, 1)
    wait_for("5 more records", lambda: len(agent.kills(own)) == 25)
    assert agent.metric("telamon_oom_node_kills_total") >= 5
    ids = [e["telamon.id"] for e in agent.kills(own)]
    assert len(set(ids)) == 25
    assert agent.metric("telamon_oom_unseen_kills_total") == 0
    assert agent.stop() == 0


def test_nothing_stays_in_the_kernel_after_kill_9(make_agent, cgroup, own):
    """No program is pinned, no file of a cgroup keeps it: the cgroup can go."""
    agent = make_agent()
    group = cgroup(own + "/limited").limit(LIMIT)
    wait_for("open files", lambda: agent.metric("telamon_oom_limit_cgroups"))
    agent.process.kill()
    agent.process.wait()
    os.rmdir(group.directory)
    if os.path.isdir("/sys/fs/bpf"):
        assert not [f for f in os.listdir("/sys/fs/bpf") if "oom" in f or "telamon" in f]


def test_unseen_kills_are_told(make_agent, cgroup, own):
    """Hooks see nothing more once ring and spill are full, but the kernel counts on: what is missing is found by its own count."""
    agent = make_agent("oom: {ring_bytes: 256KiB, spill_entries: 64, kmsg: 'off'}\n")
    need_programs(agent)
    group = cgroup(own)
    total = stopped_during(agent, group, 300)
    missing = wait_for("lost kills", lambda: lost(agent, "spill_full"))
    unseen = wait_for("unseen kills", lambda: agent.metric("telamon_oom_unseen_kills_total"), 40)
    assert unseen == missing
    wait_for("the balance", lambda: agent.metric("telamon_oom_node_kills_total") + unseen == total())
    events = [e for e in agent.events("type=oom.unseen&limit=100")]
    assert sum(e["telamon.oom.unseen"] for e in events) == unseen
    assert {e["severity_text"] for e in events} == {"WARN"}
    assert re.search(r"the kernel counted \d+ OOM kills that no hook reported", agent.log())


# --- OOM-603: a ring that cannot be mapped or read, and records that are none ---


def spoiled(make_agent, **what):
    agent = make_agent(env={**os.environ, "LD_PRELOAD": BAD_RING, **{f"TELAMON_BAD_{k}": str(v) for k, v in what.items()}})
    need_programs(agent)
    return agent


def test_ring_that_cannot_be_mapped_at_first(make_agent, cgroup, own):
    agent = spoiled(make_agent, MAP=3)
    group = cgroup(own)
    kills(group, 10, 2)
    wait_for("10 records", lambda: len(agent.kills(own)) == 10)
    assert "cannot map the ring of OOM records" in agent.log() and "the ring of OOM records is open again" in agent.log()
    assert agent.metric("telamon_oom_ring_reopened_total") == 3
    assert agent.lost() == {} and not any("telamon.oom.spilled" in r for r in agent.kills(own))


def test_ring_that_cannot_be_read(make_agent, cgroup, own):
    """It is opened anew, and what waited in it is read; the agent is not woken for it all the time meanwhile."""
    agent = spoiled(make_agent, READ=2)
    group = cgroup(own)
    kills(group, 10, 2)
    wait_for("10 records", lambda: len(agent.kills(own)) == 10)
    assert agent.log().count("cannot read the ring of OOM records") == 2
    assert agent.metric("telamon_oom_ring_reopened_total") == 2
    kills(group, 5, 1)
    wait_for("5 more", lambda: len(agent.kills(own)) == 15)
    assert agent.lost() == {}


def test_what_is_no_record_is_counted(make_agent, cgroup, own):
    agent = spoiled(make_agent, SIZE=1)
    group = cgroup(own)
    kills(group, 6, 1)
    wait_for("all that are records", lambda: len(agent.kills(own)) == 5)
    wait_for("the count", lambda: agent.lost() == {"decode": 1})
    assert agent.metric("telamon_oom_ring_reopened_total") == 0
