# SPDX-License-Identifier: Apache-2.0
"""What the gateway takes, what it refuses and with which status, and that what it took arrives unchanged."""

import math
import random
import socket
import struct

import pytest

from conftest import wait_for
from route_common import (RW1, RW2, STALE, Body2, Gateway, Receiver, config, double, histogram, label1, now, number, one1, one2, sample1,
                          series1, snappy, sub, varint, zstd)

LIMITED = ("receive: {max_body: 64KiB, max_decompressed: 256KiB, max_inflight: 64MiB}\n"
           "limits: {series_per_request: 1000, samples_per_request: 3000, symbols_per_request: 5000, labels_per_series: 20}\n")


@pytest.fixture(scope="module")
def sink():
    receiver = Receiver()
    yield receiver
    receiver.stop()


@pytest.fixture(scope="module")
def gateway(tmp_path_factory, sink):
    g = Gateway(tmp_path_factory.mktemp("receive"), config(sink)).start()
    yield g
    g.clean_up()


@pytest.fixture(scope="module")
def limited(tmp_path_factory, sink):
    g = Gateway(tmp_path_factory.mktemp("limited"), config(sink, top=LIMITED)).start()
    yield g
    g.clean_up()


def stored(sink, name):
    """The series of that name, as soon as it has arrived."""
    return wait_for(name, lambda: next((s for s in sink.series() if ("__name__", name) in s.labels), None))


# --- media, GW-RX-1, 2, 7 ---

MEDIA = [(None, 204), ("application/x-protobuf", 204), ("APPLICATION/X-Protobuf", 204), ("application/x-protobuf;proto=prometheus.WriteRequest", 204),
         ('application/x-protobuf ; PROTO = "prometheus.WriteRequest"', 204), ("application/json", 415), ("image/png", 415),
         ("application/x-protobuf;proto=something.Else", 415), ("text/plain", 415)]


@pytest.mark.parametrize("content_type,status", MEDIA)
@pytest.mark.parametrize("encoding", ["snappy", None, "zstd"])
def test_gw_rx_1_content_types(gateway, content_type, status, encoding):
    a = gateway.post(one1(), content_type, encoding)
    assert (a.status, a.written()) == (status, [None] * 3)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "identity, gzip"])
def test_gw_rx_2_encodings(gateway, encoding):
    assert gateway.post(one1(), RW1, encoding, raw=True).status == 415


@pytest.mark.parametrize("content_type", [RW2, "application/x-protobuf; proto=io.prometheus.write.v2.Request",
                                          'Application/X-Protobuf ;Proto="io.prometheus.write.v2.Request"'])
@pytest.mark.parametrize("encoding", ["snappy", "zstd"])
def test_gw_rx_1_version_2(gateway, content_type, encoding):
    a = gateway.post(one2(), content_type, encoding, headers={"X-Prometheus-Remote-Write-Version": "0.1.0"})
    assert (a.status, a.text, a.written()) == (204, "", ["1", "0", "0"])


def test_gw_rx_1_version_header_does_not_choose(gateway):
    a = gateway.post(one1(), RW1, headers={"X-Prometheus-Remote-Write-Version": "2.0.0"})
    assert (a.status, a.written()) == (204, [None] * 3)


def test_gw_rx_7_empty(gateway):
    assert gateway.post(b"").status == 204
    assert gateway.post(sub(3, number(1, 1) + sub(2, "up") + sub(4, "help"))).status == 204
    assert gateway.post(b"", raw=True).status == 400
    a = gateway.post(sub(4, ""), RW2)
    assert (a.status, a.written()) == (204, ["0", "0", "0"])


@pytest.mark.parametrize("path", ["/api/v1/write", "/api/v1/receive"])
def test_gw_ep_1_paths(gateway, path):
    before = gateway.post(one1(), path=path).status
    assert before == 204
    for method in ("GET", "PUT", "DELETE"):
        a = gateway.request(method, path)
        assert (a.status, a.headers["Allow"]) == (405, "POST")
    a = gateway.get(path + "?get_vm_proto_version=1")
    assert (a.status, a.text) == (200, "1")
    a = gateway.request("POST", path + "?get_vm_proto_version=1", b"")
    assert (a.status, a.text) == (200, "1")


# --- bodies that cannot be read ---

FRAMED = b"\xff\x06\x00\x00sNaPpY" + b"\x01\x05\x00\x00" + b"abcde"


@pytest.mark.parametrize("body", [FRAMED, b"\x00\x00", b"garbage that is no snappy block at all", snappy(one1())[:-3], snappy(b"\x0a\x05ab"),
                                  snappy(b"\x0a"), snappy(varint(1 << 3 | 3) * 40), snappy(b"\xff" * 11), snappy(sub(1, b"\x08\x01") + b"\x0c")],
                         ids=["framed", "zeros", "text", "cut", "short", "key", "groups", "varint", "end of group"])
