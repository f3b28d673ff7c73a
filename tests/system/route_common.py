# SPDX-License-Identifier: Apache-2.0
"""What tests of the gateway share: remote-write bodies made by hand, gateways, receivers that answer by a script."""

import contextlib
import http.client
import http.server
import os
import re
import signal
import socket
import struct
import subprocess
import threading
import time
import urllib.error
import urllib.request

from conftest import BUILD, TELAMON, free_port, wait_for

ROUTE = os.path.join(BUILD, "telamon-route")
STALE = struct.unpack("<d", struct.pack("<Q", 0x7FF0000000000002))[0]
RW1 = "application/x-protobuf"
RW2 = "application/x-protobuf;proto=io.prometheus.write.v2.Request"

# --- protobuf and snappy, written ---


def varint(n):
    n &= (1 << 64) - 1
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    return bytes(out + bytes([n]))


def number(field, n):
    return varint(field << 3) + varint(n)


def double(field, x):
    return varint(field << 3 | 1) + (x if isinstance(x, bytes) else struct.pack("<d", x))


def sub(field, data):
    data = data.encode() if isinstance(data, str) else data
    return varint(field << 3 | 2) + varint(len(data)) + data


def zigzag(n):
    return (n << 1) ^ (n >> 63)


def snappy(data):
    """A snappy block of literals alone."""
    out = bytearray(varint(len(data)))
    for at in range(0, len(data), 65536):
        part = data[at:at + 65536]
        out += (bytes([len(part) - 1 << 2]) if len(part) <= 60 else bytes([61 << 2]) + struct.pack("<H", len(part) - 1)) + part
    return bytes(out)


def label1(name, value):
    return sub(1, sub(1, name) + sub(2, value))


def sample1(value, ts):
    return sub(2, double(1, value) + number(2, ts))


def series1(labels, samples, more=b""):
    """`labels`: pairs in the order in which they go on the wire."""
    pairs = labels.items() if isinstance(labels, dict) else labels
    return sub(1, b"".join(label1(n, v) for n, v in pairs) + b"".join(sample1(v, t) for v, t in samples) + more)


def histogram(ts, kind="int", schema=0, custom=(), spans=((0, 2),), negative=(), count=None, zero=1):
    """Field 16 and the like by number, the same in both versions; buckets of 1, 1, …"""
    n = sum(length for _, length in spans)
    m = sum(length for _, length in negative)
    total = n + m + zero if count is None else count
    out = (number(1, total) if kind == "int" else double(2, float(total))) + double(3, 4.5) + number(4, zigzag(schema) & 0xFFFFFFFF)
    if not custom:
        out += double(5, 1e-9) + (number(6, zero) if kind == "int" else double(7, float(zero)))
    for field, list_ in ((8, negative), (11, spans)):
        out += b"".join(sub(field, number(1, zigzag(offset)) + number(2, length)) for offset, length in list_)
    for fields, length in (((9, 10), m), ((12, 13), n)):
        if length and kind == "int":
            out += sub(fields[0], b"".join(varint(zigzag(d)) for d in [1] + [0] * (length - 1)))
        elif length:
            out += sub(fields[1], struct.pack(f"<{length}d", *[1.0] * length))
    out += number(15, ts)
    if custom:
        out += sub(16, struct.pack(f"<{len(custom)}d", *custom))
    return out


class Body2:
    """A version 2 request: symbols are interned as series are added."""

    def __init__(self):
        self.symbols, self.series = {"": 0}, []

    def ref(self, text):
        return self.symbols.setdefault(text, len(self.symbols))

    def refs(self, labels):
        pairs = labels.items() if isinstance(labels, dict) else labels
        return b"".join(varint(self.ref(t)) for pair in pairs for t in pair)

    def add(self, labels, samples=(), histograms=(), exemplars=(), metadata=None, created=None, more=b""):
        out = sub(1, self.refs(labels)) + b"".join(sub(2, double(1, v) + number(2, t)) for v, t in samples)
        out += b"".join(sub(3, h) for h in histograms)
        out += b"".join(sub(4, (sub(1, self.refs(e)) if e else b"") + double(2, v) + number(3, t)) for e, v, t in exemplars)
        if metadata:
            out += sub(5, number(1, metadata[0]) + number(3, self.ref(metadata[1])) + number(4, self.ref(metadata[2])))
        if created:
            out += number(6, created)
        self.series.append(sub(5, out + more))
        return self

    def bytes(self):
        return b"".join(sub(4, s) for s in self.symbols) + b"".join(self.series)


