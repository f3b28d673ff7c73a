# SPDX-License-Identifier: Apache-2.0
"""Queue files of a killed gateway, damaged in every way: only what was in damaged records is missing, and it is counted (GW-TS-9, GW-QU-4, 5)."""

import os
import random
import shutil

import pytest

from conftest import free_port, wait_for
from route_chaos import RECORD_HEADER, SEGMENT_HEADER, flip, queue_records, segments, world  # noqa: F401  pylint: disable=unused-import
from route_common import Receiver, now, series1

NODES = 200
QUEUE = "{min_free_disk: 0, segment: 1MiB}"


def document(url, nodes, queue=QUEUE, lanes=1):
    lines = "".join(f'  - {{name: n{i}, url: "{url}/n{i}"}}\n' for i in range(nodes))
    return (f"destinations:\n- name: d\n  queue: {queue}\n  send: {{lanes: {lanes}, retry: {{min: 5ms, max: 20ms}}, breaker: {{open: 1s}}}}\n"
            f"  batch: {{linger: 20ms}}\n  nodes:\n{lines}routes:\n- {{name: all, destination: d}}\n")


class Many:
    """A gateway with many nodes of one receiver, whose paths tell them apart; each node has some unsent blocks when it is killed."""

    def __init__(self, world, nodes=NODES, blocks=3, queue=QUEUE, size=0, sent=0):
        self.world, self.port, self.nodes, self.each = world, free_port(), nodes, 8
        self.receiver = None
        if sent:
            self.listen(sent)
        self.g = world.gateway(document(f"http://127.0.0.1:{self.port}", nodes, queue), start=False)
        self.posted, rng = 0, random.Random(2)
        self.g.start()
        for _ in range(blocks):
            t = now()
            body = b"".join(series1([("__name__", "damage"), ("i", str(i)), ("pad", rng.randbytes(size).hex())], [(float(self.posted + i), t)])
                            for i in range(nodes * self.each))
            assert self.g.post(body).status == 204
            self.posted += nodes * self.each
        if sent:
            wait_for("the first blocks", lambda: self.per_node() == [sent] * nodes)
            wait_for("cursors", lambda: all(os.path.getsize(os.path.join(self.queue(i), "cursor")) for i in range(nodes)))
        self.g.kill()
        self.before = [self.values(i) for i in range(nodes)]
        if self.receiver:
            self.receiver.stop()
        self.receiver = None
        self.records = [queue_records(self.queue(i)) for i in range(nodes)]

    def listen(self, limit=None):
        taken = {}

        def answer(q):
            taken[q.path] = taken.get(q.path, 0) + 1
            return 204 if limit is None or taken[q.path] <= limit else 503
        self.receiver = self.world.keep(Receiver(answer, port=self.port), "stop")

    def per_node(self):
        paths = [q.path for q in list(self.receiver.stored)]
        return [paths.count(f"/n{i}") for i in range(self.nodes)]

    def queue(self, i):
        return os.path.join(self.g.storage, "queue", "d", f"n{i}")

    def values(self, i):
        return [v for q in (list(self.receiver.stored) if self.receiver else []) if q.path == f"/n{i}" for v in q.values]

    def restart(self):
        """The gateway goes on with what is there, until nothing waits."""
        self.listen()
        self.g.start()
        wait_for("empty queues", lambda: self.g.metric("telamon_route_queue_blocks") == 0 and self.g.metric("telamon_route_queue_records_total") > 0, 30)
        self.metrics = self.g.metrics()

    def counted(self, i, *events):
        return sum(self.metrics.get(f'telamon_route_queue_records_total{{destination="d",node="n{i}",event="{e}"}}', 0) for e in events)

    def check(self, i, lost, counted=True, loaded=False):
        """All values came, in order, but those of the records `lost`, which were counted. `loaded`: what was in memory already is no loss."""
        got = self.values(i)
        want = [v for r in self.records[i] if r not in lost for v in r.values]
        if loaded:
            assert set(got) >= set(want) and got == sorted(set(got)), i
        else:
            assert got == want, f"n{i}: {len(got)} of {len(want)}, lost {[r.index for r in lost]}"
        if lost and counted:
            assert self.counted(i, "torn", "corrupt") >= 1, i


