# SPDX-License-Identifier: Apache-2.0
"""The last variant of oom_kill: where neither programs nor the kernel log may be read, the counters of cgroups tell of kills."""

import os
import signal
import time

import pytest

from conftest import BUILD, hog_command, kernel_kills, need, run, wait_for

KILLS = os.path.join(BUILD, "tests/system/shim/kills")
LIMIT = 8 << 20


@pytest.fixture
def blind(make_agent):
    """An agent of root without any right: files of root are readable, and that is all."""
    need("setpriv")
    agent = make_agent(prefix=["setpriv", "--bounding-set=-all", "--inh-caps=-all"])
    assert agent.live("oom_kill") == "counters", agent.log()
    return agent


def told(agent, path):
    """What was told of kills in `path` and below."""
    return [e for e in agent.events("type=oom.unseen&limit=1000") if (e.get("telamon.cgroup.path", "") + "/").startswith(path + "/")]


def known(agent, group):
    """The limit of `group` was found, so that what happens below it is told of it."""
    def is_open():
        return any(os.path.dirname(os.path.realpath(f"/proc/{agent.pid}/fd/{fd}")) == group.directory for fd in os.listdir(f"/proc/{agent.pid}/fd"))
    wait_for("open files", is_open)
    time.sleep(1.5)  # they may have been open for a look only; the next look has come by
    wait_for("files that stay open", is_open)


def test_kill_in_a_child_without_limit(blind, cgroup, own):
    limited = cgroup(own + "/limited").limit(LIMIT)
    child = cgroup(own + "/limited/child/leaf")
    known(blind, limited)
    kills = blind.metric("telamon_oom_kills_total", kind="none")
    assert child.spawn(*hog_command()).wait(60) == -signal.SIGKILL
    events = wait_for("the event", lambda: told(blind, own))
    assert [e["telamon.cgroup.path"] for e in events] == [child.path]
    assert events[0]["telamon.oom.unseen"] == 1
    assert events[0]["telamon.oom.limit.cgroup.path"] == limited.path
    assert events[0]["telamon.oom.limit.cgroup.id"] == str(limited.id())
    assert events[0]["telamon.oom.limit.certain"] is False
    assert blind.metric("telamon_oom_kills_total", kind="other", scope="unknown") >= 1
    assert blind.metric("telamon_oom_kills_total", kind="none") == kills
    assert blind.metric("telamon_oom_node_kills_total", scope="unknown", role="chosen") >= 1


def test_kill_in_the_limited_cgroup(blind, cgroup, own):
    limited = cgroup(own + "/outer/limited").limit(LIMIT)
    known(blind, limited)
    for n in (1, 2):
        assert limited.spawn(*hog_command()).wait(60) == -signal.SIGKILL
        events = wait_for("the event", lambda: len(told(blind, own)) == n and told(blind, own))
    assert {e["telamon.cgroup.path"] for e in events} == {e["telamon.oom.limit.cgroup.path"] for e in events} == {limited.path}


def test_counted_once(blind, cgroup, own):
    """Each kill by one source only: its cgroup's counter, or, where the cgroup became known too late, the host's."""
    group = cgroup(own)
    before = kernel_kills() - blind.metric("telamon_oom_unseen_kills_total")
    made = run(KILLS, group.directory, 6, LIMIT, 3, "keep", timeout=120)
    assert made.stdout.strip() == "6", made.stderr
    wait_for("all kills", lambda: blind.metric("telamon_oom_unseen_kills_total") == kernel_kills() - before, 30)
    wait_for("all events", lambda: sum(e["telamon.oom.unseen"] for e in blind.events("type=oom.unseen&limit=1000")) ==
             blind.metric("telamon_oom_unseen_kills_total"))
    events = told(blind, own)
    assert 0 < sum(e["telamon.oom.unseen"] for e in events) <= 6
    assert {e["telamon.cgroup.path"] for e in events} <= {f"{own}/{i}" for i in range(6)}
    assert blind.metric("telamon_oom_node_kills_total") == blind.metric("telamon_oom_unseen_kills_total")