def test_undecodable_bodies(gateway, body):
    for content_type in (RW1, RW2):
        a = gateway.post(body, content_type, raw=True)
        assert a.status == 400 and a.text


def test_first_byte_damaged(gateway):
    body = bytearray(snappy(one2(job="x")))
    body[0] ^= 0xFF
    assert 400 <= gateway.post(bytes(body), RW2, raw=True).status < 500


def test_cut_at_each_byte(gateway, sink):
    whole = one1("cut_short", job="j")
    for at in range(1, len(whole)):
        assert gateway.post(whole[:at]).status == 400, at


def test_unknown_fields_are_skipped(gateway, sink):
    unknown = number(9, 7) + double(10, 1.0) + sub(11, "x") + varint(12 << 3 | 5) + b"abcd" + varint(13 << 3 | 3) + number(1, 1) + varint(13 << 3 | 4)
    assert gateway.post(series1([("__name__", "unknown_fields")], [(1.0, now())], unknown) + unknown).status == 204
    assert gateway.post(Body2().add([("__name__", "unknown_fields2")], [(1.0, now())], more=unknown).bytes() + unknown, RW2).status == 204
    stored(sink, "unknown_fields2")


# --- counts, GW-RX-6, GW-TS-3 ---

def test_gw_rx_6_written_is_exact(gateway):
    t = now()
    b = Body2()
    for i in range(7):
        b.add([("__name__", "exact"), ("i", str(i))], [(float(i), t), (float(i), t + 1)], exemplars=[([("trace_id", "a")], 1.0, t)])
    b.add([("__name__", "exact_h")], histograms=[histogram(t), histogram(t + 1, "float")], exemplars=[([], 2.0, t), ([("x", "y")], 2.0, t)])
    a = gateway.post(b.bytes(), RW2)
    assert (a.status, a.written()) == (204, ["14", "2", "9"])


def test_partial_write_counts(gateway, sink):
    t = now()
    b = Body2()
    for i in range(4):
        b.add([("__name__", "partial")] if i != 2 else [("job", "nameless")], [(float(i), t)])
    a = gateway.post(b.bytes(), RW2)
    assert (a.status, a.written()) == (400, ["3", "0", "0"])
    assert "1 of 4" in a.text and "missing_metric_name" in a.text
    wait_for("the others", lambda: sum(len(s.samples) for s in sink.series() if ("__name__", "partial") in s.labels) == 3)


INVALID = {
    "missing_metric_name": ([("job", "x")], {}),
    "no_labels": ([], {}),
    "empty_label_name": ([("", "x"), ("__name__", "a")], {}),
    "duplicate_label": ([("__name__", "a"), ("job", "x"), ("job", "y")], {}),
    "no_samples": ([("__name__", "a")], {"samples": ()}),
}


def test_gw_rx_15_invalid_series(tmp_path, sink):
    g = Gateway(tmp_path, config(sink)).start()
    try:
        for reason, (labels, more) in INVALID.items():
            samples = more.get("samples", [(1.0, now())])
            a = g.post(series1(labels, samples))
            assert (a.status, a.written()) == (400, [None] * 3) and reason in a.text
            a = g.post(Body2().add(labels, samples).bytes(), RW2)
            assert (a.status, a.written()) == (400, ["0", "0", "0"]) and reason in a.text
        wait_for("the counts", lambda: all(g.metric("telamon_route_invalid_series_total", reason=r) == 2 for r in INVALID))
    finally:
        g.clean_up()


def test_gw_rx_15_version_2_alone(gateway):
    t = now()
    assert "mixed_samples_histograms" in gateway.post(Body2().add([("__name__", "m")], [(1.0, t)], [histogram(t)]).bytes(), RW2).text
    for refs, reason in ((b"\x01", "odd_symbol_refs"), (b"\x01\x63", "bad_symbol_ref")):
        a = gateway.post(sub(4, "") + sub(4, "__name__") + sub(5, sub(1, refs) + sub(2, double(1, 1.0) + number(2, t))), RW2)
        assert a.status == 400 and reason in a.text
    assert gateway.post(sub(4, "first") + sub(4, "x") + sub(5, sub(1, b"\x00\x01") + sub(2, double(1, 1.0))), RW2).status == 400


def test_gw_rx_15_text_is_short_and_escaped(gateway):
    bad = b"".join(series1([("__name__", "a"), ("x\ny\x1b" + "l" * 500, str(i)), ("x\ny\x1b" + "l" * 500, "2")], [(1.0, now())]) for i in range(30))
    a = gateway.post(bad)
    assert a.status == 400 and "30 of 30" in a.text
    assert a.text.count("duplicate_label") == 10 and "\x1b" not in a.text and "l" * 129 not in a.text
    a = gateway.post(series1([("__name__", b"\xff\xfe".decode("latin1")), ("a", "b")], [(1.0, now())]).replace("ÿþ".encode(), b"\xff\xfe\xff\xfe"))
    assert a.status == 400 and "invalid_utf8" in a.text


