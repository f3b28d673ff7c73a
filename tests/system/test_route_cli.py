# SPDX-License-Identifier: Apache-2.0
"""telamon route: what each command says, its exit status, and that load arrives where it is counted."""

import contextlib
import http.server
import json
import os
import re
import struct
import subprocess
import threading
import urllib.parse
import urllib.request

import pytest

from conftest import TELAMON, free_port, run, telamon, wait_for

SERIES = 'http_requests_total{job="api",instance="10.0.0.1:9100",code="200"}'


def config(nodes=range(5), key="by: [__name__, job]", more="", destination="send: {protocol: rw1}", tasks=4096):
    lines = "".join(f'  - {{name: agg-{n}, url: "http://agg-{n}:8429/api/v1/write"}}\n' for n in nodes)
    return f"""destinations:
- name: aggregators
  shard: {{tasks: {tasks}, key: {{{key}}}, task_label: {{enabled: true}}{more}}}
  {destination}
  nodes:
{lines}routes:
- {{name: istio, destination: aggregators, match: ['{{__name__=~"istio_.*"}}']}}
- name: apps
  destination: aggregators
  relabel_configs:
  - {{source_labels: [job], regex: "test|dev", action: drop}}
"""


@pytest.fixture
def write(tmp_path):
    def write_file(name, text):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path
    return write_file


@pytest.fixture
def old(write):
    return write("old.yaml", config())


@pytest.fixture
def new(write):
    return write("new.yaml", config([0, 1, 3, 4]))


class Sink:
    def __init__(self, *options):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process = subprocess.Popen([TELAMON, "route", "bench", "sink", "--listen", f"127.0.0.1:{self.port}",
                                         *options], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        wait_for("the sink", self.is_ready)

    def is_ready(self):
        with contextlib.suppress(OSError):
            return self.stats()
        return None

    def stats(self):
        with urllib.request.urlopen(self.url + "/stats", timeout=10) as reply:
            return json.load(reply)

    def bench(self, *options):
        return telamon("route", "bench", "--url", self.url + "/api/v1/write", *options)

    def stop(self):
        self.process.terminate()
        out, _ = self.process.communicate(timeout=20)
        return json.loads(out)


@pytest.fixture
def make_sink():
    sinks = []

    def make(*options):
        sinks.append(Sink(*options))
        return sinks[-1]

    yield make
    for sink in sinks:
        if sink.process.poll() is None:
            sink.stop()


@contextlib.contextmanager
def gateway(answers):
    """A gateway that answers {path: object}; yields its URL and the list of what it was asked."""
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):  # pylint: disable=invalid-name
            asked.append(self.path)
            answer = answers.get(urllib.parse.urlsplit(self.path).path)
            body = json.dumps(answer).encode()
            self.send_response(404 if answer is None else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):  # pylint: disable=arguments-differ
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


# --- usage ---

@pytest.mark.parametrize("arguments", [
    [], ["no-such"], ["check"], ["check", "a", "b"], ["check", "--no-such", "a"], ["plan", "a"],
    ["plan", "a", "b", "--series", "many"], ["plan", "a", "b", "--format", "xml"], ["explain"], ["explain", "--format", "x", "up"],
    ["replay"], ["replay", "d"], ["replay", "d", "--to", "http://x/", "--destination", "y"],
    ["replay", "d", "--to", "http://x/", "--from", "soon"], ["replay", "d", "--to", "http://x/", "--rate", "x"],
    ["bench", "--url", "ftp://x/"], ["bench", "--body", "c"], ["bench", "--version", "3"], ["bench", "--duration", "0"],
    ["bench", "--conns", "0"], ["bench", "sink", "--status", "99"], ["bench", "sink", "extra"],
])
def test_wrong_usage_is_2(arguments):
    done = telamon("route", *arguments)
    assert done.returncode == 2, done.stderr
    assert done.stderr and not done.stdout


# --- check ---

def test_check_good(old):
    done = telamon("route", "check", old, "--strict")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{old}: 2 routes, 1 destinations: good\n", "")


def test_check_tells_all_errors_with_places(write):
    text = config().replace("action: drop", 'action: drap').replace("name: istio, destination: aggregators",
                                                                    "name: istio, destination: none")
    path = write("bad.yaml", text + "limits: {connections: 0}\n")
    done = telamon("route", "check", path)
    assert done.returncode == 1 and not done.stdout
    assert "bad.yaml:17:23: limits.connections: 0 is below 1" in done.stderr
    done = telamon("route", "check", write("bad.yaml", text))
    assert done.returncode == 1
    assert "bad.yaml:12:30: routes[0].destination: there is no destination 'none'" in done.stderr
    assert 'routes[1].relabel_configs[0].action: unknown action "drap"; did you mean "drop"?' in done.stderr
    assert telamon("route", "check", "/nowhere/route.yaml").returncode == 1


