# SPDX-License-Identifier: Apache-2.0
"""telamon lab oom: real kills, every fact checked; the commands that show them."""

import json
import os
import re
import signal
import subprocess
import time

import pytest

from conftest import TELAMON, telamon, wait_for
from test_cli import HostileAgent

SCENARIOS = ["single", "nested", "group", "shared_mm", "parallel", "foreign_trigger", "adj", "thread", "container_name",
             "repeat", "reserve"]


@pytest.mark.parametrize("tier", ["any", "tracepoint"])
def test_all_scenarios(make_agent, tier):
    agent = make_agent(f"oom: {{max_tier: {tier}}}\n")
    result = telamon("lab", "oom", "--scenario", "all", "--url", agent.url)
    assert result.returncode == 0, result.stdout + result.stderr
    for scenario in SCENARIOS:
        assert f"\n{scenario} " in result.stdout, scenario
    assert "WRONG" not in result.stdout and "missing" not in result.stdout, result.stdout
    assert "record after" in result.stdout
    for name in ("kubepods cgroupfs", "kubepods CRI-O", "kubepods systemd", "kubepods systemd CRI-O", "docker cgroupfs", "docker systemd",
                 "podman cgroupfs", "podman systemd", "nerdctl"):
        assert f"  ok       {name} id " in result.stdout, name
    # The right to go before all others makes the mark sure; without it, that none was seen is said and is no failure.
    assert re.search(r"\nreserve .* reserve mark seen in (try \d+|\d+ tries)", result.stdout), result.stdout
    assert agent.metric("telamon_oom_unseen_kills_total") == 0
    assert agent.lost() == {}


def test_json(shared_agent):
    result = telamon("lab", "oom", "--url", shared_agent.url, "--format", "json")
    assert result.returncode == 0, result.stdout
    report = json.loads(result.stdout)
    assert report["bystander_alive"] and report["passed"] == 1 and report["failed"] == 0
    single = report["scenarios"][0]
    assert single["scenario"] == "single" and single["record_delay_seconds"] > 0
    assert {f["verdict"] for f in single["facts"]} == {"ok"}
    assert {"role", "scope", "limit", "rss", "trigger", "args"} <= {f["fact"] for f in single["facts"]}


@pytest.mark.parametrize("arguments, text", [
    (["--limit", "2GiB"], "1GiB"),
    (["--limit", "8MiB"], "16MiB"),
    (["--limit", "many"], "--limit"),
    (["--scenario", "nonsense"], "nonsense"),
    (["--format", "xml"], "xml"),
    (["--nonsense"], "--nonsense"),
])
def test_usage(arguments, text):
    result = telamon("lab", "oom", *arguments)
    assert result.returncode == 2, result.stderr
    assert text in result.stderr


def test_unreachable_agent_is_told():
    result = telamon("lab", "oom", "--url", "http://127.0.0.1:1")
    assert result.returncode == 3
    assert "127.0.0.1:1" in result.stderr


def test_without_agent_only_the_kill():
    result = telamon("lab", "oom", "--no-agent")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "killed by signal 9" in result.stdout


def test_reserve_mark_is_provoked(make_agent):
    agent = make_agent("")
    result = telamon("lab", "oom", "--scenario", "reserve", "--interval", "1ms", "--url", agent.url)
    assert result.returncode == 0, result.stdout + result.stderr
    if may_overtake():
        assert "reserve mark seen in try" in result.stdout, result.stdout
        assert len(agent.events("type=oom.reserve")) >= 1


def may_overtake():
    return subprocess.run(["chrt", "-f", "1", "true"], check=False, stderr=subprocess.DEVNULL).returncode == 0