def test_torn_anywhere(world):
    """A crash may end a write anywhere: what is behind the last whole record is cut away, what is before it arrives."""
    m = Many(world)
    for i, records in enumerate(m.records):
        record = records[-1]
        size = record.next - record.at
        os.truncate(record.path, record.at + i * size // m.nodes)
    m.restart()
    for i, records in enumerate(m.records):
        m.check(i, records[-1:], counted=i > 0)


def test_flipped_bits(world):
    """100 random places and more: the record that has it is missing, or nothing."""
    m, rng, hit = Many(world), random.Random(7), []
    for i in range(m.nodes):
        path = segments(m.queue(i))[0]
        # Each fourth: the head of the file.
        at = rng.randrange(SEGMENT_HEADER) if i % 4 == 0 else rng.randrange(os.path.getsize(path))
        flip(path, at, rng.randrange(8))
        hit.append([r for r in m.records[i] if r.at <= at < r.end])
    m.restart()
    for i, lost in enumerate(hit):
        m.check(i, lost)


def test_cursor_damage(world):
    """Zeros, cut short, a bit: at worst what was sent before comes again."""
    m, rng = Many(world, nodes=24, blocks=6, sent=3), random.Random(3)
    for i in range(m.nodes):
        path = os.path.join(m.queue(i), "cursor")
        size = os.path.getsize(path)
        if i % 4 == 0:
            with open(path, "r+b") as f:
                f.write(bytes(size))
        elif i % 4 == 1:
            os.truncate(path, rng.randrange(size))
        elif i % 4 == 2:
            flip(path, rng.randrange(size), rng.randrange(8))
        else:
            os.unlink(path)
    m.restart()
    for i in range(m.nodes):
        got, file = set(m.values(i)), [v for r in m.records[i] for v in r.values]
        assert got | set(m.before[i]) >= set(file) and len(m.values(i)) == len(got), i
        if i % 4 == 0:
            assert m.counted(i, "corrupt") >= 1


def test_middle_segment_is_gone(world):
    """Files deleted between two starts: the rest arrives, what is missing is counted and told."""
    m = Many(world, nodes=3, blocks=120, size=1900)
    gone = []
    for i in range(m.nodes):
        files = segments(m.queue(i))
        assert len(files) >= 3
        gone.append([r for r in m.records[i] if r.path == files[1]])
        os.unlink(files[1])
    m.restart()
    for i, lost in enumerate(gone):
        m.check(i, lost)
        assert "missing" in m.g.log()


def test_everything_at_once(world):
    """A head that is damaged, a cursor of zeros, a file that is gone, a tail that is torn, files that are none: it starts, and goes on."""
    m = Many(world, nodes=2, blocks=120, size=1900)
    files = segments(m.queue(0))
    flip(files[0], 20, 3)
    os.unlink(files[1])
    os.truncate(files[-1], os.path.getsize(files[-1]) - 11)
    with open(os.path.join(m.queue(0), "cursor"), "wb") as f:
        f.write(bytes(128))
    with open(os.path.join(m.queue(0), f"{1 << 40:016x}.seg"), "wb") as f:
        f.write(b"no segment at all")
    os.mkdir(os.path.join(m.queue(0), f"{1 << 41:016x}.seg"))
    os.symlink("/etc/hostname", os.path.join(m.queue(0), f"{1 << 42:016x}.seg"))
    m.restart()
    m.check(0, [r for r in m.records[0] if r.path == files[1]] + [r for r in m.records[0] if r.path == files[-1]][-1:])
    m.check(1, [])
    assert os.path.exists(os.path.join(m.queue(0), f"{1 << 40:016x}.seg.bad"))
    assert m.g.stop() == 0


def test_files_go_while_it_runs(world):
    """What somebody deletes under a running gateway is missing and counted; the queue does not stand still."""
    m = Many(world, nodes=2, blocks=120, size=1900)
    m.g.start()
    files = segments(m.queue(0))
    for path in files[1:-1]:
        os.unlink(path)
    m.listen()
    wait_for("empty queues", lambda: m.g.metric("telamon_route_queue_blocks") == 0, 30)
    m.metrics = m.g.metrics()
    m.check(0, [r for r in m.records[0] if r.path in files[1:-1]], loaded=True)
    m.check(1, [])


def test_foreign_directory(world):
    """The queue of another node under this one's name is set aside, whole."""
    m = Many(world, nodes=2)
    shutil.rmtree(m.queue(0))
    shutil.copytree(m.queue(1), m.queue(0))
    m.restart()
    assert m.values(0) == []
    m.check(1, [])
    assert queue_records(m.queue(0) + ".foreign") and "another node" in m.g.log()
    assert m.counted(0, "corrupt") == 1