WARNINGS = {
    "is never reached": config().replace("match: ['{__name__=~\"istio_.*\"}']", "stop: true"),
    "no route leads there": config().replace("routes:", "- {name: spare, nodes: [{name: n, url: 'http://n/'}]}\nroutes:"),
    "is never used": config().replace("match: ['{__name__=~\"istio_.*\"}']", "input: any") +
                     "- {name: rest, destination: aggregators}\nrouting: {default_route: rest}\n",
    "spread unevenly: 256 would do": config(tasks=100),
    "without disk it is memory": config(destination="queue: {disk: 0, ack: disk}"),
    "the device has": config(destination="queue: {disk: 64TiB}"),
}


@pytest.mark.parametrize("text", WARNINGS)
def test_check_warnings(write, text):
    path = write("route.yaml", WARNINGS[text])
    done = telamon("route", "check", path, "--storage", path.parent)
    assert done.returncode == 0 and "1 warnings" in done.stdout, done.stdout + done.stderr
    assert text in done.stderr and done.stderr.startswith("warning: ")
    done = telamon("route", "check", path, "--strict", "--storage", path.parent)
    assert done.returncode == 1 and not done.stdout
    assert text in done.stderr


RULES = """- {name: qps, match: '{__name__=~"http_.*"}', interval: 30s, by: [job], outputs: [total]}
- {name: errors, match: 'http_requests_total{code=~"5.."}', interval: 1m, without: [instance, pod], outputs: [increase]}
"""


def test_check_key_beside_rules(write):
    rules = write("rules.yaml", RULES)
    good, bad = write("good.yaml", config()), write("bad.yaml", config(key="by: [job, instance]"))
    assert telamon("route", "check", good, "--rules", rules).returncode == 0
    done = telamon("route", "check", bad, "--rules", rules)
    assert done.returncode == 1
    assert "instance is in the key, but rule qps groups by(__name__, job); the nearest valid key is by: [job]" in done.stderr
    done = telamon("route", "check", good, "--rules", write("rules.yaml", "- {interval: 1m, outputs: [a], wrong: 1}\n"))
    assert done.returncode == 1 and "rules.yaml:1:" in done.stderr


# --- plan ---

def test_plan_text(old, new):
    done = telamon("route", "plan", old, new, "--series", "1000000")
    assert done.returncode == 0 and not done.stderr
    assert done.stdout == """destination aggregators: 5 -> 4 nodes (- agg-2), 4096 tasks, 1 replica
             before    after   gained     lost   share
  agg-0         812     1027      215        0   1.003
  agg-1         810      993      185        2   0.970
  agg-2         825        0        0      825       -
  agg-3         814     1033      219        0   1.009
  agg-4         835     1043      208        0   1.019
moved: 827 tasks (20.19 %), ideal 825; between staying nodes: 2 (0.06 %); about 201,904 of 1,000,000 series
pinned table would move 825 tasks, 0 between staying nodes: write it with --out table.json
"""


def test_plan_json_and_pinned_table(old, new, write, tmp_path):
    table = tmp_path / "table.json"
    done = telamon("route", "plan", old, new, "--series", "1000000", "--format", "json", "--out", table)
    assert done.returncode == 0, done.stderr
    plan, = json.loads(done.stdout)
    assert plan["moved"] == 827 and plan["ideal"] == 825 and plan["between_staying"] == 2 and plan["moved_series"] == 201904
    assert sum(n["after"] for n in plan["nodes"]) == 4096
    pinned = write("pinned.yaml", config([0, 1, 3, 4], more=f", table_file: {table}"))
    done = telamon("route", "plan", old, pinned, "--format", "json")
    plan, = json.loads(done.stdout)
    assert plan["moved"] == plan["ideal"] == 825 and plan["between_staying"] == 0
    # A damaged table is not used.
    table.write_text(table.read_text(encoding="utf-8").replace('"xxh3": "', '"xxh3": "0'), encoding="utf-8")
    done = telamon("route", "check", pinned)
    assert done.returncode == 1 and "damaged" in done.stderr


def test_plan_order_and_urls_move_nothing(old, write):
    text = config([3, 1, 4, 0, 2]).replace(":8429", ":9000")
    plan, = json.loads(telamon("route", "plan", old, write("other.yaml", text), "--format", "json").stdout)
    assert plan["moved"] == 0


def test_plan_other_number_of_tasks(old, write):
    done = telamon("route", "plan", old, write("double.yaml", config(tasks=8192)))
    share = float(re.search(r"moved: ([\d.]+) % of the hash space, because 4096 tasks became 8192", done.stdout).group(1))
    assert 70 < share < 90  # four of five, as with any two unrelated tables


