# SPDX-License-Identifier: Apache-2.0
"""Alert rules of contrib/prometheus: promtool's unit tests, and that they speak of metrics that exist."""

import os
import re

import pytest

from conftest import free_port, need, run, wait_for
from route_common import Gateway, config

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
DIRECTORY = os.path.join(ROOT, "contrib", "prometheus")
ALERTS = {
    "oom": ["OomKill", "OomKillHost", "OomLoop", "OomSilentKill", "OomRecordsLost", "OomTracingBlind"],
    "route": ["RouteSamplesLost", "RouteQueueNearlyFull", "RouteNodeBehind", "RouteDeadLetters", "RouteRefusesSenders", "RouteConfigNotLoaded",
              "RouteOrphanedQueue"],
}


def rules(name):
    return os.path.join(DIRECTORY, f"telamon-{name}.rules.yml")


def cases_of(name):
    return os.path.join(DIRECTORY, f"telamon-{name}.test.yml")


def read(path):
    with open(path, encoding="utf-8") as f:
        return f.read()


@pytest.mark.parametrize("name", ALERTS)
def test_rules_are_valid(name):
    need("promtool")
    done = run("promtool", "check", "rules", rules(name))
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(ALERTS[name])} rules found" in done.stdout


@pytest.mark.parametrize("name", ALERTS)
def test_alerts_fire_and_keep_quiet(name):
    need("promtool")
    done = run("promtool", "test", "rules", cases_of(name))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name,alert", [(n, a) for n, alerts in ALERTS.items() for a in alerts])
def test_each_alert_has_both_cases_and_words(name, alert):
    rule = read(rules(name)).split(f"- alert: {alert}\n")[1].split("- alert: ")[0]
    assert re.search(r"severity: (info|warning|critical)\n", rule)
    assert "summary: " in rule and "description: " in rule
    cases = re.findall(rf"alertname: {alert}\n( +exp_alerts:)?", read(cases_of(name)))
    assert any(cases), "no test in which it fires"
    assert not all(cases), "no test in which it keeps quiet"


def expressions(name):
    """The text of each `expr:`, folded lines joined."""
    return re.findall(r"expr: (.+(?:\n {10}.+)*)", read(rules(name)))


def test_rules_speak_of_metrics_that_the_agent_has(shared_agent):
    text = shared_agent.get("/metrics")[1]
    names = set(re.findall(r"telamon_\w+", " ".join(expressions("oom"))))
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


def test_rules_speak_of_metrics_that_the_gateway_has(tmp_path):
    """From the start and at 0, where increase() needs a sample from before; an orphaned queue is there when there is one."""
    g = Gateway(tmp_path, config(f"http://127.0.0.1:{free_port()}/")).start()
    try:
        wait_for("the first figures", lambda: "telamon_route_node_up{" in g.get("/metrics").text)
        text, series = g.get("/metrics").text, g.metrics()
    finally:
        g.clean_up()
    names = set(re.findall(r"(?:telamon|stream)_\w+", " ".join(expressions("route"))))
    assert len(names) >= len(ALERTS["route"])
    for name in names - {"telamon_route_orphan_queue_bytes"}:
        assert f"# TYPE {name} " in text, name
    for reason in ("full_oldest", "full_newest", "expired", "corrupt"):
        assert series[f'telamon_route_dropped_samples_total{{stage="queue",reason="{reason}",route="all"}}'] == 0
    for reason in ("refused", "too_large", "poison", "held", "unreadable"):
        assert series[f'telamon_route_dead_letter_samples_total{{destination="d",node="n0",reason="{reason}"}}'] == 0
