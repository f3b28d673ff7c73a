# SPDX-License-Identifier: Apache-2.0
"""`telamon route replay` on the files of real gateways (GW-CL-4, GW-QU-8): queues that nobody sends, dead letters, damage, receivers that refuse."""

import collections
import datetime
import os
import struct
import subprocess

import pytest

from conftest import TELAMON, free_port, telamon, wait_for
from route_chaos import flip, queue_records, segments, world  # noqa: F401  pylint: disable=unused-import
from route_common import config, now, one1, series1


def left_behind(world, n=60, at=None, queue="{min_free_disk: 0}"):
    """The queue of a gateway that was killed while its node was away; a block for each value."""
    g = world.gateway(config(f"http://127.0.0.1:{free_port()}/api/v1/write", batch="{linger: 0s}", queue=queue))
    for i in range(n):
        assert g.post(one1("left", float(i), at(i) if at else now(), i=str(i))).status == 204
    return g, os.path.join(g.storage, "queue", "d", "n0")


def test_gw_cl_4_a_queue_in_use_is_left_alone(world):
    sink = world.receiver()
    g, directory = left_behind(world)
    done = telamon("route", "replay", directory, "--to", sink.url)
    assert done.returncode == 1 and str(g.process.pid) in done.stderr and not sink.requests
    dry = telamon("route", "replay", directory, "--dry-run")
    assert len(queue_records(directory)) == 60, dry.stdout + dry.stderr


def test_gw_cl_4_what_is_delivered_is_done(world):
    """Refused at first: nothing is done, all is there still. Then all arrives, once, and a gateway that starts again finds nothing."""
    sink = world.receiver(503)
    g, directory = left_behind(world)
    g.kill()
    dry = telamon("route", "replay", directory, "--dry-run")
    assert dry.returncode == 0 and "60 blocks" in dry.stdout and len(queue_records(directory)) == 60
    done = telamon("route", "replay", directory, "--to", sink.url, "--patience", "200ms")
    assert done.returncode == 1 and len(queue_records(directory)) == 60
    sink.answer = 204
    done = telamon("route", "replay", directory, "--to", sink.url)
    assert done.returncode == 0, done.stdout + done.stderr
    assert sorted(sink.values()) == [float(i) for i in range(60)] and not segments(directory)
    assert [f for f in os.listdir(directory) if f.endswith(".done")]
    late = world.receiver()
    g.configure(config(late))
    g.start()
    assert g.metric("telamon_route_queue_blocks") == 0 and g.stop() == 0
    assert not late.requests


def test_gw_cl_4_killed_in_the_middle(world):
    """A replay that dies has done nothing: the next one sends it all."""
    sink = world.receiver()
    g, directory = left_behind(world, n=200)
    g.kill()
    with subprocess.Popen([TELAMON, "route", "replay", directory, "--to", sink.url, "--rate", "100/s"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as p:
        wait_for("some", lambda: len(sink.stored) > 20)
        p.kill()
    assert len(queue_records(directory)) == 200 and len(sink.stored) < 200
    assert telamon("route", "replay", directory, "--to", sink.url).returncode == 0
    assert set(sink.values()) == {float(i) for i in range(200)}


def rfc3339(ms):
    return datetime.datetime.fromtimestamp(ms / 1000, datetime.timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def test_gw_cl_4_times(world):
    """--from and --until choose by the samples' times; a segment that is not sent whole stays."""
    sink, base = world.receiver(), now() - 3600_000
    g, directory = left_behind(world, at=lambda i: base + i * 60_000)
    g.kill()
    done = telamon("route", "replay", directory, "--to", sink.url, "--from", rfc3339(base + 10 * 60_000), "--until", rfc3339(base + 19 * 60_000))
    assert done.returncode == 0, done.stderr
    assert sorted(sink.values()) == [float(i) for i in range(10, 20)] and segments(directory)


def test_gw_cl_4_each_series_to_its_node(world):
    """With a configuration: where the destination's table has it now."""
    nodes = [world.receiver() for _ in range(3)]
    g, directory = left_behind(world)
    g.kill()
    path = world.directory / "new.yaml"
    path.write_text(config(*nodes), encoding="utf-8")
    done = telamon("route", "replay", directory, "--destination", "d", "--config", path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert sorted(v for n in nodes for v in n.values()) == [float(i) for i in range(60)] and all(n.values() for n in nodes)
    # A gateway with the same nodes sends the same series to the same ones.
    placed = {v: i for i, n in enumerate(nodes) for v in n.values()}
    g.configure(config(*nodes))
    g.start()
    for i in range(60):
        assert g.post(one1("left", 1000.0 + i, i=str(i))).status == 204
    wait_for("all", lambda: sum(len(n.values()) for n in nodes) == 120)
    assert all(placed[v - 1000] == i for i, n in enumerate(nodes) for v in n.values() if v >= 1000)


def test_gw_cl_4_damage(world):
    """What is damaged is told and counted, the rest arrives, and the file stays for a person to look at."""
    sink = world.receiver()
    g, directory = left_behind(world)
    g.kill()
    records = queue_records(directory)
    flip(records[7].path, records[7].body + 3, 2)
    flip(records[20].path, records[20].at + 9, 5)
    done = telamon("route", "replay", directory, "--to", sink.url)
    assert "damaged" in done.stdout, done.stdout
    assert sorted(sink.values()) == [float(i) for i in range(60) if i not in (7, 20)]


def test_gw_qu_8_orphans(world):
    """The queue of a node that is configured no more is named, kept, and emptied by replay while the gateway runs."""
    sink = world.receiver()
    g, directory = left_behind(world)
    g.kill()
    g.configure(config(sink).replace("n0", "n1"))
    g.start()
    assert len(queue_records(directory)) == 60
    done = telamon("route", "replay", directory, "--to", sink.url)
    assert done.returncode == 0, done.stderr
    assert sorted(sink.values()) == [float(i) for i in range(60)]


# --- bench: GW-CL-5 ---

@pytest.mark.parametrize("version", ["rw1", "rw2"])
def test_gw_cl_5_shape_of_the_load(world, version):
    sink = world.receiver()
    done = telamon("route", "bench", "--url", sink.url, "--series", 600, "--per-request", 200, "--labels", 14, "--hosts", 7, "--version", version, "--requests", 6,
                   "--duration", "60s", "--conns", 1)
    assert done.returncode == 0, done.stdout + done.stderr
    series = sink.series()
    assert {len(s.labels) for s in series} == {14} and len(series) == 1200 and {q.version for q in sink.requests} == {int(version[2])}
    assert all(s.labels == sorted(s.labels) for s in series)
    counts = collections.Counter(tuple(s.labels) for s in series)
    assert set(counts.values()) == {2} and len(counts) == 600
    assert {len({dict(s.labels).get(name) for s in series}) for name in ("instance", "host")} & {7}


def test_gw_cl_5_a_sink_of_many_addresses(world):
    ports = [free_port() for _ in range(3)]
    record = world.directory / "record"
    with subprocess.Popen([TELAMON, "route", "bench", "sink", "--listen", ",".join(f"127.0.0.1:{p}" for p in ports), f"--record={record}"],
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as p:
        g = world.gateway(config(*(f"http://127.0.0.1:{port}/api/v1/write" for port in ports)))
        for i in range(30):
            assert g.post(one1("many", float(i), 1000 + i, i=str(i))).status == 204
        wait_for("all", lambda: record.stat().st_size == 30 * 24)
        p.terminate()
    assert sorted((t, v) for _, t, v in struct.iter_unpack("=Qqd", record.read_bytes())) == [(1000 + i, float(i)) for i in range(30)]