def test_plan_of_the_original_hashes(write):
    def compat(n):
        urls = ", ".join(f"'http://h{i}:1/api/v1/write'" for i in range(n))
        return ("router_rules:\n- {router_name: r, hash_labels: {mode: 100, algorithm: jump},\n"
                f"   upstreams: {{upstream_type: remotewriter, upstream_urls: [{urls}]}}}}\n")
    plan, = json.loads(telamon("route", "plan", write("a.yaml", compat(3)), write("b.yaml", compat(4)),
                               "--format", "json").stdout)
    assert abs(plan["moved_ratio"] - 0.25) < 0.01


def test_plan_asks_a_gateway(old, new):
    counts = [0] * 4096
    counts[0] = 4096  # task 0 is agg-2's, which goes
    table = {"destination": "aggregators", "tasks": 4096, "nodes": [], "table": [], "samples_per_task": counts}
    with gateway({"/api/v1/status/table": table}) as (url, asked):
        done = telamon("route", "plan", old, new, "--server", url)
    assert asked == ["/api/v1/status/table?destination=aggregators"]
    assert "by the gateway's counts 100.00 % of the samples move; the hottest task has 4096.0 times the mean" in done.stdout


def test_plan_refuses(old, write, tmp_path):
    two = config().replace("routes:", "- {name: other, nodes: [{name: n, url: 'http://n/'}]}\nroutes:")
    path = write("two.yaml", two)
    done = telamon("route", "plan", path, path, "--out", tmp_path / "t")
    assert done.returncode == 1 and "--destination" in done.stderr and not os.path.exists(tmp_path / "t")
    assert telamon("route", "plan", path, path, "--out", tmp_path / "t", "--destination", "other").returncode == 0
    assert telamon("route", "plan", old, old, "--destination", "none").returncode == 1
    assert telamon("route", "plan", old, "/nowhere/x").returncode == 1


# --- explain ---

EXPLAINED = """series http_requests_total{code="200",instance="10.0.0.1:9100",job="api"}
route istio             match {__name__=~"istio_.*"}: no
route apps              match: all
  rule 0 drop           [job] =~ "test|dev"      literal set     no match
  destination aggregators key by(__name__, job)  from rules qps, errors
  family http_requests  h bd1f390b939791db       task 3025 -> agg-0 (computed table)
  label stream_task_id="3025" inserted           lane 3, protocol rw1
  leaves as http_requests_total{code="200",instance="10.0.0.1:9100",job="api",stream_task_id="3025"}
"""


def test_explain_text(write):
    rules = write("rules.yaml", RULES)
    path = write("route.yaml", config(key=f"aggregation: {{rules_file: {rules}}}"))
    done = telamon("route", "explain", "--config", path, SERIES)
    assert (done.returncode, done.stdout, done.stderr) == (0, EXPLAINED, "")


def test_explain_json_from_stdin(old):
    done = run(TELAMON, "route", "explain", "--config", old, "--format", "json", "-",
               input=f'{SERIES}\nup{{job="dev"}}\n\nistio_x{{job="dev"}}\n')
    assert done.returncode == 0, done.stderr
    first, second, third = map(json.loads, done.stdout.splitlines())
    place = first["routes"][1]["destination"]
    assert place["task"] == 3025 and place["hash"] == "bd1f390b939791db" and place["nodes"][0]["node"] == "agg-0"
    assert second["result"] == "no_route"
    assert [r["result"] for r in second["routes"]] == ["unmatched", "dropped"] and second["routes"][1]["reason"] == "relabel"
    assert [r["result"] for r in third["routes"]] == ["accepted", "dropped"]


def test_explain_stop_default_and_global_rules(write):
    path = write("route.yaml", """relabel_configs: [{target_label: zone, replacement: z}]
routing: {default_route: rest}
time_window: {max_age: 2h}
destinations: [{name: d, add_labels: {site: s}, nodes: [{name: n, url: "http://n/"}]}]
routes:
- {name: a, destination: d, match: up, stop: true}
- {name: b, destination: d, match: '{job="x"}'}
- {name: rest, destination: d}
""")

    def explain(series):
        done = telamon("route", "explain", "--config", path, "--format", "json", series)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)
    result = explain('up{job="x"}')
    assert [(r["route"], r["result"]) for r in result["routes"]] == [("a", "accepted"), ("b", "skipped")]
    assert result["routes"][0]["destination"]["key"] == "all labels"
    assert result["routes"][0]["destination"]["series"] == 'up{job="x",site="s",zone="z"}'
    result = explain("down")
    assert [(r["route"], r["result"]) for r in result["routes"]] == [("a", "unmatched"), ("b", "unmatched"),
                                                                     ("rest", "accepted")]
    assert explain('{job="x"}')["reason"] == "missing_metric_name"


