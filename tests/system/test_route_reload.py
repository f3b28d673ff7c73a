# SPDX-License-Identifier: Apache-2.0
"""Reloads under load, and that a series stays in order whatever happens to lanes, tiers and nodes (GW-TS-8, GW-LC-1, 2, GW-TX-6)."""

import os
import signal
import threading
import time

import pytest

from conftest import free_port, wait_for
from route_chaos import Clients, check, check_order, queue_records, world  # noqa: F401  pylint: disable=unused-import
from route_common import config, now, one1, series1

RELOADS = 1000


def named(text, sinks):
    """`config` names nodes by their place; here a node has the name of its sink."""
    lines = []
    for line in text.splitlines():
        for i, sink in enumerate(sinks):
            if f'url: "{sink.url}"' in line:
                line = f'  - {{name: k{i}, url: "{sink.url}"}}'
        lines.append(line)
    return "\n".join(lines) + "\n"


def hang_up(g, text, good=True):
    """A reload by signal is seen in the metrics, as nobody answers."""
    def succeeded():
        return g.metric("telamon_route_config_last_reload_success_timestamp_seconds")
    before = succeeded()
    g.configure(text)
    g.process.send_signal(signal.SIGHUP)
    if good:
        wait_for("the reload", lambda: succeeded() > before)
    else:
        wait_for("the refusal", lambda: g.metric("telamon_route_config_last_reload_successful") == 0)


def test_gw_ts_8_a_thousand_reloads(world):
    """Nodes added, removed, reordered, batches, acknowledgement, lanes: no request fails, no series is reordered, each sample arrives once."""
    sinks = [world.sink(f"r{i}") for i in range(3)]
    shapes = [named(config(*(sinks[i] for i in order), send=f"{{lanes: {lanes}}}", batch=f"{{linger: {linger}ms}}",
                           queue=f"{{min_free_disk: 0, ack: {ack}}}"), sinks)
              for order, lanes, linger, ack in (((0, 1), 4, 5, "disk"), ((1, 0), 3, 1, "memory"), ((0, 1, 2), 4, 2, "disk"), ((2,), 7, 5, "memory"))]
    g = world.gateway(shapes[0])
    clients, bad = Clients(g), shapes[0].replace("linger: 5ms", "linger: 5 parsecs")
    for i in range(RELOADS):
        assert g.reload(shapes[i % 4]).status == 200
        if i % 50 == 7:
            before = g.get("/api/v1/status/config").text
            answer = g.reload(bad)
            assert answer.status == 500 and "linger" in answer.text and g.get("/api/v1/status/config").text == before
    hang_up(g, bad, good=False)
    hang_up(g, shapes[2])
    clients.more()
    acknowledged = clients.end()
    assert clients.statuses() == {204}
    check(acknowledged, sinks, 0)
    assert sorted(v for s in sinks for v in s.values()) == sorted(acknowledged)
    for sink in sinks:
        check_order(sink)
    assert g.stop() == 0


def test_gw_ts_8_pending_data_arrives(world):
    """Nodes are away; then URLs change, one is renamed in place, one goes, one comes: what each had waiting arrives, by signal too."""
    away = [f"http://127.0.0.1:{free_port()}/{i}" for i in range(3)]
    sinks = [world.receiver() for _ in range(3)]
    g = world.gateway(config(*away))
    values = [float(i) for i in range(300)]
    assert g.post(b"".join(one1("pending", v, i=str(v)) for v in values)).status == 204
    wait_for("blocks", lambda: all(g.metric("telamon_route_queue_blocks", node=f"n{i}") for i in range(3)))
    text = config(sinks[1], sinks[0], sinks[2])
    hang_up(g, text)
    wait_for("all", lambda: sorted(v for s in sinks for v in s.values()) == values)
    assert all(s.values() for s in sinks)
    # A node that goes still gets what is its own; one that comes gets its share from then on.
    sinks[1].answer = 503
    more = [float(i) for i in range(1000, 1300)]
    assert g.post(b"".join(one1("pending", v, i=str(v)) for v in more)).status == 204
    new = world.receiver()
    assert g.reload(text.replace(f'n0, url: "{sinks[1].url}"', f'other, url: "{new.url}"')).status == 200
    sinks[1].answer = 204
    assert g.post(b"".join(one1("pending", v + 1000, i=str(v)) for v in more)).status == 204
    wait_for("all", lambda: sorted(v for s in [*sinks, new] for v in s.values()) == values + more + [v + 1000 for v in more])
    assert new.values()


