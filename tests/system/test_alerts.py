# SPDX-License-Identifier: Apache-2.0
"""Alert rules of contrib/prometheus: promtool's unit tests, and that they speak of metrics that exist."""

import os
import re

import pytest

from conftest import need, run

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
DIRECTORY = os.path.join(ROOT, "contrib", "prometheus")
RULES = os.path.join(DIRECTORY, "telamon-oom.rules.yml")
TESTS = os.path.join(DIRECTORY, "telamon-oom.test.yml")
ALERTS = ["OomKill", "OomKillHost", "OomLoop", "OomSilentKill", "OomRecordsLost", "OomTracingBlind"]


def read(path):
    with open(path, encoding="utf-8") as f:
        return f.read()


def test_rules_are_valid():
    need("promtool")
    done = run("promtool", "check", "rules", RULES)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(ALERTS)} rules found" in done.stdout


def test_alerts_fire_and_keep_quiet():
    need("promtool")
    done = run("promtool", "test", "rules", TESTS)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("alert", ALERTS)
def test_each_alert_has_both_cases_and_words(alert):
    rule = read(RULES).split(f"- alert: {alert}\n")[1].split("- alert: ")[0]
    assert re.search(r"severity: (info|warning|critical)\n", rule)
    assert "summary: " in rule and "description: " in rule
    cases = re.findall(rf"alertname: {alert}\n( +exp_alerts:)?", read(TESTS))
    assert any(cases), "no test in which it fires"
    assert not all(cases), "no test in which it keeps quiet"


def expressions():
    """The text of each `expr:`, folded lines joined."""
    return re.findall(r"expr: (.+(?:\n {10}.+)*)", read(RULES))


def test_rules_speak_of_metrics_that_the_agent_has(shared_agent):
    text = shared_agent.get("/metrics")[1]
    names = set(re.findall(r"telamon_\w+", " ".join(expressions())))
    assert names, "no metric in the rules"
    for name in names:
        assert f"# TYPE {name} " in text, name


def test_lost_reasons_and_capability_exist_from_the_start(shared_agent):
    """increase() needs a sample from before the first loss, and the sum needs the same labels on both sides."""
    series = shared_agent.metrics()
    for reason in ("spill_full", "decode", "victims_full"):
        assert series[f'telamon_oom_lost_total{{reason="{reason}"}}'] == 0
    assert "telamon_oom_unseen_kills_total" in series
    for scope in ("global", "cpuset", "mempolicy"):
        assert f'telamon_oom_node_kills_total{{scope="{scope}",role="chosen"}}' in series
    assert shared_agent.live("oom_kill")
