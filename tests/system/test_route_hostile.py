# SPDX-License-Identifier: Apache-2.0
"""Senders that mean harm (GW-TS-11): bodies that claim, inflate and nest, thousands that are slow. Right statuses, bounded memory, others served."""

import resource
import socket
import threading
import time

import pytest

from conftest import wait_for
from route_common import RW1, RW2, Gateway, Receiver, config, label1, now, one1, one2, sample1, snappy, sub, varint, zstd

MIB = 1 << 20
BUDGET = 64 * MIB
LIMITS = f"receive: {{max_body: 32MiB, max_decompressed: 32MiB, max_inflight: {BUDGET // MIB}MiB}}\n"
FRAMED = b"\xff\x06\x00\x00sNaPpY" + b"\x01\x05\x00\x00" + b"abcde"
SLOW = 10_000
HEAD = b"POST /api/v1/write HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\n"


@pytest.fixture(scope="module")
def sink():
    receiver = Receiver()
    yield receiver
    receiver.stop()


@pytest.fixture
def start(tmp_path, sink):
    made = []

    def make(top):
        made.append(Gateway(tmp_path, config(sink, top=top)).start())
        return made[-1]
    yield make
    for g in made:
        g.clean_up()


def groups(depth):
    return varint(7 << 3 | 3) * depth + varint(7 << 3 | 4) * depth


def tags(n):
    """A snappy block that is nothing but copies: 64 times as long as its body."""
    return varint(64 + 64 * n) + bytes([63 << 2]) + bytes(64) + b"\xfe\x01\x00" * n


def bodies():
    t = now()
    labels = b"".join(label1(f"l{i}", "v") for i in range(1_000_000))
    refs = b"".join(varint(i) for i in range(1_000_000))
    return {
        "claims 4 GiB": (varint((1 << 32) - 1) + b"\x00abcd", "snappy", RW1, 413),
        "claims more than a block can": (varint(1 << 35) + b"\x00abcd", "snappy", RW1, 400),
        "claims 64 times its size": (varint(30 * MIB) + bytes(1000), "snappy", RW1, 400),
        "snappy bomb": (tags(400_000), "snappy", RW1, 400),
        "zstd bomb": (zstd(bytes(256 * MIB)), "zstd", RW1, 413),
        "zstd garbage": (zstd(one1())[:-3] + b"\0\0\0\0", "zstd", RW1, 400),
        "a million labels": (snappy(sub(1, labels + sample1(1.0, t))), "snappy", RW1, 400),
        "a million refs": (snappy(sub(4, "") + sub(5, sub(1, refs))), "snappy", RW2, 400),
        "a million symbols": (snappy(sub(4, "") + sub(4, "x") * 1_000_001), "snappy", RW2, 413),
        "a million series": (snappy(sub(1, b"") * 1_000_000), "snappy", RW1, 413),
        "groups, 100,000 deep": (snappy(groups(100_000)), "snappy", RW1, 400),
        "groups, 33 deep": (snappy(groups(33)), "snappy", RW2, 400),
        "groups without an end": (snappy(varint(7 << 3 | 3) * 30), "snappy", RW1, 400),
        "framed": (FRAMED, "snappy", RW1, 400),
        "gzip": (b"\x1f\x8b" + bytes(100), "gzip", RW1, 415),
        "longest": (bytes(32 * MIB + 1), "snappy", RW1, 413),
    }


def test_hostile_bodies(start):
    g = start(LIMITS)
    todo = bodies()
    for name, (body, encoding, content_type, status) in todo.items():
        a = g.post(body, content_type, encoding, raw=True)
        assert a.status == status, name
        assert g.post(one1("good")).status == 204, name
    # All at once, and again and again: some meet the budget of all.
    wrong = []

    def attack(shift):
        names = list(todo)
        for name in names[shift:] + names[:shift]:
            body, encoding, content_type, status = todo[name]
            try:
                got = g.post(body, content_type, encoding, raw=True).status
            except OSError as e:
                got = e
            if got not in (status, 503):
                wrong.append((name, got))
    threads = [threading.Thread(target=attack, args=(2 * i,)) for i in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong
    assert g.post(one2("good"), RW2).status == 204 and g.get("/-/healthy").status == 200
    assert g.rss() <= BUDGET + 64 * MIB, g.rss() / MIB


def test_bodies_that_never_end_hold_no_more_than_the_budget(start):
    """Each is allowed 32 MiB; together they are bounded while they come."""
    g = start(LIMITS.replace("}", ", min_body_rate: 0}"))
    held = []
    piece = bytes(MIB)

    def feed():
        s = socket.create_connection(("127.0.0.1", g.port))
        held.append(s)
        s.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % (32 * MIB))
        for _ in range(20):
            s.sendall(piece)
    threads = [threading.Thread(target=feed, daemon=True) for _ in range(16)]
    try:
        for t in threads:
            t.start()
        for t in threads:
            t.join(60)
        assert g.post(one1("refused", x="y" * 3000) * 1000).status in (204, 503)
        assert g.rss() <= BUDGET + 64 * MIB, g.rss() / MIB
    finally:
        for s in held:
            s.close()
    wait_for("room", lambda: g.post(one1("good")).status == 204)


def quantile(times, q):
    return sorted(times)[min(len(times) - 1, int(len(times) * q))]


def measure(g, n=300):
    times = []
    for i in range(n):
        begin = time.monotonic()
        assert g.post(one1("quick", float(i))).status == 204
        times.append(time.monotonic() - begin)
    return quantile(times, 0.5) * 1000, quantile(times, 0.99) * 1000


def test_ten_thousand_slow_clients(start, capsys):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    n = min(SLOW, hard - 1000)
    g = start(LIMITS.replace("}", ", header_timeout: 40s}") + f"limits: {{connections: {n + 500}, connections_per_ip: 0}}\n")
    clients = []
    try:
        quiet = measure(g)
        for i in range(n):
            s = socket.socket()
            s.bind((f"127.0.1.{i % 50 + 1}", 0))
            s.connect(("127.0.0.1", g.port))
            s.sendall(HEAD + (b"Content-Length: 1000000\r\n\r\n" + b"x" * 100 if i % 5 == 0 else b"X-Slow: " + b"y" * (i % 100)))
            clients.append(s)
        wait_for("all of them", lambda: g.metric("telamon_route_connections") >= n * 0.75, 60)
        busy = measure(g)
        assert g.get("/-/healthy").status == 200
        assert g.rss() <= BUDGET + 64 * MIB, g.rss() / MIB
        with capsys.disabled():
            print(f"\n{n} slow clients" + ("" if n == SLOW else f" (RLIMIT_NOFILE is {hard})") +
                  f": p50, p99 of others {busy[0]:.1f}, {busy[1]:.1f} ms; before {quiet[0]:.1f}, {quiet[1]:.1f} ms; "
                  f"{g.rss() / MIB:.0f} MiB resident")
        refused = "telamon_route_limit_refused_total"
        wait_for("the end of all", lambda: g.metric(refused, limit="header_timeout") + g.metric(refused, limit="min_body_rate") >= n, 90)
        wait_for("their places", lambda: g.metric("telamon_route_connections") <= 5, 30)
    finally:
        for s in clients:
            s.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
