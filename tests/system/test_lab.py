# SPDX-License-Identifier: Apache-2.0
"""telamon lab oom: real kills, every fact checked; the commands that show them."""

import json
import os
import signal
import subprocess
import time

import pytest

from conftest import TELAMON, telamon

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
    assert agent.metric("telamon_oom_unseen_kills_total") == 0
    assert agent.metric("telamon_oom_lost_total") == 0


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