# --- values, labels, order: GW-RX-13, 14 ---

BITS = [0x7FF0000000000002, 0x7FF8000000000001, 0xFFF8000000000123, 0x8000000000000000, 0x7FF0000000000000, 0xFFF0000000000000, 1,
        0x7FEFFFFFFFFFFFFF, 0x0010000000000000]


@pytest.mark.parametrize("version", [1, 2])
def test_gw_rx_13_bits_and_times(gateway, sink, version):
    name = f"bits{version}"
    times = [-(1 << 63), -1, 0, 1, now() - 3600_000, now(), (1 << 63) - 1]
    samples = [(struct.pack("<Q", bits), t) for bits, t in zip(BITS, sorted(times + [2, 3]))]
    body = series1([("__name__", name)], samples) if version == 1 else Body2().add([("__name__", name)], samples).bytes()
    assert gateway.post(body, RW1 if version == 1 else RW2).status == 204
    assert stored(sink, name).samples == samples
    assert math.isnan(STALE)


@pytest.mark.parametrize("version", [1, 2])
def test_gw_rx_14_order(gateway, sink, version):
    name, t = f"order{version}", now()
    labels = [("__name__", name), ("a", "1"), ("b", "line\nbreak"), ("dots.and blanks", "x"), ("ünï", "çødé ✓"), ("zone", "z")]
    wire = labels + [("empty", "")]
    random.Random(3).shuffle(wire)
    samples = [(3.0, t + 3), (1.0, t + 1), (2.0, t + 2)]
    body = series1(wire, samples) if version == 1 else Body2().add(wire, samples).bytes()
    assert gateway.post(body, RW1 if version == 1 else RW2).status == 204
    s = stored(sink, name)
    assert s.labels == sorted(labels, key=lambda pair: pair[0].encode())
    assert s.values == [1.0, 2.0, 3.0]


def test_names_of_any_text(gateway, sink):
    for name in ("with.dots", "with blank", "ünïcode", "1digit"):
        assert gateway.post(one2(name), RW2).status == 204
        stored(sink, name)


# --- histograms, exemplars, metadata ---

HISTOGRAMS = {
    "integer": {}, "float": {"kind": "float"}, "custom": {"schema": -53, "custom": (0.5, 1.0), "spans": ((0, 3),), "zero": 0},
    "negative": {"spans": (), "negative": ((0, 2),)}, "zero only": {"spans": ()}, "two spans": {"spans": ((0, 1), (2, 2))},
}


@pytest.mark.parametrize("kind", HISTOGRAMS)
def test_histograms(gateway, sink, kind):
    name, t = "h_" + kind.replace(" ", "_"), now()
    h = histogram(t, **HISTOGRAMS[kind])
    a = gateway.post(Body2().add([("__name__", name)], histograms=[h]).bytes(), RW2)
    assert (a.status, a.written()) == (204, ["0", "1", "0"])
    assert stored(sink, name).histograms
    assert gateway.post(series1([("__name__", name + "1")], [], sub(4, h))).status == 204
    assert stored(sink, name + "1").histograms == [h]


WRONG = [{"count": 17}, {"schema": 99}, {"spans": ((0, 1), (-3, 1))}, {"schema": -53, "custom": (2.0, 1.0), "zero": 0}]


@pytest.mark.parametrize("what", WRONG, ids=str)
def test_gw_rx_16_wrong_histograms(gateway, what):
    a = gateway.post(Body2().add([("__name__", "bad_h")], histograms=[histogram(now(), **what)]).bytes(), RW2)
    assert (a.status, a.written()) == (400, ["0", "0", "0"]) and "invalid_histogram" in a.text


@pytest.mark.parametrize("kind", range(8))
def test_metadata_of_version_2(gateway, sink, kind):
    name = f"meta{kind}"
    body = Body2().add([("__name__", name)], [(1.0, now())], metadata=(kind, "what it is", "seconds"), created=now() - 1000).bytes()
    assert gateway.post(body, RW2).status == 204
    assert stored(sink, name).metadata == (kind, "what it is", "seconds")


def test_exemplars(gateway, sink):
    t = now()
    e = [([("trace_id", "abc")], 1.5, t), ([], 2.5, t)]
    a = gateway.post(Body2().add([("__name__", "ex")], [(1.0, t)], exemplars=e).bytes(), RW2)
    assert (a.status, a.written()) == (204, ["1", "0", "2"]) and len(stored(sink, "ex").exemplars) == 2
    one = sub(3, label1("trace_id", "abc") + double(2, 1.5) + number(3, t))
    assert gateway.post(series1([("__name__", "ex1")], [(1.0, t)], one)).status == 204
    assert len(stored(sink, "ex1").exemplars) == 1
    assert gateway.post(series1([("__name__", "ex_alone")], [], one)).status == 204


