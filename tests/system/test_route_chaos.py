# SPDX-License-Identifier: Apache-2.0
"""Nothing acknowledged is lost: processes die and freeze, disks fill up, nodes fail, while clients send and try again."""

import contextlib
import os
import random
import signal
import struct
import subprocess
import threading
import time

import pytest

from conftest import TELAMON, free_port, wait_for
from route_common import Gateway, Receiver, config, now, one1, series1

PER_REQUEST = 20
IN_FLIGHT_AND_MORE = 64  # blocks that may come twice with each death (GW-TS-9)


class Client(threading.Thread):
    """Posts values of its own, and posts them again until they are acknowledged, as Prometheus does."""

    def __init__(self, g, base, pause=0.0):
        super().__init__(daemon=True)
        self.g, self.next, self.pause = g, base, pause
        self.acknowledged, self.tries, self.statuses, self.over = [], 0, set(), threading.Event()

    def run(self):
        while not self.over.is_set():
            values = [float(self.next + i) for i in range(PER_REQUEST)]
            self.next += PER_REQUEST
            t = now()
            body = b"".join(series1([("__name__", "chaos"), ("s", str(int(v) % 50))], [(v, t)]) for v in values)
            while not self.over.is_set():
                self.tries += 1
                try:
                    status = self.g.post(body).status
                except (OSError, ValueError):
                    time.sleep(0.02)
                    continue
                except Exception:  # pylint: disable=broad-except  # an answer that was cut off
                    continue
                self.statuses.add(status)
                if status == 204:
                    self.acknowledged += values
                    break
                time.sleep(0.05)
            time.sleep(self.pause)


class Clients:
    def __init__(self, g, n=3, pause=0.0):
        self.all = [Client(g, (i + 1) * 10_000_000, pause) for i in range(n)]
        for c in self.all:
            c.start()

    def count(self):
        return sum(len(c.acknowledged) for c in self.all)

    def more(self, n=100):
        """Waits for `n` more acknowledged samples."""
        want = self.count() + n
        wait_for("acknowledged samples", lambda: self.count() >= want, 30)

    def end(self):
        for c in self.all:
            c.over.set()
        for c in self.all:
            c.join(60)
            assert not c.is_alive()
        return {v for c in self.all for v in c.acknowledged}


class Sink:
    """A receiver of its own process: what it answered is in its files, one per life, as a death may cut the last row."""

    def __init__(self, directory, name):
        self.port, self.record = free_port(), os.path.join(str(directory), name)
        self.url = f"http://127.0.0.1:{self.port}/api/v1/write"
        self.process, self.lives = None, 0
        self.start()

    def start(self):
        self.lives += 1
        self.process = subprocess.Popen([TELAMON, "route", "bench", "sink", f"--listen=127.0.0.1:{self.port}", f"--record={self.record}.{self.lives}"],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def values(self):
        result = []
        for life in range(1, self.lives + 1):
            with contextlib.suppress(FileNotFoundError), open(f"{self.record}.{life}", "rb") as f:
                data = f.read()
                result += [struct.unpack_from("<d", data, at + 16)[0] for at in range(0, len(data) - 23, 24)]
        return result

    def kill(self):
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGCONT)
        self.process.kill()
        self.process.wait()


@pytest.fixture
def world(tmp_path):
    things = []

    class World:
        directory = tmp_path

        def sink(self, name):
            things.append(Sink(tmp_path, name).kill)
            return things[-1].__self__

        def receiver(self, *a):
            things.append(Receiver(*a).stop)
            return things[-1].__self__

        def gateway(self, text, *options, directory="g"):
            things.append(Gateway(tmp_path / directory, text, options).clean_up)
            return things[-1].__self__.start()
    yield World()
    for stop in things:
        stop()


def delivered(*sinks):
    return [v for s in sinks for v in s.values()]


def check(acknowledged, sinks, deaths):
    """Acknowledged ⊆ delivered, and what came twice is bounded by the deaths."""
    assert acknowledged
    wait_for("all that was acknowledged", lambda: acknowledged <= set(delivered(*sinks)), 30)
    got = delivered(*sinks)
    return len(got) - len(set(got)), deaths * IN_FLIGHT_AND_MORE * PER_REQUEST * 4


FAST = "{timeout: 5s, retry: {min: 5ms, max: 50ms}, breaker: {failures: 3, open: 1s, successes: 1}}"


