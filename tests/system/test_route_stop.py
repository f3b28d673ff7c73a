# SPDX-License-Identifier: Apache-2.0
"""How the gateway ends when it is told twice, or when its time is over (GW-LC-3)."""

import contextlib
import signal
import socket
import threading

import pytest

from conftest import wait_for
from route_common import Gateway, Receiver, config, now, one1, series1

HEAD = b"POST /api/v1/write HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\nContent-Length: 100000\r\n\r\n"


@pytest.fixture
def world(tmp_path):
    things = []

    class World:
        def receiver(self, *a):
            things.append(Receiver(*a))
            return things[-1]

        def gateway(self, text, options=()):
            things.append(Gateway(tmp_path / "g", text, options))
            return things[-1].start()
    yield World()
    for t in things:
        t.clean_up() if isinstance(t, Gateway) else t.stop()


def hold(g):
    """A request that does not end: the stop waits for it."""
    s = socket.create_connection(("127.0.0.1", g.port))
    s.sendall(HEAD + b"x")
    wait_for("the request", lambda: g.metric("stream_receive_in_flight") >= 1)
    return s


@pytest.mark.parametrize("ack", ["disk", "fsync"])
def test_second_signal_ends_at_once_and_loses_nothing(world, ack):
    away = world.receiver(503)
    g = world.gateway(config(away, batch="{linger: 20ms}", queue=f"{{min_free_disk: 0, ack: {ack}}}"), ["--shutdown.timeout=60s"])
    acknowledged, over = [], threading.Event()

    def load(base):
        i = base
        while not over.is_set():
            values = [float(i + k) for k in range(20)]
            i += 20
            with contextlib.suppress(Exception):
                if g.post(b"".join(series1([("__name__", "stop"), ("i", str(int(v)))], [(v, now())]) for v in values)).status == 204:
                    acknowledged.extend(values)
    threads = [threading.Thread(target=load, args=(n * 1_000_000,), daemon=True) for n in range(3)]
    slow = hold(g)
    for t in threads:
        t.start()
    try:
        wait_for("samples", lambda: len(acknowledged) > 400)
        g.process.send_signal(signal.SIGTERM)
        wait_for("the stop", lambda: "stopping" in g.log())
        assert g.process.poll() is None  # waits for the slow one
        g.process.send_signal(signal.SIGTERM)
        assert g.process.wait(30) == 0
        assert "second signal, leaving at once" in g.log()
    finally:
        over.set()
        for t in threads:
            t.join(30)
        slow.close()
    away.answer = 204
    g.start()
    wait_for("all that was acknowledged", lambda: set(acknowledged) <= set(away.values()), 30)


def test_shutdown_timeout_holds(world):
    """Less than what requests in work may take: the process is gone when its time is over, with exit status 0."""
    sink = world.receiver()
    g = world.gateway(config(sink), ["--shutdown.timeout=1s"])
    slow = hold(g)
    g.process.send_signal(signal.SIGTERM)
    assert g.process.wait(30) == 0
    slow.close()
    g.start()
    assert g.post(one1("after")).status == 204
    # SIGHUP during a stop is no second signal, a second SIGINT is.
    g.options = ["--shutdown.timeout=60s"]
    g.stop()
    g.start()
    slow = hold(g)
    g.process.send_signal(signal.SIGINT)
    wait_for("the stop", lambda: g.log().count("stopping") >= 3)
    g.process.send_signal(signal.SIGHUP)
    with pytest.raises(Exception):
        g.process.wait(1)
    g.process.send_signal(signal.SIGINT)
    assert g.process.wait(30) == 0
    assert "second signal" in g.log()
    slow.close()
