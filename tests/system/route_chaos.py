# SPDX-License-Identifier: Apache-2.0
"""What chaos tests share: clients that repeat, sinks of their own process, queue files read and damaged from outside."""

import collections
import contextlib
import os
import signal
import struct
import subprocess
import threading
import time

import pytest

from conftest import TELAMON, free_port, wait_for
from route_common import Gateway, Receiver, now, read1, series1, unsnappy

PER_REQUEST = 20
IN_FLIGHT_AND_MORE = 64  # blocks that may come twice with each death (GW-TS-9)
LONG = os.environ.get("TELAMON_TEST_LONG") == "1"  # the long form of tests that have one: tens of minutes
FAST = "{timeout: 5s, retry: {min: 5ms, max: 50ms}, breaker: {failures: 3, open: 1s, successes: 1}}"


class Client(threading.Thread):
    """Posts values of its own, and posts them again until they are acknowledged, as Prometheus does. A series is one client's: its values rise."""

    def __init__(self, g, base, pause=0.0):
        super().__init__(daemon=True)
        self.g, self.base, self.next, self.pause = g, base, base, pause
        self.acknowledged, self.tries, self.statuses, self.over = [], 0, collections.Counter(), threading.Event()

    def run(self):
        while not self.over.is_set():
            values = [float(self.next + i) for i in range(PER_REQUEST)]
            self.next += PER_REQUEST
            t = now()
            body = b"".join(series1([("__name__", "chaos"), ("c", str(self.base)), ("s", str(int(v) % 50))], [(v, t)]) for v in values)
            while not self.over.is_set():
                self.tries += 1
                try:
                    status = self.g.post(body).status
                except (OSError, ValueError):
                    self.statuses["none"] += 1
                    time.sleep(0.02)
                    continue
                except Exception:  # pylint: disable=broad-except  # an answer that was cut off
                    self.statuses["none"] += 1
                    continue
                self.statuses[status] += 1
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

    def statuses(self):
        return set().union(*(c.statuses for c in self.all))

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

    def rows(self):
        """(series hash, timestamp, value) in order of arrival."""
        result = []
        for life in range(1, self.lives + 1):
            with contextlib.suppress(FileNotFoundError), open(f"{self.record}.{life}", "rb") as f:
                data = f.read()
                result += struct.iter_unpack("=Qqd", data[:len(data) // 24 * 24])
        return result

    def values(self):
        return [row[2] for row in self.rows()]

    def stop(self):
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self):
        self.process.send_signal(signal.SIGCONT)

    def kill(self):
        with contextlib.suppress(ProcessLookupError):
            self.go_on()
        self.process.kill()
        self.process.wait()


class World:
    """Gateways, sinks and receivers that end with the test."""

    def __init__(self, directory):
        self.directory, self.things, self.gateways = directory, [], []

    def sink(self, name):
        return self.keep(Sink(self.directory, name), "kill")

    def receiver(self, *a, **k):
        return self.keep(Receiver(*a, **k), "stop")

    def gateway(self, text, *options, directory="g", start=True, env=None):
        g = self.keep(Gateway(self.directory / directory, text, options, env=env), "clean_up")
        self.gateways.append(g)
        return g.start() if start else g

    def keep(self, thing, end):
        self.things.append(getattr(thing, end))
        return thing

    def end(self):
        for end in self.things:
            end()
        for g in self.gateways:  # of a build with sanitizers
            assert not os.path.exists(g.log_file) or "Sanitizer" not in g.log(), g.log()


@pytest.fixture
def world(tmp_path):
    w = World(tmp_path)
    yield w
    w.end()


def delivered(*sinks):
    return [v for s in sinks for v in s.values()]


def check(acknowledged, sinks, deaths, seconds=30):
    """Acknowledged ⊆ delivered; (samples that came twice, how many may)."""
    assert acknowledged
    wait_for("all that was acknowledged", lambda: acknowledged <= set(delivered(*sinks)), seconds)
    got = delivered(*sinks)
    return len(got) - len(set(got)), deaths * IN_FLIGHT_AND_MORE * PER_REQUEST * 4


def check_order(sink):
    """GW-TX-6: what comes for the first time comes in the order in which it was acknowledged; only repetitions go back."""
    last, seen = {}, set()
    for series, _, value in sink.rows():
        if (series, value) in seen:
            continue
        seen.add((series, value))
        assert value > last.get(series, -1.0), f"series {series:x}: {value} came after {last[series]}"
        last[series] = value
    return len(last)


# --- queue files, as the format describes them ---

SEGMENT_HEADER = RECORD_HEADER = 64


class Record:
    def __init__(self, path, at, data):
        self.path, self.at = path, at
        payload, self.index = struct.unpack_from("<IQ", data, at + 4)
        self.lane, schema, codec, extra = struct.unpack_from("<HBBH", data, at + 48)
        self.body = at + RECORD_HEADER + extra
        self.end = self.body + payload  # without padding
        self.next = self.end + -self.end % 8
        assert (schema, codec) == (1, 1)
        self.values = [v for s in read1(unsnappy(data[self.body:self.end])) for v in s.values]


def records(path):
    with open(path, "rb") as f:
        data = f.read()
    at, result = SEGMENT_HEADER, []
    while at + RECORD_HEADER <= len(data) and data[at:at + 4] == b"BLK1":
        record = Record(path, at, data)
        if record.next > len(data):
            break
        result.append(record)
        at = record.next
    return result


def segments(directory):
    return sorted(os.path.join(directory, n) for n in os.listdir(directory) if n.endswith(".seg"))


def queue_records(directory):
    return [r for path in segments(directory) for r in records(path)]


def flip(path, at, bit):
    with open(path, "r+b") as f:
        f.seek(at)
        byte = f.read(1)[0]
        f.seek(at)
        f.write(bytes([byte ^ 1 << bit]))


@contextlib.contextmanager
def small_tmpfs(path, size):
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(path)], check=True)
    try:
        yield path
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)


def fill(path):
    """Every byte that is left."""
    with contextlib.suppress(OSError), open(path, "ab", buffering=0) as f:
        while True:
            f.write(bytes(4096))