# --- limits and hostile bodies: GW-RX-3, 17, 18, GW-TS-11 ---

def test_gw_rx_3_long_bodies(limited):
    assert limited.post(bytes(70_000), raw=True).status == 413
    chunks = (bytes(10_000) for _ in range(9))
    a = limited.request("POST", "/api/v1/write", chunks, {"Content-Type": RW1})
    assert a.status == 413
    # The same as chunks, short enough.
    a = limited.request("POST", "/api/v1/write", iter([snappy(one1())]), {"Content-Type": RW1})
    assert a.status == 204


def test_gw_rx_3_four_times_too_long_is_cut_off(limited):
    with pytest.raises(OSError):
        limited.request("POST", "/api/v1/write", (bytes(10_000) for _ in range(100)), {"Content-Type": RW1})
    assert limited.post(one1()).status == 204


def test_gw_rx_3_claims(limited):
    assert limited.post(varint((1 << 32) - 1) + b"\x00abcde", raw=True).status == 413
    assert limited.post(varint(200 * 1024) + b"\x00a", raw=True).status == 400  # more than 64 times its size
    assert limited.post(snappy(bytes(1)) + bytes(5), raw=True).status == 400


def test_gw_ts_11_zstd_bomb(limited):
    before = limited.rss()
    bomb = zstd(bytes(64 << 20))
    assert len(bomb) < 65536
    assert limited.post(bomb, RW1, "zstd", raw=True).status == 413
    assert limited.post(zstd(one1())[:-2], RW1, "zstd", raw=True).status == 400
    assert limited.rss() < before + (64 << 20)


def test_gw_rx_17_counts(limited):
    before = limited.metric("stream_receive_errors_total", error_type="content_length_exceeded")
    many = b"".join(series1([("__name__", "m"), ("i", str(i))], [(1.0, 1)]) for i in range(1001))
    assert limited.post(many).status == 413
    assert limited.post(series1([("__name__", "m")], [(1.0, i) for i in range(3001)])).status == 413
    b = Body2()
    for i in range(6000):
        b.ref(str(i))
    a = limited.post(b.add([("__name__", "s")], [(1.0, 1)]).bytes(), RW2)
    assert (a.status, a.written()) == (413, ["0", "0", "0"])
    a = limited.post(series1([("__name__", "m")] + [(f"l{i:03}", "v") for i in range(30)], [(1.0, 1)]))
    assert a.status == 400 and "label_limit" in a.text
    wait_for("the counts", lambda: limited.metric("stream_receive_errors_total", error_type="content_length_exceeded") >= before + 3)


def test_gw_ts_11_a_million_labels(gateway):
    before = gateway.rss()
    labels = b"".join(label1(f"l{i}", "v") for i in range(1_000_000))
    a = gateway.post(sub(1, labels + sample1(1.0, now())))
    assert a.status == 400 and "label_limit" in a.text
    assert gateway.rss() < before + (320 << 20)


def test_gw_rx_18_rate(tmp_path, sink):
    g = Gateway(tmp_path, config(sink, top="limits: {samples_per_second: 50}")).start()
    try:
        body = b"".join(one1("rate", float(i), i=str(i)) for i in range(150))
        assert g.post(body).status == 204
        a = g.post(one1("rate"))
        assert a.status == 429 and int(a.headers["Retry-After"]) >= 1
        wait_for("new tokens", lambda: g.post(one1("rate")).status == 204)
    finally:
        g.clean_up()


def test_slow_clients_do_not_hinder(tmp_path, sink):
    """Hundreds of connections that never end their request; others are answered, and in the end these are closed."""
    g = Gateway(tmp_path, config(sink, top="receive: {header_timeout: 1s, idle_timeout: 2s, min_body_rate: 100KiB}")).start()
    slow = []
    try:
        before = g.rss("VmRSS")
        for i in range(200):
            s = socket.create_connection(("127.0.0.1", g.port))
            s.sendall(b"POST /api/v1/write HTTP/1.1\r\nHost: x\r\n" + (b"Content-Length: 1000000\r\n\r\nxx" if i % 2 else b""))
            slow.append(s)
        assert g.post(one1("quick")).status == 204
        assert g.get("/-/healthy").status == 200
        assert g.rss("VmRSS") < before + (320 << 20)

        def closed(s):
            s.setblocking(False)
            try:
                return s.recv(1000) == b""
            except BlockingIOError:
                return False
            except OSError:
                return True
        wait_for("all slow ones closed", lambda: all(closed(s) for s in slow), 15)
        assert g.post(one1("quick")).status == 204
    finally:
        for s in slow:
            s.close()
        g.clean_up()
