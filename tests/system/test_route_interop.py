# SPDX-License-Identifier: Apache-2.0
"""
GW-TS-5: Prometheus and vmagent as senders, Prometheus, vmagent and VictoriaMetrics as receivers, the gateway between them.

What was scraped is queried back from every receiver and must be the same: series, times, values, what became stale. Skipped with the reason
where a peer cannot be fetched.
"""

import http.server
import json
import math
import os
import subprocess
import threading
import time
import urllib.parse
import urllib.request

import pytest

from conftest import free_port, wait_for
from route_chaos import queue_records, world  # noqa: F401  pylint: disable=unused-import
from route_common import RW1, RW2, Body2, Gateway, config, histogram, now, one1, series1, sub

PEERS = os.path.join(os.path.dirname(__file__), "../../tools/peers.sh")


def peer(name):
    done = subprocess.run([PEERS, name], capture_output=True, text=True, timeout=600, check=False)
    if done.returncode:
        pytest.skip(f"{name} cannot be fetched: {done.stderr.strip()[-200:]}")
    return done.stdout.strip()


def get(url):
    with urllib.request.urlopen(url, timeout=30) as reply:
        return json.load(reply)


class Program:
    def __init__(self, directory, name, port, *arguments):
        self.port, self.url, self.log = port, f"http://127.0.0.1:{port}", directory / f"{name}-{port}.log"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen([peer(name), *arguments], stdout=log, stderr=log, cwd=directory)

    def ready(self, path):
        def ask():
            assert self.process.poll() is None, self.log.read_text(errors="replace")[-2000:]
            try:
                with urllib.request.urlopen(self.url + path, timeout=5) as reply:
                    return reply.status == 200
            except OSError:
                return False
        wait_for(f"{self.log.name}", ask, 60)
        return self

    def query(self, text, at):
        """{labels as JSON: [(ms, value)]} of a range selector."""
        answer = get(f"{self.url}/api/v1/query?{urllib.parse.urlencode({'query': text, 'time': f'{at:.3f}'})}")
        assert answer["status"] == "success", answer
        return {json.dumps(r["metric"], sort_keys=True): [(round(float(t) * 1000), v) for t, v in r.get("values", [])] or r for r in answer["data"]["result"]}

    def stop(self):
        self.process.kill()
        self.process.wait()


def prometheus(world, text="", *options):
    port = free_port()
    directory = world.directory / f"prometheus-{port}"
    directory.mkdir()
    (directory / "prometheus.yml").write_text(text, encoding="utf-8")
    p = Program(directory, "prometheus", port, "--config.file=prometheus.yml", f"--storage.tsdb.path={directory}/data", f"--web.listen-address=127.0.0.1:{port}",
                "--web.enable-remote-write-receiver", "--web.remote-write-receiver.accepted-protobuf-messages=prometheus.WriteRequest",
                "--web.remote-write-receiver.accepted-protobuf-messages=io.prometheus.write.v2.Request", *options)
    return world.keep(p, "stop").ready("/-/ready")


def victoria(world):
    port = free_port()
    p = Program(world.directory, "victoria-metrics", port, f"-storageDataPath={world.directory}/vm-{port}", f"-httpListenAddr=127.0.0.1:{port}",
                "-search.latencyOffset=0s", "-search.disableCache", "-dedup.minScrapeInterval=0s")
    return world.keep(p, "stop").ready("/health")


class Target:
    """Series to scrape; those of `gone` are there no more."""

    def __init__(self):
        self.n, self.gone = 0, False
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):  # pylint: disable=invalid-name
                text = outer.page().encode()
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_):  # pylint: disable=arguments-differ
                pass
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        self.address = f"127.0.0.1:{self.server.server_port}"

    def page(self):
        self.n += 1
        lines = ["# HELP interop_total What was counted.", "# TYPE interop_total counter"]
        lines += [f'interop_total{{i="{i}",text="ä\\n\\"{i}"}} {self.n * (i + 1)}' for i in range(20)]
        lines += ["# TYPE interop_value gauge", f"interop_value {round(math.sin(self.n), 6)}", 'interop_special{k="inf"} +Inf', 'interop_special{k="negative"} -0.5',
                  f'interop_special{{k="tiny"}} {5e-324 * self.n!r}']
        lines += [] if self.gone else [f"interop_leaves {self.n}"]
        lines += ["# TYPE interop_seconds histogram", f'interop_seconds_bucket{{le="0.5"}} {self.n}', f'interop_seconds_bucket{{le="+Inf"}} {2 * self.n}',
                  f"interop_seconds_sum {self.n}", f"interop_seconds_count {2 * self.n}"]
        return "\n".join(lines) + "\n"

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


