# SPDX-License-Identifier: Apache-2.0
"""Tables of a running gateway: which task has how much to do, and moves from one table to the next."""

import json
import re
import time

from conftest import telamon, wait_for
from route_common import config, now, one1, series1
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


# --- moves at a boundary: GW-SH-14 ---

def series(n, *times):
    return b"".join(series1([("__name__", f"m{i}")], [(float(i * 100 + k), t) for k, t in enumerate(times)]) for i in range(n))


def places(g, names=("n0", "n1", "n2")):
    """By series: the node of the present table, and that of the old one."""
    out = {}
    for i in range(40):
        d = json.loads(g.get(f"/api/v1/explain?series=m{i}").text)["routes"][0]["destination"]
        assert {n["node"] for n in d["nodes"]} <= set(names)
        out[i] = (d["nodes"][0]["node"], d["moves"][0]["nodes"][0]["node"] if "moves" in d else d["nodes"][0]["node"])
    return out


def stored(sink):
    return sorted((int(dict(s.labels)["__name__"][1:]), v, ts) for s in sink.series()
                  for v, (_, ts) in zip(s.values, s.samples))


def rfc3339(ms):
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(ms // 1000)) + f".{ms % 1000:03}Z"


def moving(sinks, more):
    return config(*sinks, destination=f"  shard: {{tasks: 256, move_at: boundary, {more}}}\n", batch="{linger: 0s}")


def test_gw_sh_14_a_node_joins(start):  # noqa: F811
    sinks = [start.receiver() for _ in range(3)]
    g = start(moving(sinks[:2], "move_interval: 1h"))
    before = places(g, ("n0", "n1"))
    boundary = (now() // 1000 + 600) * 1000 + 500
    at = f"move_interval: 1h, effective_at: '{rfc3339(boundary)}'"
    assert g.reload(moving(sinks, at)).status == 200
    by = places(g)
    assert {i: old for i, (_, old) in by.items()} == {i: p for i, (p, _) in before.items()}
    assert any(new == "n2" for new, _ in by.values())
    # Old samples, new ones, and both in one series with the boundary itself.
    assert g.post(series(40, boundary - 1000, boundary)).status == 204
    assert g.post(series(40, boundary + 1)).status == 204
    assert g.post(series(40, boundary - 5, boundary, boundary + 1, boundary + 5)).status == 204
    want = {f"n{k}": [] for k in range(3)}
    for i, (new, old) in by.items():
        want[old] += [(i, i * 100.0, boundary - 1000), (i, i * 100.0 + 1, boundary),
                      (i, i * 100.0, boundary - 5), (i, i * 100.0 + 1, boundary)]
        want[new] += [(i, i * 100.0, boundary + 1), (i, i * 100.0 + 2, boundary + 1), (i, i * 100.0 + 3, boundary + 5)]
    wait_for("all", lambda: sum(len(stored(s)) for s in sinks) == 40 * 7)
    for k, s in enumerate(sinks):
        assert stored(s) == sorted(want[f"n{k}"])
    # It is seen.
    told = table(g)
    assert [m["samples_up_to"] for m in told["moves"]] == [rfc3339(boundary)] and told["leaving"] == []
    assert told["moves"][0]["dropped_at"] == rfc3339(boundary + 2 * 3600_000) and told["moves"][0]["hash"] != told["hash"]
    text = telamon("route", "explain", "--server", g.url, "m1").stdout
    assert re.search(rf"samples up to {re.escape(rfc3339(boundary))} +task \d+ -> {by[1][1]} \(old table, dropped at ", text)
    wait_for("the metric", lambda: abs(g.metric("telamon_route_table_boundary_timestamp_seconds", destination="d") - boundary / 1000) < 0.01)


def test_gw_sh_14_a_node_leaves(start):  # noqa: F811
    """It receives until the old table is dropped, then what it has not got yet, and is gone."""
    sinks = [start.receiver() for _ in range(2)]
    g = start(moving(sinks, "move_interval: 1s"))
    by = places(g, ("n0", "n1"))
    leaving = [i for i, (p, _) in by.items() if p == "n1"]
    at = now()
    assert leaving and g.reload(moving(sinks[:1], "move_interval: 2s")).status == 200
    told = table(g)
    assert told["leaving"] == ["n1"] and told["nodes"] == ["n0", "n1"]
    assert g.post(series(40, at)).status == 204
    wait_for("old samples", lambda: sum(len(stored(s)) for s in sinks) == 40)
    assert [i for i, _, _ in stored(sinks[1])] == leaving
    wait_for("the end of the move", lambda: "moves" not in table(g) and table(g)["nodes"] == ["n0"])
    assert "old tables were dropped" in g.log()
    assert g.post(series(40, at)).status == 204
    wait_for("all on one", lambda: len(stored(sinks[0])) == 80 - len(leaving))
    wait_for("the node to retire", lambda: g.post(one1("up")).status == 204 and "node d/n1 is retired" in g.log())
    wait_for("the metric", lambda: g.metric("telamon_route_table_boundary_timestamp_seconds", destination="d") == 0)
    assert len(stored(sinks[1])) == len(leaving)