def one1(name="up", value=1.0, ts=None, **labels):
    return series1(sorted({"__name__": name, **labels}.items()), [(value, ts or now())])


def one2(name="up", value=1.0, ts=None, **labels):
    return Body2().add(sorted({"__name__": name, **labels}.items()), [(value, ts or now())]).bytes()


def now():
    return int(time.time() * 1000)


# --- and read ---


def get_varint(data, at):
    shift = value = 0
    while True:
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at


def unsnappy(data):
    size, at = get_varint(data, 0)
    out = bytearray()
    while at < len(data):
        tag = data[at]
        at += 1
        if tag & 3 == 0:
            length = tag >> 2
            if length >= 60:
                n = length - 59
                length = int.from_bytes(data[at:at + n], "little")
                at += n
            out += data[at:at + length + 1]
            at += length + 1
            continue
        if tag & 3 == 1:
            length, offset = (tag >> 2 & 7) + 4, (tag >> 5) << 8 | data[at]
            at += 1
        else:
            n = 2 if tag & 3 == 2 else 4
            length, offset = (tag >> 2) + 1, int.from_bytes(data[at:at + n], "little")
            at += n
        start = len(out) - offset
        assert offset and start >= 0
        if offset >= length:
            out += out[start:start + length]
        else:
            for i in range(length):
                out.append(out[start + i])
    assert len(out) == size
    return bytes(out)


def fields(data):
    at = 0
    while at < len(data):
        tag, at = get_varint(data, at)
        if tag & 7 == 0:
            value, at = get_varint(data, at)
        elif tag & 7 == 2:
            size, at = get_varint(data, at)
            value, at = data[at:at + size], at + size
        else:
            size = 8 if tag & 7 == 1 else 4
            value, at = data[at:at + size], at + size
        yield tag >> 3, value


def signed(n):
    return n - (1 << 64) if n >> 63 else n


def read_sample(data):
    """(bits of the value as bytes, ms)"""
    got = dict(fields(data))
    return bytes(got.get(1, bytes(8))), signed(got.get(2, 0))


class Series:
    def __init__(self, labels):
        self.labels, self.samples, self.histograms, self.exemplars, self.metadata = labels, [], [], [], None

    @property
    def values(self):
        return [struct.unpack("<d", bits)[0] for bits, _ in self.samples]


def read1(data):
    result = []
    for field, value in fields(data):
        if field != 1:
            continue
        s = Series([])
        for f, v in fields(value):
            if f == 1:
                got = dict(fields(v))
                s.labels.append((bytes(got.get(1, b"")).decode(), bytes(got.get(2, b"")).decode()))
            elif f == 2:
                s.samples.append(read_sample(v))
            elif f in (3, 4):
                (s.exemplars if f == 3 else s.histograms).append(bytes(v))
        result.append(s)
    return result


def read_refs(data):
    at, refs = 0, []
    while at < len(data):
        ref, at = get_varint(data, at)
        refs.append(ref)
    return refs


def read2(data):
    symbols = [bytes(v).decode() for f, v in fields(data) if f == 4]
    assert symbols[0] == "" and len(set(symbols)) == len(symbols)
    result = []
    for field, value in fields(data):
        if field != 5:
            continue
        s = Series([])
        for f, v in fields(value):
            if f == 1:
                refs = read_refs(v)
                assert len(refs) % 2 == 0
                s.labels = [(symbols[refs[i]], symbols[refs[i + 1]]) for i in range(0, len(refs), 2)]
            elif f == 2:
                s.samples.append(read_sample(v))
            elif f in (3, 4):
                (s.histograms if f == 3 else s.exemplars).append(bytes(v))
            elif f == 5:
                got = dict(fields(v))
                s.metadata = (got.get(1, 0), symbols[got.get(3, 0)], symbols[got.get(4, 0)])
        result.append(s)
    return result


