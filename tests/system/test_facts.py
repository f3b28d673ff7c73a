# SPDX-License-Identifier: Apache-2.0
"""OOM section 4: each fact of a record against what the victim was, for a victim that has nothing in common with its neighbours."""

import os
import shutil
import signal
import time

import pytest

from conftest import hog_command, need, wait_for

LIMIT = 24 << 20
SHARED = 4 << 20
ADJ = 300
UID = 54321
PAGE = os.sysconf("SC_PAGESIZE")

# The shared part first, then what it dies of.
VICTIM = """
import mmap, os
shared = mmap.mmap(-1, %d)
shared.write(b'x' * len(shared))
with open('/proc/self/oom_score_adj', 'w') as f:
    f.write('%d')
os.unlink(os.readlink('/proc/self/exe'))
os.setresgid(%d, %d, %d)
os.setresuid(%d, %d, %d)
b = []
while True:
    b.append(bytearray(b'x') * (1 << 20))
""" % (SHARED, ADJ, *[UID] * 6)


def reads_tasks(agent):
    if agent.live("oom_kill") not in ("tp_btf_task", "tp_btf_pid", "raw_tp"):
        pytest.skip("no program reads the victim's task on this host")


def meminfo(key):
    with open("/proc/meminfo", encoding="ascii") as f:
        return next(int(line.split()[1]) << 10 for line in f if line.startswith(key + ":"))


class Death:
    """One victim: first process of a pid namespace of its own, another user, its executable unlinked."""

    def __init__(self, group, directory):
        self.exe, self.directory = os.path.join(directory, "victim"), directory
        script = os.path.join(directory, "script.py")
        shutil.copy(os.path.realpath("/usr/bin/python3"), self.exe)
        with open(script, "w", encoding="ascii") as f:
            f.write(VICTIM)
        self.args = [self.exe, "-S", "-E", script, "two words", ""]
        self.begin = time.time()
        parent = group.spawn("unshare", "--pid", "--fork", *self.args, cwd=directory)
        self.parent = parent.pid
        parent.wait()
        self.end = time.time()


@pytest.fixture
def death(shared_agent, cgroup, own, tmp_path):
    need("unshare")
    reads_tasks(shared_agent)
    group = cgroup(own).limit(LIMIT)
    died = Death(group, str(tmp_path))
    died.group = group
    died.record = wait_for("the record", lambda: shared_agent.kills(own))[0]
    return died


def seconds(text):
    """Whole seconds of an RFC 3339 time."""
    return time.mktime(time.strptime(text[:19], "%Y-%m-%dT%H:%M:%S")) - time.timezone


def check_process(died):
    r = died.record
    assert r["process.vpid"] == 1
    assert r["process.parent_pid"] == died.parent
    assert r["process.executable.path"] == died.exe
    assert r["process.executable.name"] == "victim"
    assert r["telamon.exe.deleted"] is True
    assert r["process.command_args"] == died.args
    assert r["telamon.oom.args_source"] == "exec"
    assert r["process.working_directory"] == died.directory
    assert r["process.user.id"] == UID
    assert died.begin - 2 <= seconds(r["process.creation.time"]) <= died.end + 1
    assert died.begin - 2 <= seconds(r["timestamp"]) <= died.end + 1
    assert f"-{r['process.pid']}-" in r["telamon.process.id"]
    parents = r["telamon.process.ancestors"]
    assert (parents[0]["pid"], parents[0]["comm"]) == (died.parent, "unshare")
    assert (parents[1]["pid"], parents[1]["path"]) == (os.getpid(), os.readlink("/proc/self/exe"))
    assert r["telamon.oom.comm"] == "victim"
    assert r["telamon.oom.thread"] == r["process.pid"]
    assert r["telamon.oom.threads"] == 1
    assert (r["telamon.oom.role"], r["telamon.oom.attempts"]) == ("chosen", 1)


