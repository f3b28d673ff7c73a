# SPDX-License-Identifier: Apache-2.0
"""Nothing acknowledged is lost: processes die and freeze, disks fill up, nodes fail, while clients send and try again."""

import contextlib
import os
import random
import time

import pytest

from conftest import free_port, wait_for
from route_chaos import FAST, LONG, PER_REQUEST, Clients, check, check_order, fill, small_tmpfs, world  # noqa: F401  pylint: disable=unused-import
from route_common import Gateway, config, one1


@pytest.mark.parametrize("ack", ["disk", "fsync"])
def test_gw_ts_9_kill_the_gateway(world, ack):
    sinks = [world.sink(f"r{i}") for i in range(2)]
    g = world.gateway(config(*sinks, send=FAST, queue=f"{{min_free_disk: 0, segment: 1MiB, ack: {ack}}}"))
    clients = Clients(g)
    kills = 50 if LONG or ack == "disk" else 6
    for i in range(kills):
        clients.more(60 * (1 + i % 3))
        g.kill()
        g.start()
    clients.more()
    doubled, allowed = check(clients.end(), sinks, kills)
    assert doubled <= allowed
    assert sum(map(check_order, sinks)) == 3 * 50


def test_gw_ts_9_kill_sinks_and_gateway(world):
    sinks = [world.sink(f"r{i}") for i in range(3)]
    g = world.gateway(config(*sinks, send=FAST))
    clients, rng, rounds = Clients(g), random.Random(5), 50 if LONG else 25
    for i in range(rounds):
        clients.more(60)
        victim = rng.choice(sinks)
        victim.kill()
        if LONG or i % 3 == 2:
            g.kill()
            g.start()
        clients.more(60)
        victim.start()
    acknowledged = clients.end()
    doubled, allowed = check(acknowledged, sinks, 2 * rounds)
    assert doubled <= allowed
    assert sum(map(check_order, sinks)) == 3 * 50


def test_gw_ts_9_frozen_sink(world):
    sinks = [world.sink(f"r{i}") for i in range(2)]
    g = world.gateway(config(*sinks, send=FAST.replace("timeout: 5s", "timeout: 1s")))
    clients = Clients(g, pause=0.02)
    clients.more()
    sinks[0].stop()
    wait_for("timeouts", lambda: g.metric("telamon_route_send_requests_total", node="n0", code="error") >= 1)
    clients.more(200)  # answers do not wait for it
    if LONG:
        time.sleep(60)
    assert g.get("/-/healthy").status == 200
    sinks[0].go_on()
    check(clients.end(), sinks, 1)
    assert clients.statuses() == {204}
    assert sum(map(check_order, sinks)) == 3 * 50


def test_gw_ts_9_full_disk(world):
    """The disk fills up while a node is away: 503, never a lie; when there is room again all goes on."""
    sinks = [world.sink(f"r{i}") for i in range(2)]
    sinks[0].kill()
    g = world.gateway(config(*sinks, send=FAST, queue="{min_free_disk: 0, segment: 1MiB, memory: 64KiB, disk: 1GiB}"), start=False)
    with small_tmpfs(world.directory / "small", "2m") as small:
        g.storage = str(small / "storage")
        g.start()
        clients = Clients(g)
        clients.more()
        fill(small / "ballast")
        wait_for("refusals", lambda: 503 in clients.statuses(), 30)
        assert clients.statuses() <= {204, 503}
        assert g.get("/-/healthy").status == 200 and g.get("/-/ready").status == 200
        wait_for("the count", lambda: g.metric("telamon_route_queue_errors_total", error="nospace") >= 1)
        (small / "ballast").unlink()
        clients.more(100)
        # Full once more, and the process dies with it.
        fill(small / "ballast")
        g.kill()
        (small / "ballast").unlink()
        g.start()
        sinks[0].start()
        clients.more(100)
        doubled, allowed = check(clients.end(), sinks, 2)
        assert clients.statuses() <= {204, 503, "none"}
        assert doubled <= allowed + sum(c.tries for c in clients.all) * PER_REQUEST
        assert sum(map(check_order, sinks)) == 3 * 50
        assert g.stop() == 0


@pytest.fixture
def small_disk(tmp_path):
    with small_tmpfs(tmp_path / "small", "2m") as directory:
        yield directory