# --- a receiver ---

class Request:
    def __init__(self, headers, body, path):
        self.headers, self.body, self.path, self.at, self.status = headers, body, path, time.monotonic(), None
        self.decoded = None

    @property
    def version(self):
        return 2 if "v2.Request" in self.headers.get("Content-Type", "") else 1

    @property
    def series(self):
        if self.decoded is None:
            raw = unsnappy(self.body) if self.headers["Content-Encoding"] == "snappy" else unzstd(self.body)
            self.decoded = read2(raw) if self.version == 2 else read1(raw)
        return self.decoded

    @property
    def values(self):
        return [v for s in self.series for v in s.values]

    def names(self):
        return [dict(s.labels)["__name__"] for s in self.series]


def unzstd(data):
    return subprocess.run(["zstd", "-dcq"], input=data, stdout=subprocess.PIPE, check=True).stdout


def zstd(data):
    return subprocess.run(["zstd", "-cq1"], input=data, stdout=subprocess.PIPE, check=True).stdout


class Quiet(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    allow_reuse_address = True

    def handle_error(self, request, client_address):
        pass


class Receiver:
    """
    `answer(request)` gives the status, or (status, headers, body), or bytes that are no HTTP; statuses under 0: close the connection. Version 2
    gets its Written headers. `tls`: a context. `slow`: seconds between the bytes of a body that are read.
    """

    def __init__(self, answer=204, written=True, port=None, tls=None, slow=0):
        self.answer, self.written, self.requests, self.stored, self.tls, self.slow = answer, written, [], [], tls, slow
        self.port = port or free_port()
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self.port}/api/v1/write"
        self.connections, self.server = [], None
        self.start()

    def start(self):
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def setup(self):
                if outer.tls:  # in the thread of the connection: a handshake may fail or hang
                    self.request.settimeout(10)
                    self.request = outer.tls.wrap_socket(self.request, server_side=True)
                super().setup()
                outer.connections.append(self.connection)

            def do_POST(self):
                outer.handle(self)

            def log_message(self, *_):
                pass

        self.server = Quiet(("127.0.0.1", self.port), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def handle(self, h):
        size = int(h.headers["Content-Length"])
        body = b""
        while len(body) < size and self.slow:
            time.sleep(self.slow)
            byte = h.rfile.read(1)
            if not byte:
                h.close_connection = True
                return
            body += byte
        body += h.rfile.read(size - len(body))
        q = Request(h.headers, body, h.path)
        self.requests.append(q)
        answer = self.answer(q) if callable(self.answer) else self.answer
        if isinstance(answer, bytes):
            h.wfile.write(answer)
            h.close_connection = True
            return
        status, headers, text = answer if isinstance(answer, tuple) else (answer, {}, b"")
        q.status = status
        if status < 0:
            h.close_connection = True
            return
        if 200 <= status < 300:
            self.stored.append(q)
            if q.version == 2 and self.written:
                headers = {"X-Prometheus-Remote-Write-Samples-Written": str(sum(len(s.samples) for s in q.series)),
                           "X-Prometheus-Remote-Write-Histograms-Written": str(sum(len(s.histograms) for s in q.series)),
                           "X-Prometheus-Remote-Write-Exemplars-Written": str(sum(len(s.exemplars) for s in q.series)), **headers}
        h.send_response(status)
        for name, value in headers.items():
            h.send_header(name, value)
        if status != 204:
            h.send_header("Content-Length", str(len(text)))
        h.end_headers()
        if status != 204:
            h.wfile.write(text)

    def values(self):
        return [v for q in list(self.stored) for v in q.values]

    def series(self):
        return [s for q in list(self.stored) for s in q.series]

    def stop(self):
        if not self.server:
            return
        self.server.shutdown()
        self.server.server_close()
        self.server = None
        for c in self.connections:
            with contextlib.suppress(OSError):
                c.shutdown(socket.SHUT_RDWR)
        self.connections.clear()


# --- a gateway ---

class Answer:
    def __init__(self, response):
        self.status, self.headers, self.text = response.status, response.headers, response.read().decode(errors="replace")

    def written(self):
        return [self.headers.get(f"X-Prometheus-Remote-Write-{k}-Written") for k in ("Samples", "Histograms", "Exemplars")]


class Gateway:
    def __init__(self, directory, config, options=(), port=None, env=None):
        self.directory, self.env = str(directory), env
        os.makedirs(self.directory, exist_ok=True)
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.config_file = os.path.join(self.directory, "route.yaml")
        self.storage = os.path.join(self.directory, "storage")
        self.log_file = os.path.join(self.directory, "route.log")
        self.options, self.process = list(options), None
        self.configure(config)

    def configure(self, config):
        with open(self.config_file, "w", encoding="utf-8") as f:
            f.write(config)

    def command(self):
        return [ROUTE, f"--config.file={self.config_file}", f"--web.listen-address=127.0.0.1:{self.port}",
                f"--storage.path={self.storage}", "--workers=2", "--web.enable-lifecycle", *self.options]

    def start(self, ready=True):
        with open(self.log_file, "ab") as log:
            self.process = subprocess.Popen(self.command(), stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=self.env)
        if ready:
            wait_for("a ready gateway", self.is_ready, 30)
        return self

    def is_ready(self):
        if self.process.poll() is not None:
            raise AssertionError(f"the gateway ended with {self.process.returncode}:\n{self.log()}")
        try:
            return self.get("/-/ready").status == 200
        except OSError:
            return False

    def log(self):
        with open(self.log_file, encoding="utf-8", errors="replace") as f:
            return f.read()

    def request(self, method, path, body=None, headers=None, timeout=30):
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                c.request(method, path, body, headers or {})
            # An answer may come before the end of the body.
            return Answer(c.getresponse())
        finally:
            c.close()

    def get(self, path, headers=None):
        return self.request("GET", path, None, headers)

    def post(self, body, content_type=RW1, encoding="snappy", path="/api/v1/write", headers=None, raw=False):
        """`body` is a message, which is packed as `encoding` says unless it is `raw`."""
        if not raw and encoding in ("snappy", None):
            body = snappy(body)
        elif not raw and encoding == "zstd":
            body = zstd(body)
        h = dict(headers or {})
        if content_type is not None:
            h["Content-Type"] = content_type
        if encoding is not None:
            h["Content-Encoding"] = encoding
        return self.request("POST", path, body, h)

    def reload(self, config=None):
        if config is not None:
            self.configure(config)
        return self.request("POST", "/-/reload")

    def metrics(self):
        return {m[1]: float(m[2]) for m in re.finditer(r"^([a-z_]+(?:\{.*\})?) (\S+)$", self.get("/metrics").text, re.M)}

    def metric(self, name, **labels):
        """The sum of all series of `name` that have these labels."""
        want = [f'{k}="{v}"' for k, v in labels.items()]
        return sum(v for k, v in self.metrics().items() if k.split("{")[0] == name and all(w in k for w in want))

    def rss(self, which="VmHWM"):
        with open(f"/proc/{self.process.pid}/status", encoding="utf-8") as f:
            return int(re.search(rf"^{which}:\s+(\d+)", f.read(), re.M)[1]) * 1024

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self, timeout=30):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def clean_up(self):
        if self.process and self.process.poll() is None:
            self.kill()


SEND = "{retry: {min: 5ms, max: 40ms}, breaker: {failures: 3, open: 1s, successes: 1}}"


def config(*nodes, destination="", top="", routes="- {name: all, destination: d}", queue="{min_free_disk: 0}", send=SEND,
           batch="{linger: 5ms}"):
    """One destination `d`; `nodes` are URLs or receivers."""
    urls = [n if isinstance(n, str) else n.url for n in nodes]
    lines = "".join(f'  - {{name: n{i}, url: "{u}"}}\n' for i, u in enumerate(urls))
    return (f"{top}\ndestinations:\n- name: d\n  queue: {queue}\n  send: {send}\n  batch: {batch}\n{destination}"
            f"  nodes:\n{lines}routes:\n{routes}\n")
