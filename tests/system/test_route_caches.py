# SPDX-License-Identifier: Apache-2.0
"""What a reload leaves as it is: GW-LC-2, GW-RL-17."""

from conftest import wait_for
from route_common import config, one1
from test_route import start  # noqa: F401  pylint: disable=unused-import
from test_route_shard import table, task_of


def test_gw_rl_17_a_reload_keeps_decisions(start):  # noqa: F811
    sinks = [start.receiver() for _ in range(3)]

    def text(n=2, rule="drop", tasks=64, other="x"):
        return config(*sinks[:n], destination=f"  shard: {{tasks: {tasks}}}\n", routes=f"""- {{name: one, destination: d, match: [up]}}
- {{name: two, destination: d, relabel_configs: [{{source_labels: [job], regex: no, action: {rule}}}]}}
- {{name: three, destination: d, match: ['{other}']}}""")
    g = start(text(), options=["--workers=1"])

    def misses(config_text):
        """New misses of each route, for a series that each of them has seen before."""
        before = [g.metric("telamon_route_relabel_cache_misses_total", route=r) for r in ("one", "two", "three")]
        asked = [g.metric("telamon_route_relabel_cache_hits_total", route=r) for r in ("one", "two", "three")]
        if config_text:
            assert g.reload(config_text).status == 200
        assert g.post(one1("up")).status == 204
        wait_for("counts", lambda: all(
            g.metric("telamon_route_relabel_cache_misses_total", route=r) + g.metric("telamon_route_relabel_cache_hits_total", route=r) == b + a + 1
            for r, b, a in zip(("one", "two", "three"), before, asked)))
        return [g.metric("telamon_route_relabel_cache_misses_total", route=r) - b for r, b in zip(("one", "two", "three"), before)]
    assert misses(None) == [1, 1, 1]
    assert misses(None) == [0, 0, 0]
    assert misses(text(n=3)) == [0, 0, 0]  # other nodes: the task is the same
    assert misses(text(n=3, rule="keep")) == [0, 1, 0]
    assert misses(text(n=3, rule="keep", other="y")) == [0, 0, 1]
    assert misses(text(n=3, rule="keep", other="y", tasks=128)) == [1, 1, 1]
    # What was remembered before the tasks changed would have led elsewhere.
    told = table(g)
    task = task_of(g, "up")
    node = int(told["nodes"][told["table"][task]][1:])
    count = len(sinks[node].series())
    assert misses(None) == [0, 0, 0]
    wait_for("it", lambda: len(sinks[node].series()) == count + 1)