def test_gw_lc_1_a_reload_that_fails_changes_no_node(world):
    """The new snapshot is built aside: a queue that another process holds makes it fail, and nodes named before that one stay as they were."""
    old, new, third = (world.receiver() for _ in range(3))
    other = world.gateway(config(third).replace("name: d\n", "name: taken\n").replace("destination: d", "destination: taken"), directory="other")
    g = world.gateway(config(old), start=False)
    g.storage = other.storage
    g.start()
    text = config(new).replace("routes:", f'- {{name: taken, nodes: [{{name: n0, url: "{third.url}"}}]}}\nroutes:\n- {{name: two, destination: taken}}')
    answer = g.reload(text)
    assert answer.status == 500 and str(other.process.pid) in answer.text
    assert g.post(one1("stays")).status == 204
    wait_for("the old node", lambda: old.stored)
    assert not new.requests
    other.stop()
    assert g.reload(text).status == 200
    assert g.post(one1("goes")).status == 204
    wait_for("the new node", lambda: new.stored and third.stored)


# --- order ---

def rising(g, rounds, start, series=60):
    """Each series gets rising values, a block for each round."""
    for i in range(rounds):
        body = b"".join(series1([("__name__", "order"), ("s", str(s))], [(float(start + i), now())]) for s in range(series))
        assert g.post(body).status == 204
    return start + rounds


LANES = "{{lanes: {}, timeout: 5s, retry: {{min: 5ms, max: 30ms}}, breaker: {{failures: 1000}}}}"


@pytest.mark.parametrize("ack,disk", [("disk", "1GiB"), ("memory", "1GiB"), ("memory", "0")])
def test_gw_tx_6_lanes_change(world, ack, disk):
    """Blocks of the old layout go first: a series that changes its lane does not overtake itself, and then all lanes are used."""
    sink = world.sink("r")
    sink.kill()
    queue = f"{{min_free_disk: 0, ack: {ack}, disk: {disk}}}"
    g = world.gateway(config(sink, send=LANES.format(4), queue=queue))
    at = rising(g, 6, 0)
    for lanes in (7, 3, 64, 1, 5):
        assert g.reload(config(sink, send=LANES.format(lanes), queue=queue)).status == 200
        at = rising(g, 3, at)
    sink.start()
    wait_for("all", lambda: len(sink.rows()) >= at * 60)
    assert check_order(sink) == 60 and len(sink.rows()) == at * 60
    assert g.metric("telamon_route_queue_blocks") == 0 or wait_for("rest", lambda: g.metric("telamon_route_queue_blocks") == 0)


def test_gw_tx_6_lanes_change_between_starts(world):
    sink = world.sink("r")
    sink.kill()
    g = world.gateway(config(sink, send=LANES.format(4)))
    at = rising(g, 6, 0)
    for lanes, end in ((7, g.kill), (3, g.stop), (8, g.kill)):
        end()
        g.configure(config(sink, send=LANES.format(lanes)))
        g.start()
        at = rising(g, 4, at)
    sink.start()
    wait_for("all", lambda: len(sink.rows()) >= at * 60)
    assert check_order(sink) == 60 and len(sink.rows()) == at * 60


def test_gw_tx_6_lanes_are_really_changed(world):
    """As many requests at once as there are lanes, of a node that had fewer before."""
    lock, gate, now_in, most = threading.Lock(), threading.Event(), [0], [0]

    def answer(_):
        with lock:
            now_in[0] += 1
            most[0] = max(most[0], now_in[0])
        gate.wait(10)
        with lock:
            now_in[0] -= 1
        return 204
    sink = world.receiver(answer)
    g = world.gateway(config(sink, send=LANES.format(2)))
    rising(g, 1, 0)
    wait_for("two", lambda: most[0] == 2)
    assert g.reload(config(sink, send=LANES.format(8))).status == 200
    rising(g, 4, 1)
    gate.set()
    wait_for("rest", lambda: g.metric("telamon_route_queue_blocks") == 0)
    gate.clear()
    most[0] = 0
    rising(g, 1, 10, series=400)
    wait_for("eight", lambda: most[0] == 8)
    gate.set()