SOURCE = """global: {{scrape_interval: 500ms}}
scrape_configs: [{{job_name: interop, static_configs: [{{targets: ["{target}"]}}]}}]
remote_write:
- url: {gateway}/api/v1/write
  queue_config: {{batch_send_deadline: 100ms}}
  write_relabel_configs: [{{target_label: sender, replacement: rw1}}]
- url: {gateway}/api/v1/write
  protobuf_message: io.prometheus.write.v2.Request
  queue_config: {{batch_send_deadline: 100ms}}
  write_relabel_configs: [{{target_label: sender, replacement: rw2}}]
"""
AGENT = """global: {{scrape_interval: 500ms}}
scrape_configs: [{{job_name: interop, static_configs: [{{targets: ["{target}"]}}]}}]
"""
# VictoriaMetrics keeps about 12 digits, no subnormal numbers and no sign of zero.
SAME_EVERYWHERE = '{__name__=~"interop_total|interop_value|interop_seconds_.*",sender="%s"}[20s]'


def destination(name, url, more=""):
    return f"- name: {name}\n  batch: {{linger: 5ms}}\n  add_labels: {{via: {name}}}\n{more}  nodes: [{{name: n, url: \"{url}\"}}]\n"


@pytest.fixture(scope="module", name="site")
def fixture_site(tmp_path_factory):
    from route_chaos import World  # pylint: disable=import-outside-toplevel
    w = World(tmp_path_factory.mktemp("interop"))
    try:
        w.target = w.keep(Target(), "stop")
        w.prometheus = prometheus(w)
        w.victoria = victoria(w)
        port = free_port()
        w.agent = w.keep(Program(w.directory, "vmagent", port, f"-httpListenAddr=127.0.0.1:{port}", f"-remoteWrite.url={w.victoria.url}/api/v1/write",
                                 "-remoteWrite.flushInterval=100ms", "-remoteWrite.queues=1", f"-remoteWrite.tmpDataPath={w.directory}/agent"), "stop").ready("/health")
        text = ("destinations:\n" + destination("prometheus", w.prometheus.url + "/api/v1/write") +
                destination("vm", w.victoria.url + "/api/v1/write", "  send: {protocol: vm}\n") +
                destination("vm1", w.victoria.url + "/api/v1/write", "  send: {protocol: rw1}\n") +
                destination("agent", w.agent.url + "/api/v1/write") +
                "routes:\n" + "".join(f"- {{name: {d}, destination: {d}}}\n" for d in ("prometheus", "vm", "vm1", "agent")))
        w.gateway = w.keep(Gateway(w.directory / "g", text), "clean_up").start()
        w.source = prometheus(w, SOURCE.format(target=w.target.address, gateway=w.gateway.url))
        (w.directory / "scrape.yml").write_text(AGENT.format(target=w.target.address), encoding="utf-8")
        arguments = []
        for sender, vm in (("snappy", "false"), ("zstd", "true")):
            path = w.directory / f"{sender}.yml"
            path.write_text(f"- {{target_label: sender, replacement: {sender}}}\n", encoding="utf-8")
            arguments += [f"-remoteWrite.url={w.gateway.url}/api/v1/write", f"-remoteWrite.urlRelabelConfig={path}", f"-remoteWrite.forceVMProto={vm}",
                          f"-remoteWrite.forcePromProto={'true' if vm == 'false' else 'false'}"]
        port = free_port()
        w.keep(Program(w.directory, "vmagent", port, f"-httpListenAddr=127.0.0.1:{port}", "-promscrape.config=scrape.yml", "-remoteWrite.flushInterval=100ms", "-remoteWrite.queues=1",
                       f"-remoteWrite.tmpDataPath={w.directory}/sender", *arguments), "stop").ready("/health")
        time.sleep(6)
        w.target.gone = True
        time.sleep(3)
        w.at = time.time() - 1
        yield w
    finally:
        w.end()


def without(result, *names, number=float):
    """The same without these labels."""
    plain = {}
    for labels, samples in result.items():
        labels = json.loads(labels)
        for name in names:
            labels.pop(name, None)
        plain[json.dumps(labels, sort_keys=True)] = [(t, number(v)) for t, v in samples]
    return plain


def cut(result, first, last):
    return {k: [s for s in v if first <= s[0] <= last] for k, v in result.items()}


RECEIVERS = {"prometheus": "prometheus", "vm": "victoria", "vm1": "victoria", "agent": "victoria"}


def same(site, sender, via, reference):
    """All that the reference has from the last seconds is there, and nothing else."""
    first, last = int(site.at * 1000) - 8000, int(site.at * 1000) - 500

    def ask():
        query = (SAME_EVERYWHERE % sender).replace("}", f',via="{via}"}}')
        return cut(without(getattr(site, RECEIVERS[via]).query(query, site.at), "sender", "via"), first, last)
    want = cut(reference, first, last)
    assert len(want) == 25 and all(len(v) >= 5 for v in want.values())
    try:
        wait_for(f"{sender} over {via}", lambda: ask() == want, 10)
    except AssertionError:
        got = ask()
        assert set(got) == set(want)
        for labels, samples in want.items():
            assert got[labels] == samples, labels


