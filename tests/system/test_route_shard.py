# SPDX-License-Identifier: Apache-2.0
"""Tables of a running gateway: which task has how much to do, and moves from one table to the next."""

import json

from conftest import telamon, wait_for
from route_common import config, one1
from test_route import start  # noqa: F401  pylint: disable=unused-import


def table(g, destination="d"):
    return json.loads(g.get(f"/api/v1/status/table?destination={destination}").text)


# --- samples per task: GW-CL-2, GW-OB-2 ---

def test_gw_cl_2_real_samples_per_task(start, tmp_path):  # noqa: F811
    sink = start.receiver()
    text = config(sink, sink, destination="  shard: {tasks: 64, key: {by: [job]}}\n")
    g = start(text)
    body = b"".join(one1("up", job="hot", i=str(i)) for i in range(90)) + b"".join(one1("up", job=f"j{i}") for i in range(10))
    assert g.post(body).status == 204
    wait_for("counts", lambda: sum(table(g)["samples_per_task"]) == 100)
    told = table(g)
    assert len(told["samples_per_task"]) == 64
    explained = json.loads(g.get("/api/v1/explain?series=up{job=%22hot%22}").text)
    task = explained["routes"][0]["destination"]["task"]
    assert told["hottest"]["task"] == task and told["samples_per_task"][task] == told["hottest"]["samples"] >= 90
    assert abs(told["hottest"]["max_ratio"] - told["hottest"]["samples"] / (100 / 64)) < 0.001
    # A reload does not begin anew.
    assert g.reload().status == 200
    assert sum(table(g)["samples_per_task"]) == 100
    # The planner weighs moves by these: drained, the node of the hot task gives away what it has.
    node = explained["routes"][0]["destination"]["nodes"][0]["node"]
    old, new = tmp_path / "old.yaml", tmp_path / "new.yaml"
    old.write_text(text, encoding="utf-8")
    new.write_text(text.replace(f"{{name: {node},", f"{{name: {node}, weight: 0,"), encoding="utf-8")
    plan, = json.loads(telamon("route", "plan", old, new, "--server", g.url, "--format", "json").stdout)
    names = told["nodes"]
    share = sum(n for n, at in zip(told["samples_per_task"], told["table"]) if names[at] == node) / 100
    assert share >= 0.9 and abs(plan["moved_samples_ratio"] - share) < 1e-9 and plan["moved_ratio"] < 0.6
    assert abs(plan["hottest_task_ratio"] - told["hottest"]["max_ratio"]) < 0.001