def test_explain_escapes_for_terminals(old):
    done = telamon("route", "explain", "--config", old, 'up{job="\x1b[31m"}')
    assert done.returncode == 0 and "[31m" in done.stdout and "\x1b" not in done.stdout


def test_explain_asks_a_gateway(old):
    live = json.loads(telamon("route", "explain", "--config", old, "--format", "json", SERIES).stdout)
    with gateway({"/api/v1/explain": live}) as (url, asked):
        done = telamon("route", "explain", "--server", url, SERIES)
        assert telamon("route", "explain", "--server", url + "/other", SERIES).returncode == 1
    assert urllib.parse.parse_qs(urllib.parse.urlsplit(asked[0]).query) == {"series": [SERIES]}
    assert done.stdout == telamon("route", "explain", "--config", old, SERIES).stdout


def test_explain_bad_series(old):
    for series in ("up{", "up{a=b}", ""):
        done = telamon("route", "explain", "--config", old, series)
        assert done.returncode == 1 and not done.stdout and done.stderr


# --- load ---

@pytest.mark.parametrize("version", ["rw1", "rw2"])
@pytest.mark.parametrize("body,per", [("a", 10000), ("b", 2000)])
def test_bench_arrives(make_sink, body, per, version):
    sink = make_sink("--decode")
    done = sink.bench("--body", body, "--series", 3 * per, "--requests", 6, "--duration", "60s", "--version", version,
                      "--format", "json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["samples"] == 6 * per and result["statuses"] == {"204": 6}
    assert 0 < result["p50_ms"] <= result["p99_ms"] <= result["max_ms"]
    stats = sink.stats()
    assert stats["samples"] == stats["series"] == 6 * per and stats[version] == 6
    assert stats["invalid_series"] == stats["bad_requests"] == 0
    assert sink.stop()["samples"] == 6 * per


def test_bench_times_are_now_and_series_the_same(make_sink, tmp_path):
    record = tmp_path / "record"
    sink = make_sink("--record", record)
    assert sink.bench("--body", "b", "--series", 100, "--requests", 4, "--rate", "500", "--duration", "60s").returncode == 0
    sink.stop()
    rows = list(struct.iter_unpack("=Qqd", record.read_bytes()))
    assert len(rows) == 400
    assert len({row[0] for row in rows}) == 100
    times = sorted({row[1] for row in rows})
    assert len(times) == 4
    assert all(abs(t / 1000 - os.stat(record).st_mtime) < 60 for t in times)


def test_bench_tells_refusals(make_sink):
    sink = make_sink("--status", "503")
    done = sink.bench("--body", "b", "--series", 10, "--requests", 3, "--duration", "60s")
    assert done.returncode == 1 and "503: 3" in done.stdout
    done = telamon("route", "bench", "--url", f"http://127.0.0.1:{free_port()}/", "--series", 1, "--requests", 1)
    assert done.returncode == 1 and "refused" in done.stdout
    sink = make_sink("--delay", "50ms")
    done = sink.bench("--body", "b", "--series", 10, "--requests", 2, "--duration", "60s", "--format", "json")
    assert json.loads(done.stdout)["p50_ms"] >= 50


def test_sink_refuses_what_is_no_remote_write(make_sink):
    sink = make_sink("--decode")
    request = urllib.request.Request(sink.url + "/api/v1/write", data=b"\xff\xff\xff", method="POST")
    with pytest.raises(urllib.error.HTTPError) as error:
        urllib.request.urlopen(request, timeout=10)
    assert error.value.code == 400
    assert sink.stats()["bad_requests"] == 1


# --- replay ---

def test_replay_of_nothing(tmp_path):
    done = telamon("route", "replay", tmp_path, "--dry-run")
    assert done.returncode == 0 and done.stdout.startswith("0 segments, 0 blocks")
    assert telamon("route", "replay", tmp_path / "none", "--dry-run").returncode == 1


def test_replay_of_what_is_no_segment(tmp_path):
    path = tmp_path / "0000000000000001.seg"
    path.write_bytes(b"x" * 100)
    done = telamon("route", "replay", tmp_path, "--to", "http://127.0.0.1:1/")
    assert done.returncode == 1 and "1 damaged places" in done.stdout
    assert path.exists()


def test_replay_needs_the_destination(tmp_path, old):
    done = telamon("route", "replay", tmp_path, "--destination", "none", "--config", old)
    assert done.returncode == 1 and "no destination 'none'" in done.stderr