@pytest.mark.parametrize("ack", ["disk", "fsync"])
def test_gw_ts_9_kill_the_gateway(world, ack):
    sinks = [world.sink(f"r{i}") for i in range(2)]
    g = world.gateway(config(*sinks, send=FAST, queue=f"{{min_free_disk: 0, segment: 1MiB, ack: {ack}}}"))
    clients = Clients(g)
    kills = 6 if ack == "disk" else 2
    for i in range(kills):
        clients.more(60 * (1 + i % 3))
        g.kill()
        g.start()
    clients.more()
    doubled, allowed = check(clients.end(), sinks, kills)
    assert doubled <= allowed


def test_gw_ts_9_kill_sinks_and_gateway(world):
    sinks = [world.sink(f"r{i}") for i in range(3)]
    g = world.gateway(config(*sinks, send=FAST))
    clients, rng = Clients(g), random.Random(5)
    for i in range(8):
        clients.more(60)
        victim = rng.choice(sinks)
        victim.kill()
        if i % 3 == 2:
            g.kill()
            g.start()
        clients.more(60)
        victim.start()
    acknowledged = clients.end()
    doubled, allowed = check(acknowledged, sinks, 10)
    assert doubled <= allowed


def test_gw_ts_9_frozen_sink(world):
    sinks = [world.sink(f"r{i}") for i in range(2)]
    g = world.gateway(config(*sinks, send=FAST.replace("timeout: 5s", "timeout: 1s")))
    clients = Clients(g, pause=0.02)
    clients.more()
    sinks[0].process.send_signal(signal.SIGSTOP)
    wait_for("timeouts", lambda: g.metric("telamon_route_send_requests_total", node="n0", code="error") >= 1)
    clients.more(200)  # answers do not wait for it
    assert g.get("/-/healthy").status == 200
    sinks[0].process.send_signal(signal.SIGCONT)
    check(clients.end(), sinks, 1)


@pytest.fixture
def small_disk(tmp_path):
    path = tmp_path / "small"
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(path)], check=True)
    yield path
    subprocess.run(["umount", "-l", str(path)], check=True)


def test_gw_ts_9_full_disk(world, small_disk):
    """The disk fills up while a node is away: 503, never a lie; when there is room again all goes on."""
    sinks = [world.sink(f"r{i}") for i in range(2)]
    port = sinks[0].port
    sinks[0].kill()
    g = Gateway(world.directory / "g", config(*sinks, send=FAST, queue="{min_free_disk: 0, segment: 1MiB, memory: 64KiB, disk: 1GiB}"))
    g.storage = str(small_disk / "storage")
    try:
        g.start()
        clients = Clients(g)
        clients.more()
        ballast = small_disk / "ballast"
        with contextlib.suppress(OSError), open(ballast, "wb", buffering=0) as f:
            while True:
                f.write(bytes(4096))
        wait_for("refusals", lambda: any(503 in c.statuses for c in clients.all), 30)
        assert all(c.statuses <= {204, 503} for c in clients.all)
        assert g.get("/-/healthy").status == 200 and g.get("/-/ready").status == 200
        wait_for("the count", lambda: g.metric("telamon_route_queue_errors_total", error="nospace") >= 1)
        ballast.unlink()
        clients.more(100)
        # Full once more, and the process dies with it.
        with contextlib.suppress(OSError), open(ballast, "wb", buffering=0) as f:
            while True:
                f.write(bytes(4096))
        g.kill()
        ballast.unlink()
        g.start()
        sinks[0].start()
        assert sinks[0].port == port
        clients.more(100)
        doubled, allowed = check(clients.end(), sinks, 2)
        assert all(c.statuses <= {204, 503} for c in clients.all)
        assert doubled <= allowed + sum(c.tries for c in clients.all) * PER_REQUEST
        assert g.stop() == 0
    finally:
        g.clean_up()


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


BROKEN = {"dead": None, "slow": slow, "500": lambda q: 500, "400": lambda q: 400, "404": lambda q: 404, "garbage": lambda q: -1,
          "redirects": lambda q: (308, {"Location": q.path}, b""), "long": lambda q: (500, {}, b"\0" * 200_000)}


@pytest.mark.parametrize("how", BROKEN)
def test_gw_ts_10_one_of_four(world, how):
    nodes = [world.receiver(BROKEN[how] if i == 2 and BROKEN[how] else 204) for i in range(4)]
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
    if how in ("500", "404", "dead", "redirects", "garbage", "long"):
        assert g.metric("telamon_route_queue_blocks", node="n2") > 0
        # And when it is well again, it gets what is its own.
        if how == "dead":
            nodes[2].start()
        nodes[2].answer = 204
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