def test_wrong_facts_are_told():
    """An agent that has no records: exit status 1."""
    silent = HostileAgent(b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n")
    try:
        result = telamon("lab", "oom", "--interval", "1ms", "--url", silent.url)
    finally:
        silent.close()
    assert result.returncode == 1, result.stdout + result.stderr
    assert re.search(r"missing +record", result.stdout) and "failed 1" in result.stdout


def test_too_large_for_this_host(tmp_path):
    """More than a tenth of the available memory is refused."""
    (tmp_path / "meminfo").write_text("MemTotal: 1048576 kB\nMemAvailable:     655359 kB\n")
    script = f"mount --bind '{tmp_path}/meminfo' /proc/meminfo && exec '{TELAMON}' lab oom --no-agent --limit "
    for limit, status in (("64MiB", 3), ("63MiB", 0)):
        result = subprocess.run(["unshare", "-m", "sh", "-c", script + limit], check=False, capture_output=True, text=True, timeout=120)
        assert result.returncode == status, result.stdout + result.stderr
        assert ("a tenth of the available memory" in result.stderr) == (status == 3)


def test_needs_root():
    result = subprocess.run(["setpriv", "--reuid", "65534", TELAMON, "lab", "oom", "--no-agent"], check=False, capture_output=True, text=True)
    if result.returncode == 127 or "setpriv" in result.stderr or "ermission" in result.stderr:
        pytest.skip("the program is not reachable for others")
    assert result.returncode == 3 and "root" in result.stderr


def test_dead_bystander():
    """Exit status 4, whatever the facts are."""
    with subprocess.Popen([TELAMON, "lab", "oom", "--no-agent", "--interval", "300ms"], stdout=subprocess.PIPE, text=True) as lab:
        members = wait_for("the bystander", lambda: [
            int(pid) for c in lab_cgroups() if c.endswith(f"telamon-lab-{lab.pid}") and os.path.exists(f"{c}/bystander/cgroup.procs")
            for pid in open(f"{c}/bystander/cgroup.procs", encoding="ascii").read().split()])
        os.kill(members[0], signal.SIGKILL)
        out = lab.communicate(timeout=60)[0]
    assert lab.returncode == 4, out
    assert "bystander       DEAD" in out


def test_below_a_delegated_subtree(cgroup, own, make_agent):
    """Where the root of the hierarchy is read-only, below the caller's own cgroup or one above it."""
    agent = make_agent("")
    group = cgroup(f"{own}/given")
    caller = cgroup(f"{own}/given/caller")
    script = (f"mount --bind '{group.directory}' '{group.directory}' && mount -o remount,bind,ro '{group.root}' && "
              f"echo $$ >'{caller.directory}/cgroup.procs' && ! mkdir '{group.root}/x' 2>/dev/null && "
              f"exec '{TELAMON}' lab oom --interval 1ms --scenario single,nested --url {agent.url}")
    result = subprocess.run(["unshare", "-m", "sh", "-c", script], check=False, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stdout + result.stderr
    assert re.search(rf"{re.escape(own)}/given(/caller)?/telamon-lab-\d+", result.stdout), result.stdout
    assert "passed 2, failed 0" in result.stdout
    assert not [d for d, _, _ in os.walk(group.directory) if "telamon-lab-" in d]


def lab_cgroups():
    found = []
    for root in ("/sys/fs/cgroup/memory", "/sys/fs/cgroup"):
        if os.path.isdir(root):
            found += [os.path.join(root, d) for d in os.listdir(root) if d.startswith("telamon-lab-")]
    return found


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_cleans_up_on_signals(number):
    with subprocess.Popen([TELAMON, "lab", "oom", "--no-agent", "--interval", "500ms"], stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL) as lab:
        own = f"telamon-lab-{lab.pid}"
        end = time.monotonic() + 10
        while not any(own in c for c in lab_cgroups()) and time.monotonic() < end:
            time.sleep(0.02)
        assert any(own in c for c in lab_cgroups())
        lab.send_signal(number)
        lab.wait(20)
    assert not any(own in c for c in lab_cgroups())


def test_leftovers_of_a_killed_lab_go():
    with subprocess.Popen([TELAMON, "lab", "oom", "--no-agent", "--interval", "500ms"], stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL) as lab:
        own = f"telamon-lab-{lab.pid}"
        end = time.monotonic() + 10
        while not any(own in c for c in lab_cgroups()) and time.monotonic() < end:
            time.sleep(0.02)
        lab.kill()
    assert any(own in c for c in lab_cgroups())
    assert telamon("lab", "oom", "--no-agent").returncode == 0
    assert not any(own in c for c in lab_cgroups())