@pytest.mark.parametrize("via", RECEIVERS)
@pytest.mark.parametrize("sender", ["rw1", "rw2"])
def test_gw_ts_5_prometheus_sends(site, sender, via):
    """Both versions of Prometheus' remote write, to every receiver."""
    reference = without(site.source.query(SAME_EVERYWHERE.replace(',sender="%s"', ""), site.at))
    same(site, sender, via, reference)


@pytest.mark.parametrize("via", RECEIVERS)
@pytest.mark.parametrize("sender", ["snappy", "zstd"])
def test_gw_ts_5_vmagent_sends(site, sender, via):
    """Both encodings; what vmagent scraped is known from the other path."""
    other = {"snappy": "zstd", "zstd": "snappy"}[sender]
    query = (SAME_EVERYWHERE % other).replace("}", ',via="vm1"}')
    reference = wait_for("the reference", lambda: without(site.victoria.query(query, site.at), "sender", "via"))
    same(site, sender, via, reference)


def test_gw_ts_5_special_values_are_kept(site):
    """Infinite, negative, subnormal: as Prometheus wrote them down itself."""
    source = without(site.source.query("interop_special[20s]", site.at), number=str)
    first, last = int(site.at * 1000) - 8000, int(site.at * 1000) - 500
    for sender in ("rw1", "rw2"):
        got = site.prometheus.query(f'interop_special{{sender="{sender}"}}[20s]', site.at)
        assert cut(without(got, "sender", "via", number=str), first, last) == cut(source, first, last)
    values = {v for s in source.values() for _, v in s}
    assert {"+Inf", "-0.5"} < values and any(v.endswith(("e-322", "e-323")) for v in values)


@pytest.mark.parametrize("sender", ["rw1", "rw2", "snappy", "zstd"])
def test_gw_ts_5_stale_markers(site, sender):
    """A series that left is gone at once in every receiver, not after five minutes; it was there before."""
    for via, receiver in RECEIVERS.items():
        r = getattr(site, receiver)
        selector = f'interop_leaves{{sender="{sender}",via="{via}"}}'
        assert r.query(selector + "[20s]", site.at), via
        if receiver == "prometheus":
            assert not r.query(selector, site.at), via
        else:  # its own rules of staleness: the marker itself is in the export
            with urllib.request.urlopen(f"{r.url}/api/v1/export?{urllib.parse.urlencode({'match[]': selector})}", timeout=30) as reply:
                assert json.loads(reply.readline())["values"][-1] is None, via


def test_gw_ts_5_nothing_was_lost_on_the_way(site):
    dead = [os.path.join(d, f) for d, _, files in os.walk(site.gateway.storage) for f in files if f == "index.jsonl"]
    assert not dead, open(dead[0], encoding="utf-8").read()
    assert site.gateway.metric("telamon_route_invalid_series_total") == 0


@pytest.mark.parametrize("version", [1, 2])
def test_gw_ts_5_native_histograms_off(world, version):
    """Prometheus without native histograms answers 500: they end as dead letters, the rest of their block arrives; with them they do, too."""
    off, on = prometheus(world), prometheus(world, "", "--enable-feature=native-histograms")
    t = now()
    names = [f"plain_{i}" for i in range(6)]
    if version == 1:
        body = b"".join(one1(n, 1.0, t) for n in names) + series1([("__name__", "native")], [], sub(4, histogram(t)))
    else:
        b = Body2()
        for n in names:
            b.add([("__name__", n)], [(1.0, t)])
        body = b.add([("__name__", "native")], histograms=[histogram(t)]).bytes()
    send = "{lanes: 2, retry: {min: 5ms, max: 20ms, poison_attempts: 3}, breaker: {failures: 1000}}"
    for p in (off, on):
        g = world.gateway(config(p.url + "/api/v1/write", send=send), directory=f"g{p.port}")
        assert g.post(body, RW2 if version == 2 else RW1).status == 204

        def done():
            g.post(one1("other", 2.0, i=str(time.monotonic())))
            return all(p.query(n, t / 1000 + 0.1) for n in names) and g.metric("telamon_route_queue_blocks") <= 1
        wait_for("the rest", done, 30)
        if p is on:
            assert p.query("native", t / 1000 + 0.1)
            assert g.metric("telamon_route_queue_records_total", event="dead") == 0
            continue
        wait_for("the dead letter", lambda: g.metric("telamon_route_send_samples_total", result="dead") == 1 or done() is None)
        dead = queue_records(os.path.join(g.storage, "queue", "d", "n0", "dead")) if version == 1 else [None]
        assert len(dead) == 1
