# SPDX-License-Identifier: Apache-2.0
"""Tables of a running gateway: what its tasks have to do, moves from one table to the next, the task in the series, replicas."""

import json
import re
import time
import urllib.parse

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


# --- the task in the series: GW-SH-13 ---

def task_of(g, series_text):
    return json.loads(g.get("/api/v1/explain?series=" + urllib.parse.quote(series_text)).text)["routes"][0]["destination"]["task"]


def with_label(sinks, more):
    return config(*sinks, destination="  add_labels: {a: z, zz: added}\n"
                  f"  shard: {{tasks: 64, task_label: {{enabled: true{more}}}}}\n")


def test_gw_sh_13_inserted_and_replaced(start):  # noqa: F811
    sinks = [start.receiver() for _ in range(2)]
    g = start(with_label(sinks, ""))
    task = task_of(g, 'up{a="1",zone="x"}')
    assert g.post(one1("up", a="1", zone="x") + one1("up", a="1", zone="x", stream_task_id="7777")).status == 204
    wait_for("both", lambda: sum(len(s.series()) for s in sinks) == 2)
    # In its sorted place, and the label that was there did not change where the series goes; an added label gives way.
    want = [("__name__", "up"), ("a", "1"), ("stream_task_id", str(task)), ("zone", "x"), ("zz", "added")]
    got = [s for s in sinks if s.series()]
    assert len(got) == 1 and [s.labels for s in got[0].series()] == [want, want]
    # Members of a histogram's family have one task.
    tasks = {task_of(g, t) for t in ('h_bucket{le="1"}', 'h_bucket{le="+Inf"}', "h_sum", "h_count", "h")}
    assert len(tasks) == 1


def test_gw_sh_13_kept(start):  # noqa: F811
    sinks = [start.receiver() for _ in range(2)]
    g = start(with_label(sinks, ", on_existing: keep"))
    told, own = table(g), task_of(g, "up")
    body = b"".join(one1("up", value=float(i), stream_task_id=v) for i, v in enumerate(["5", "63", "64", "x"]))
    assert g.post(body).status == 204
    wait_for("all", lambda: sum(len(s.series()) for s in sinks) == 4)
    got = {s.values[0]: (dict(s.labels)["stream_task_id"], k) for k, sink in enumerate(sinks) for s in sink.series()}
    nodes = {i: int(told["nodes"][told["table"][i]][1:]) for i in (5, 63, own)}
    # What is no task of 0..63 is none: then it is computed and written.
    assert got == {0.0: ("5", nodes[5]), 1.0: ("63", nodes[63]), 2.0: (str(own), nodes[own]), 3.0: (str(own), nodes[own])}


def test_gw_sh_13_rejected(start):  # noqa: F811
    sinks = [start.receiver() for _ in range(2)]
    g = start(with_label(sinks, ", on_existing: reject"))
    answer = g.post(one1("good") + one1("bad", stream_task_id="5"))
    assert answer.status == 400 and "1 of 2 series are invalid" in answer.text
    wait_for("the good one", lambda: sum(len(s.series()) for s in sinks) == 1)
    wait_for("the count", lambda: g.metric("telamon_route_invalid_series_total", reason="task_label") == 1)
    assert [n for s in sinks for q in s.stored for n in q.names()] == ["good"]


# --- replicas: GW-SH-11 ---

def test_gw_sh_11_replicas_in_zones(start):  # noqa: F811
    sinks = [start.receiver() for _ in range(4)]
    text = config(*sinks, destination="  shard: {tasks: 256, replicas: 2}\n")
    for i in range(4):
        text = text.replace(f"{{name: n{i},", f"{{name: n{i}, zone: {'ab'[i // 2]},")
    g = start(text)
    assert g.post(b"".join(one1(f"m{i}") for i in range(50))).status == 204
    wait_for("two of each", lambda: sum(len(s.series()) for s in sinks) == 100)
    where = [sorted(k for k, s in enumerate(sinks) for q in s.stored for n in q.names() if n == f"m{i}") for i in range(50)]
    assert all(len(w) == 2 and w[0] // 2 == 0 and w[1] // 2 == 1 for w in where), where
    told = table(g)
    assert told["replicas"] == 2 and len(told["table"]) == 512 and told["over_cap"] == 0