def check_memory(r):
    victim = {key[len("telamon.oom.victim."):]: v for key, v in r.items() if key.startswith("telamon.oom.victim.")}
    assert SHARED <= victim["rss.shmem"] < SHARED + (1 << 20)
    assert LIMIT / 4 < victim["rss.anon"] < LIMIT
    assert 0 < victim["rss.file"] < LIMIT
    assert victim["total_vm"] > victim["rss.anon"] + victim["rss.shmem"]
    assert 0 < victim["pgtables"] < 1 << 20
    assert victim["adj"] == ADJ
    pages = sum(victim[k] for k in ("rss.anon", "rss.file", "rss.shmem", "swap", "pgtables")) // PAGE
    share = ADJ * (r["telamon.oom.scope.bytes"] // PAGE // 1000)
    assert abs(victim["points"] - pages - share) <= r["telamon.oom.rss_error"] // PAGE
    assert r["telamon.oom.rss_error"] >= 32 * PAGE


def check_decision(r):
    assert r["telamon.oom.trigger.pid"] == r["process.pid"]
    assert r["telamon.oom.trigger.thread"] == r["process.pid"]
    assert r["telamon.oom.trigger.comm"] == "victim"
    assert r["telamon.oom.trigger.is_victim"] is True
    assert r["telamon.oom.trigger.executable.path"] == r["process.executable.path"]
    assert "telamon.oom.trigger.kernel_thread" not in r
    assert "GFP_KERNEL" in r["telamon.oom.gfp_mask"] or "GFP_HIGHUSER" in r["telamon.oom.gfp_mask"]
    assert (r["telamon.oom.order"], r["telamon.oom.pages_requested"]) == (0, 1)
    assert r["telamon.oom.scope"] == "memcg"
    assert r["telamon.oom.scope.source"] in ("oc", "stack")
    assert r["telamon.oom.chosen_pid"] == r["process.pid"]
    assert r["telamon.oom.members.count"] == 1
    assert any("out_of_memory" in frame for frame in r["telamon.oom.stack.kernel"])
    assert any("+0x" in frame and len(frame.split("+")[0]) == 40 for frame in r["telamon.oom.stack.user"])


def check_limit(died):
    r, path = died.record, died.group.path
    assert r["telamon.oom.limit.cgroup.path"] == r["telamon.cgroup.path"] == path
    assert r["telamon.oom.limit.cgroup.id"] == r["telamon.cgroup.id"] == str(died.group.id())
    assert r["telamon.cgroup.hierarchy"] == ("v1" if died.group.v1 else "v2")
    assert r["telamon.oom.limit.max"] == r["telamon.cgroup.max"] == LIMIT
    assert LIMIT - (2 << 20) <= r["telamon.oom.limit.usage"] <= LIMIT + (2 << 20)
    assert r["telamon.oom.limit.peak"] >= r["telamon.oom.limit.usage"] - (1 << 20)
    assert r["telamon.oom.limit.kind"] == "other"
    assert (r["telamon.oom.limit.distance"], r["telamon.oom.limit.certain"]) == (0, True)
    if os.path.exists(os.path.join(died.group.directory, "memory.memsw.limit_in_bytes")):
        assert r["telamon.oom.limit.memsw.max"] == LIMIT
        assert abs(r["telamon.oom.limit.memsw.usage"] - r["telamon.oom.limit.usage"]) < 1 << 20
    levels = r["telamon.oom.levels"]
    assert [levels[0]["id"], levels[0]["max"]] == [str(died.group.id()), LIMIT]
    assert len(levels) == 2 and "max" not in levels[1] and "telamon.oom.levels_truncated" not in r


def check_surroundings(r):
    if "oom_stat/kfunc" in r["telamon.hook"]:
        assert r["telamon.oom.stat.shmem"] >= SHARED
        assert LIMIT / 4 < r["telamon.oom.stat.anon"] < LIMIT
    else:  # the file is read after the mark: the victim may have given back some of it, or all
        assert 0 <= r["telamon.oom.stat.shmem"] < LIMIT
        assert 0 <= r["telamon.oom.stat.anon"] < LIMIT
    assert r["telamon.oom.stat.age"] >= 0
    assert r["telamon.oom.host.total"] == meminfo("MemTotal")
    assert r["telamon.oom.host.swap.total"] == meminfo("SwapTotal")
    assert 0 < r["telamon.oom.host.free"] < r["telamon.oom.host.total"]
    assert 0 < r["telamon.oom.host.available"] < r["telamon.oom.host.total"]
    assert r["telamon.oom.host.load1"] >= 0
    if os.path.exists("/proc/pressure/memory"):
        assert r["telamon.oom.psi.system.some.total"] > 0
        assert r["telamon.oom.psi.age"] >= 0


def test_facts(death):
    check_process(death)
    check_memory(death.record)
    check_decision(death.record)
    check_limit(death)
    check_surroundings(death.record)
    assert set(death.record.get("telamon.oom.missing", [])) <= {"trend"}
    assert death.record["telamon.oom.complete"] is True


def test_what_comes_after(shared_agent, cgroup, own):
    """OOM-204: who exited when, what became free, how often it happened; and the counters of it."""
    reads_tasks(shared_agent)
    before = shared_agent.metrics()
    group = cgroup(own).limit(LIMIT)
    for _ in range(2):
        assert group.spawn(*hog_command()).wait() == -signal.SIGKILL
    after = wait_for("both aftermaths", lambda: (lambda found: len(found) == 2 and found)(
        shared_agent.kills(own, "oom.aftermath")), 30)
    records = {r["telamon.oom.decision"]: r for r in shared_agent.kills(own)}
    assert {a["telamon.oom.decision"] for a in after} == set(records)
    assert sorted(a["telamon.oom.repeats"] for a in after) == [0, 1]
    for a in after:
        assert a["telamon.oom.aftermath"] == "exited"
        assert a["process.pid"] == records[a["telamon.oom.decision"]]["process.pid"]
        assert [m["pid"] for m in a["telamon.oom.members"]] == [a["process.pid"]]
        assert a["telamon.oom.members"][0]["time.to_exit"] > 0
        assert a["telamon.oom.freed"] > LIMIT / 2
    now = shared_agent.metrics()

    def rise(series):
        return now.get(series, 0) - before.get(series, 0)

    assert rise("telamon_oom_kill_to_exit_seconds_count") >= 2
    assert rise('telamon_oom_decisions_total{scope="memcg",outcome="killed"}') >= 2
    assert rise('telamon_oom_killed_bytes_total{type="anon"}') > LIMIT
    for stage in ("counter", "bus", "record", "journal"):
        assert rise(f'telamon_oom_event_delay_seconds_count{{stage="{stage}"}}') >= 2
    assert shared_agent.metric("telamon_oom_last_kill_timestamp_seconds", kind="other") > 0


def test_more_levels_than_a_record_holds(shared_agent, cgroup, own):
    """OOM-117: the nearest 13, and said to be cut."""
    reads_tasks(shared_agent)
    path = own + "/l" * 14
    group = cgroup(path).limit(LIMIT)
    assert group.spawn(*hog_command()).wait() == -signal.SIGKILL
    record = wait_for("the record", lambda: shared_agent.kills(path))[0]
    assert len(record["telamon.oom.levels"]) == 13
    assert record["telamon.oom.levels_truncated"] is True
    assert record["telamon.oom.limit.distance"] == 0
    assert record["telamon.cgroup.path"] == path