def test_gw_tx_6_memory_and_disk_mixed(world):
    """`ack: memory` that spilled and stops cleanly: what was in memory and what was on disk leave in their order after the next start."""
    sink = world.sink("r")
    sink.kill()
    g = world.gateway(config(sink, send=LANES.format(4), queue="{min_free_disk: 0, ack: memory, memory: 64KiB}"))
    at = rising(g, 40, 0)
    assert g.metric("telamon_route_queue_bytes", tier="disk") >= 0
    sink.start()
    wait_for("some", lambda: len(sink.rows()) > 20 * 60)
    sink.stop()  # in the middle of it: the rest waits, partly loaded again
    at = rising(g, 20, at)
    assert g.stop() == 0
    at_rest = queue_records(os.path.join(g.storage, "queue", "d", "n0"))
    assert at_rest
    sink.go_on()
    sink.kill()
    g.start()
    at = rising(g, 5, at)
    sink.start()
    wait_for("all", lambda: len({(r[0], r[2]) for r in sink.rows()}) == at * 60)
    assert check_order(sink) == 60


# --- retirement ---

def test_gw_lc_2_a_node_that_hangs_does_not_hold_up_the_rest(world):
    """retire_timeout is over while a request hangs: it is cancelled, its block becomes an orphan, reloads and ticks go on."""
    over = threading.Event()
    hang, good = world.receiver(lambda q: (over.wait(60), 204)[1]), world.receiver()
    text = config(hang, good, queue="{min_free_disk: 0, retire_timeout: 0}", send="{timeout: 10m}")
    g = world.gateway(text)
    for i in range(40):
        assert g.post(one1("hang", float(i), i=str(i))).status == 204
    wait_for("a request that hangs", lambda: hang.requests)
    assert g.reload(config(good).replace("n0", "n1")).status == 200
    wait_for("the end of the node", lambda: "is retired" in g.log())
    before = g.metric("stream_receive_samples_total")
    assert g.post(one1("goes_on")).status == 204
    wait_for("ticks", lambda: g.metric("stream_receive_samples_total") > before)
    left = sorted(v for r in queue_records(os.path.join(g.storage, "queue", "d", "n0")) for v in r.values)
    assert left and set(left).isdisjoint(good.values())
    over.set()
    time.sleep(0.05)
    # It comes back: what it had not taken arrives.
    hang.answer = 204
    assert g.reload(text).status == 200
    wait_for("the rest", lambda: set(hang.values()) >= set(left))


# --- all at once ---

def test_gw_ts_12_all_threads_at_once(world):
    """Load, reloads, scrapes, explanations, nodes that die and come: under the thread sanitizer (SAN=thread) each race is told."""
    sinks = [world.sink(f"r{i}") for i in range(2)]
    shapes = [config(*nodes, send=f"{{lanes: {lanes}, timeout: 2s, retry: {{min: 5ms, max: 20ms}}, breaker: {{failures: 2, open: 1s, successes: 1}}}}",
                     queue=f"{{min_free_disk: 0, ack: {ack}, memory: 64KiB, max_age: 1h}}", batch="{linger: 2ms}",
                     routes="- {name: all, destination: d, relabel_configs: [{source_labels: [s], regex: '(.).*', target_label: first}]}")
              for nodes, lanes, ack in ((sinks, 4, "disk"), (sinks, 3, "memory"), (sinks[::-1], 8, "fsync"))]
    g = world.gateway(shapes[0])
    clients, over, pages = Clients(g), threading.Event(), []

    def look():
        while not over.is_set():
            for page in ("/metrics", "/stats", "/api/v1/status/config", "/api/v1/status/table?destination=d", "/api/v1/explain?series=chaos", "/-/healthy"):
                pages.append(g.get(page).status)
    reader = threading.Thread(target=look)
    reader.start()
    for i in range(24):
        assert g.reload(shapes[i % 3]).status == 200
        clients.more(20)
        if i % 8 == 3:
            sinks[i // 8 % 2].kill()
            clients.more(40)
            sinks[i // 8 % 2].start()
        if i % 8 == 6:
            hang_up(g, shapes[(i + 1) % 3])
    acknowledged = clients.end()
    over.set()
    reader.join()
    assert set(pages) == {200}
    check(acknowledged, sinks, 3)
    assert g.stop() == 0