def test_gw_rx_5_no_room_for_all_is_room_for_none(world, small_disk):
    """Four nodes, and room for the blocks of one or two: none gets its block, so that the sender's repetition comes to each node once."""
    nodes = [world.receiver() for _ in range(4)]
    g = Gateway(world.directory / "g", config(*nodes, queue="{min_free_disk: 0, segment: 1MiB, disk: 1GiB, memory: 64KiB}"))
    g.storage = str(small_disk / "storage")
    draw = random.Random(5)
    try:
        g.start()
        sent, refused = [], 0
        for round_ in range(8):
            free = small_disk / "others"
            with contextlib.suppress(OSError), open(free, "wb", buffering=0) as f:
                while True:
                    f.write(bytes(4096))
            room = (round_ + 1) * 40_000
            os.truncate(free, max(0, free.stat().st_size - room))
            values = [draw.random() for _ in range(800)]
            body = b"".join(one1("room", v, i=draw.randbytes(100).hex()) for v in values)
            a = g.post(body)
            assert a.status in (204, 503)
            if a.status == 503:
                refused += 1
                assert int(a.headers["Retry-After"]) > 1
                free.unlink()
                wait_for("room", lambda b=body: g.post(b).status == 204)
            else:
                free.unlink()
            sent += values
        assert refused
        wait_for("all", lambda: set(sent) <= {v for n in nodes for v in n.values()}, 30)
        assert sorted(sent) == sorted(v for n in nodes for v in n.values())
        assert sum(1 for n in nodes if n.values()) == 4
    finally:
        g.clean_up()


# --- one of four: GW-TS-10 ---

def slow(q):
    time.sleep(1.5)
    return 204


BROKEN = {"dead": None, "slow": slow, "500": lambda q: 500, "400": lambda q: 400, "404": lambda q: 404, "garbage": lambda q: b"\0\xff\x16\x03 no HTTP\r\n\r\n" * 50, "closes": lambda q: -1, "trickle": 204,
          "redirects": lambda q: (308, {"Location": q.path}, b""), "long": lambda q: (500, {}, b"\0" * 200_000)}


@pytest.mark.parametrize("how", BROKEN)
def test_gw_ts_10_one_of_four(world, how):
    nodes = [world.receiver(BROKEN[how] if i == 2 and BROKEN[how] else 204, slow=1 if i == 2 and how == "trickle" else 0) for i in range(4)]
    if how == "dead":
        nodes[2].stop()
    g = world.gateway(config(*nodes, send="{timeout: 2s, retry: {min: 5ms, max: 50ms}}"))
    for i in range(200):
        assert g.post(one1("iso", float(i), i=str(i))).status == 204
    good = [n for i, n in enumerate(nodes) if i != 2]

    def complete():
        got = {v for n in good for v in n.values()}
        return len(got) > 100 and all(g.metric("telamon_route_queue_blocks", node=f"n{i}") == 0 for i in (0, 1, 3))
    wait_for("the others have all", complete)
    assert g.get("/-/healthy").status == 200 and g.get("/-/ready").status == 200
    if how not in ("slow", "400"):
        assert g.metric("telamon_route_queue_blocks", node="n2") > 0
        # And when it is well again, it gets what is its own.
        if how == "dead":
            nodes[2].start()
        nodes[2].answer, nodes[2].slow = 204, 0
        if how in ("404", "redirects"):
            assert g.reload(config(*nodes, send="{timeout: 3s}")).status == 200
        else:
            assert g.reload(config(*nodes, send="{timeout: 4s}")).status == 200
        wait_for("its share", lambda: {v for n in nodes for v in n.values()} == set(map(float, range(200))))


@pytest.mark.parametrize("full,status", [("block", 503), ("drop_oldest", 204), ("drop_newest", 204)])
def test_gw_qu_6_full_queue(world, full, status):
    """All or nothing (GW-RX-5): what `block` refuses leaves no rows with the healthy node."""
    good = world.receiver()
    away = f"http://127.0.0.1:{free_port()}/api/v1/write"
    g = world.gateway(config(good, away, queue=f"{{min_free_disk: 0, memory: 64KiB, disk: 0, ack: memory, full: {full}}}"))
    rng, value, acknowledged, last = random.Random(1), 0, [], 204
    for _ in range(300):
        values = [float(value + i) for i in range(20)]
        value += 20
        body = b"".join(one1("full", v, i=str(int(v)), x=rng.randbytes(40).hex()) for v in values)
        a = g.post(body)
        last = a.status
        if last == 204:
            acknowledged += values
            continue
        assert (last, status) == (503, 503) and 1 <= int(a.headers["Retry-After"]) <= 30
        break
    assert last == status
    wait_for("an idle node", lambda: g.metric("telamon_route_queue_blocks", node="n0") == 0)
    time.sleep(0.3)
    got = good.values()
    assert len(got) == len(set(got)) and set(got) <= set(acknowledged) and len(got) > 100
    if status == 204:
        wait_for("the count", lambda: g.metric("telamon_route_dropped_samples_total", reason="full_" + full.split("_")[1]) > 0)
