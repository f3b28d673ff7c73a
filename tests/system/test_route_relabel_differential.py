# SPDX-License-Identifier: Apache-2.0
"""GW-TS-6: random relabel lists and regular expressions, with a fixed seed, must do here what they do in Prometheus and vmagent.

Prometheus scrapes series whose value is their number and sends them through one write_relabel_configs per list to a sink; regular expressions
are asked of its query API. vmagent has /metric-relabel-debug. Skipped with the reason where a peer cannot be fetched.
"""
import html
import http.server
import json
import os
import random
import subprocess
import threading
import urllib.error
import urllib.parse
import urllib.request

import pytest

from conftest import BUILD, free_port, wait_for
from route_common import fields, unsnappy

APPLY = os.path.join(BUILD, "tests/live/relabel_apply")
PEERS = os.path.join(os.path.dirname(__file__), "../../tools/peers.sh")
SERIES, LISTS, REGEXES, VM_LISTS = 40, 150, 1500, 500
NAMES = ["a", "b", "c", "job", "ma", "mb"]
VALUES = ["", "foo", "bar", "foo;bar", "x", "10.0.0.1:9100", "a.b.c", "Straße", "ΑΣ", "İx", "k\u212aK", "line1\nline2", "aaa", "my-label",
          "$1", "1", "ma", "b", "test-1", "ſs"]


def peer(name):
    done = subprocess.run([PEERS, name], capture_output=True, text=True, timeout=600, check=False)
    if done.returncode:
        pytest.skip(f"{name} cannot be fetched: {done.stderr.strip()[-200:]}")
    return done.stdout.strip()


class Ours:
    """The program under test: one question a line."""

    def __init__(self):
        self.process = subprocess.Popen([APPLY], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, rules, series, dialect="prometheus"):
        self.process.stdin.write(json.dumps({"dialect": dialect, "rules": rules, "series": series}) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        assert self.process.wait(10) == 0


@pytest.fixture(name="ours")
def fixture_ours():
    program = Ours()
    yield program
    program.close()


# --- what is random ---

def random_series(draw, values):
    return {"__name__": "m", **{n: v for n in NAMES if (v := draw.choice(values))}}


ATOMS = ["a", "o", "x", "foo", "b", r"\d", r"\w", r"\s", r"\S", r"\W", ".", "[a-f]", "[^o]", r"[\d.]", "[[:alpha:]]", r"\pL", r"\p{Greek}", r"\PL",
         r"\.", ";", "-", r"\x61", r"\x{3b1}", r"\Qa.b\E", "ß", "Σ", "k", "s", r"\b", "^", "$", r"\A", r"\z", r"\B", "(?m:^)", "(?m:$)", "1", ":",
         r"[^\pL]", r"[\PLa]", r"\072", "[k-s]", "[a-cx-z]", "{", "}", "]", "x{,3}", "[[:^digit:]]", r"\n"]
WRONG = ["(", ")", "[", "a**", "a++", r"\1", r"\C", r"\Z", r"\k", "(?=a)", "(?<!a)", "(?>a)", "a{2,1}", "a{1001}", "*", "+", "?", "[b-a]", r"\pX",
         r"\p{Foo}", "[[:foo:]]", "(?P<n>", "(?P<>a)", "(?z)", "(?-)", r"\Q", r"\x{110000}", r"\8", "(?P=n)", "(?R)", "(?#c)", "(*UTF8)", r"\h", r"\R",
         r"(?:a{100}){100}", "|*", "(?i-)", "\\"]


def random_regex(draw, depth=0, captures=True):
    kind = draw.random()
    if depth > 4 or kind < 0.35:
        return draw.choice(ATOMS)
    inner = lambda: random_regex(draw, depth + 1, captures)  # noqa: E731
    if kind < 0.55:
        return inner() + inner()
    if kind < 0.65:
        return inner() + "|" + inner()
    if kind < 0.75:
        return draw.choice(["(", "(?P<n%d>" % draw.randrange(9)]) + inner() + ")" if captures else "(?:" + inner() + ")"
    if kind < 0.85:
        return "(?" + draw.choice(["", "i", "s", "-s", "m", "U", "i-s"]) + ":" + inner() + ")"
    return "(?:" + inner() + ")" + draw.choice(["*", "+", "?", "*?", "+?", "??", "{2}", "{0,2}", "{1,}", "{0}", "{2,3}?"])


# Without empty loops around groups, where what a group holds is refused here (GW-RL-14).
RULE_REGEXES = [None, None, "(.*)", "f(.*)", "(.*);(.*)", "(.+)", ".*", "foo|bar|x", "(foo|bar)", "fo+", "(f)(o*)", "(?P<h>.)(.*)", "^foo$", "", "m(.)", "a.*",
                "(a|b)", r"(\w+)-(\d+)", "(?i)FOO", "(?i)K+", "foo.*", ".*bar", "(.*)o", r"[a-c]\.?.*", "job|__name__|a", "(?U)(f.*)(o*)", "(a|aa)(a|aa)",
                r"line1.line2", r"(?-s)line1.line2", "x$", "(?:(a)|b|.)*", "(m)?(.*)", ".", "(ma|mb)", "(?P<h>x)|(?P<h>.*)o"]
REPLACEMENTS = [None, None, "$1", "${1}", "x", "", "$1-$2", "${2}${1}", "$h", "$$1", "$", "${", "$1x", "pre_$1", "${h}_$1", "$0", "$9", "$2", "ä$1", "${1}é", "$1é"]


def random_rule(draw):
    action = draw.choice(["replace"] * 5 + ["keep", "drop", "hashmod", "labelmap", "labelmap", "labeldrop", "labelkeep", "lowercase", "uppercase",
                                            "keepequal", "dropequal"])
    rule = {"action": action if draw.random() < 0.9 else action.upper()}
    names_only = action in ("labeldrop", "labelkeep")
    if not names_only and draw.random() < 0.9:
        rule["source_labels"] = draw.choices(NAMES + ["none", "__name__"], k=draw.choice([1, 1, 1, 2, 3]))
    # Prometheus refuses a separator of keepequal; here it is allowed, as it joins the values.
    if not names_only and not action.endswith("equal") and draw.random() < 0.15:
        rule["separator"] = draw.choice(["", "-", ";", "::"])
    if action not in ("keepequal", "dropequal") and (regex := draw.choice(RULE_REGEXES)) is not None:
        rule["regex"] = regex
    if action == "labelkeep":
        rule["regex"] = "__name__|" + rule.get("regex", "(.*)")
    if not names_only and action != "labelmap":
        rule["target_label"] = draw.choice(NAMES + ["new", "${1}", "n_$1", "$2"] if action == "replace" else NAMES + ["new"])
    if action == "replace" and (replacement := draw.choice(REPLACEMENTS)) is not None:
        rule["replacement"] = replacement
    if action == "labelmap":
        # Never "": Prometheus makes labels without a name, which are not made here.
        rule["replacement"] = draw.choice(["x", "a", "$1_", "pre_$1", "${h}_$1", "$$1", "$", "${", "ä$1", "l${2}${1}", "b$0"])
    if action == "hashmod":
        rule["modulus"] = draw.choice([1, 8, 1000, 2**32, 2**62])
    return rule


# --- Prometheus ---

def written(body):
    """(labels, value) of the first sample of each series of a write request."""
    import struct
    for number, series in fields(unsnappy(body)):
        if number != 1:
            continue
        labels, value = {}, None
        for kind, data in fields(series):
            if kind == 1:
                pair = dict(fields(data))
                labels[pair.get(1, b"").decode()] = pair.get(2, b"").decode()
            elif kind == 2 and value is None:
                value = struct.unpack("<d", dict(fields(data)).get(1, bytes(8)))[0]
        yield labels, value


class Lab(http.server.BaseHTTPRequestHandler):
    """Gives the series and takes what is written to /w/LIST."""

    def do_GET(self):
        body = self.server.exposition.encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        seen = self.server.seen.setdefault(int(self.path.split("/")[-1]), {})
        for labels, value in written(body):
            if value is not None and value >= 1000:
                seen[int(value) - 1000] = labels
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


class Prometheus:
    def __init__(self, directory, lab, lists):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        target = f"127.0.0.1:{lab.server_address[1]}"
        config = {"global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
                  "scrape_configs": [{"job_name": "lab", "honor_labels": True, "static_configs": [{"targets": [target]}],
                                      "metric_relabel_configs": [{"regex": "instance", "action": "labeldrop"}]}],
                  "remote_write": [{"url": f"http://{target}/w/{i}", "write_relabel_configs": rules,
                                    "queue_config": {"capacity": 500, "max_shards": 1, "max_samples_per_send": 500, "batch_send_deadline": "200ms"},
                                    "metadata_config": {"send": False}}
                                   for i, rules in enumerate(lists)]}
        path = directory / "prometheus.yml"
        path.write_text(json.dumps(config, ensure_ascii=False), encoding="utf-8")
        self.log = directory / "prometheus.log"
        self.process = subprocess.Popen([peer("prometheus"), f"--config.file={path}", f"--storage.tsdb.path={directory}/data",
                                         f"--web.listen-address=127.0.0.1:{self.port}"], stdout=subprocess.DEVNULL, stderr=self.log.open("wb"))

    def query(self, text):
        """(accepted, labels of the answer)"""
        data = urllib.parse.urlencode({"query": text}).encode()
        try:
            with urllib.request.urlopen(self.url + "/api/v1/query", data, timeout=20) as answer:
                return True, [r["metric"] for r in json.load(answer)["data"]["result"]]
        except urllib.error.HTTPError as error:
            assert error.code == 400, error.read()
            return False, []

    def stop(self):
        self.process.terminate()
        self.process.wait(30)


def quoted(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


@pytest.fixture(name="lab")
def fixture_lab():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Lab)
    server.seen = {}
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def expose(series):
    lines = ("m{%s} %d" % (",".join(f"{n}={quoted(v)}" for n, v in s.items() if n != "__name__"), 1000 + i) for i, s in enumerate(series))
    return "\n".join(lines) + "\n"


def test_lists_do_what_they_do_in_prometheus(tmp_path, lab, ours):
    draw = random.Random(20260701)
    series = []
    while len(series) < SERIES:
        s = random_series(draw, VALUES)
        if s not in series:
            series.append(s)
    # Scraping gives each series a job of its own where it has none.
    series = [{**s, "job": s.get("job", "lab")} for s in series]
    series = [s for i, s in enumerate(series) if s not in series[:i]]
    lists = []
    while len(lists) < LISTS:
        rules = [random_rule(draw) for _ in range(draw.choice([1, 1, 2, 3, 5]))]
        answer = ours.ask(rules, [])
        assert "error" not in answer, (rules, answer)
        lists.append(rules)
    lab.exposition = expose(series)
    prometheus = Prometheus(tmp_path, lab, lists + [[]])
    try:
        # The last list sends everything: when it did so twice, the others had the time to.
        wait_for("all series unchanged", lambda: prometheus.process.poll() is not None or len(lab.seen.get(LISTS, {})) == len(series), 90)
        assert prometheus.process.poll() is None, prometheus.log.read_text()[-2000:]

        def wrong():
            found = []
            for i, rules in enumerate(lists):
                answer = ours.ask(rules, series)["series"]
                got = lab.seen.get(i, {})
                # A series without labels is sent by Prometheus and dropped here.
                found += [(rules, s, a, got.get(k)) for k, (s, a) in enumerate(zip(series, answer))
                          if (got.get(k) or None) != (a if isinstance(a, dict) else None)]
            return found
        try:
            wait_for("equal results", lambda: not wrong(), 60)
        except AssertionError:
            bad = wrong()
            raise AssertionError(f"{len(bad)} differ of {LISTS * len(series)}: {bad[:3]}") from None
    finally:
        prometheus.stop()


def test_regular_expressions_mean_what_they_mean_in_prometheus(tmp_path, lab, ours):
    draw = random.Random(20260702)
    values = sorted({v for v in VALUES if v} | {"".join(draw.choices("aoxbfk.;-1ßΣ\nsK\u212aſ", k=draw.randrange(1, 9))) for _ in range(60)})
    series = [{"__name__": "m", "a": v} for v in values]
    lab.exposition = expose(series)
    prometheus = Prometheus(tmp_path, lab, [])
    differ, accepted, matched = [], 0, 0
    try:
        wait_for("the series", lambda: prometheus.process.poll() is not None or lab_is_scraped(prometheus, len(series)), 60)
        for i in range(REGEXES):
            regex = random_regex(draw)
            if i % 5 == 0:
                at = draw.randrange(len(regex) + 1)
                regex = regex[:at] + draw.choice(WRONG) + regex[at:]
            good, found = prometheus.query("m{a=~" + quoted(regex) + ",a!=\"\"}")
            answer = ours.ask([{"action": "keep", "source_labels": ["a"], "regex": regex}], series)
            if good == ("error" in answer):
                differ.append((regex, good, answer.get("error")))
                continue
            if not good:
                continue
            accepted += 1
            mine = {s["a"] for s, a in zip(series, answer["series"]) if a != "drop"}
            theirs = {f["a"] for f in found}
            matched += len(mine)
            if mine != theirs:
                differ.append((regex, mine - theirs, theirs - mine))
    finally:
        prometheus.stop()
    assert not differ, f"{len(differ)} of {REGEXES} differ: {differ[:5]}"
    assert accepted > REGEXES / 2 and accepted < REGEXES and matched > REGEXES / 4


def lab_is_scraped(prometheus, n):
    try:
        return len(prometheus.query("m")[1]) == n
    except (urllib.error.URLError, OSError, AssertionError):
        return False


# --- vmagent ---

# Without newlines, which . does not match there, and without $, because text out of {{label}} is expanded there once more.
VM_VALUES = [v for v in VALUES if "\n" not in v and "$" not in v]
VM_ACTIONS = ["replace", "replace", "keep", "drop", "keepequal", "dropequal", "hashmod", "labelmap", "labeldrop", "labelkeep", "lowercase", "uppercase",
              "replace_all", "replace_all", "labelmap_all", "keep_if_equal", "drop_if_equal", "keep_if_contains", "drop_if_contains", "keep_metrics",
              "drop_metrics", "graphite"]
SELECTORS = ['{a="foo"}', 'm', 'm{a=~"f.*"}', '{a!="foo",b=~".+"}', '{a="foo" or b!=""}', '{c!~"x|b"}', 'n{a="foo"}', '{none=""}', '{a=~"foo|bar|x"}']


def random_vm_rule(draw):
    action = draw.choice(VM_ACTIONS)
    rule = {"action": action}
    pick = lambda n: draw.sample(NAMES, k=n)  # noqa: E731
    if action in ("replace", "keep", "drop", "keepequal", "dropequal", "hashmod", "lowercase", "uppercase", "replace_all"):
        rule["source_labels"] = pick(draw.choice([1, 1, 2]))
    if action in ("keep_if_equal", "drop_if_equal"):
        rule["source_labels"] = pick(2)
    if action in ("keep_if_contains", "drop_if_contains"):
        rule["source_labels"] = pick(draw.choice([1, 2]))
    if action in ("replace", "keepequal", "dropequal", "hashmod", "lowercase", "uppercase", "replace_all", "keep_if_contains", "drop_if_contains"):
        rule["target_label"] = draw.choice(NAMES + ["new"])
    if action == "hashmod":
        rule["modulus"] = draw.choice([1, 8, 1000])
    if action == "replace":
        # Not ".*", which is there as good as "(.*)".
        rule["regex"] = draw.choice(["f(.*)", "(.+)", "^foo$", "(a|b)", "(.*);(.*)", "foo|bar", "^(.)(.*)$"])
        rule["replacement"] = draw.choice(["$1", "x", "{{b}}", "pre-{{job}}-$1", "{{none}}", "${1}-{{a}}{{", "$0"])
    if action in ("keep", "drop"):
        rule["regex"] = draw.choice(["foo|bar|x", "f.*", "^foo$", ".+", "(foo|bar)"])
    if action in ("labeldrop", "labelkeep"):
        rule["regex"] = draw.choice(["a|__name__", "m.|__name__|job", "b|c"])
    if action == "labelmap":
        rule["regex"], rule["replacement"] = draw.choice([("m(.)", "z_$1"), ("(j)(o)b", "$2$1"), ("a", "zz")])
    if action == "replace_all":
        rule["regex"], rule["replacement"] = draw.choice([("o", "0"), ("[a-f]", "<$0>"), (r"(.)\.", "$1_"), ("a", ""), (r"\d+", "N"), ("x*", "-"), ("", "_")])
    if action == "labelmap_all":
        rule["regex"], rule["replacement"] = draw.choice([("m", "q"), ("b$", "bb"), ("jo", "J_")])
    if action in ("keep_metrics", "drop_metrics"):
        rule["regex"] = draw.choice(["m", "n|m", "x.*", "m.*"])
    if action == "graphite":
        rule["match"], rule["labels"] = draw.choice([("*", {"g": "$1"}), ("m", {"g": "x$0"}), ("x.*", {"g": "$1"}), ("*m", {"g": "[${1}]-$0"})])
    if draw.random() < 0.3 and action != "graphite":
        rule["if"] = draw.choice(SELECTORS) if draw.random() < 0.8 else draw.sample(SELECTORS, k=2)
    return rule


def parse_vm(text):
    """Labels out of `name{a="b", …}` with HTML escapes."""
    text = html.unescape(text)
    name, _, rest = text.partition("{")
    labels = {"__name__": name} if name else {}
    at = 0
    while at < len(rest) and rest[at] != "}":
        equals = rest.index("=", at)
        value, used = json.JSONDecoder().raw_decode(rest[equals + 1:])
        labels[rest[at:equals].strip(', "')] = value
        at = equals + 1 + used
        at += len(rest[at:]) - len(rest[at:].lstrip(", "))
    return labels


def test_extra_actions_do_what_they_do_in_vmagent(tmp_path, ours):
    draw = random.Random(20260703)
    port = free_port()
    with (tmp_path / "log").open("wb") as log:
        vmagent = subprocess.Popen([peer("vmagent"), f"-httpListenAddr=127.0.0.1:{port}", "-remoteWrite.url=http://127.0.0.1:1/",
                                    f"-remoteWrite.tmpDataPath={tmp_path}/queue"], stdout=log, stderr=log)

    def debug(rules, series):
        metric = series["__name__"] + "{" + ",".join(f"{n}={json.dumps(v, ensure_ascii=False)}" for n, v in series.items() if n != "__name__") + "}"
        data = urllib.parse.urlencode({"metric": metric, "relabel_configs": json.dumps(rules), "format": "json"}).encode()
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metric-relabel-debug", data, timeout=20) as answer:
            answer = json.load(answer)
        assert answer["status"] == "success", (rules, answer)
        return parse_vm(answer["resultingLabels"])

    def alive():
        try:
            return debug([{"action": "labeldrop", "regex": "none"}], {"__name__": "m"}) == {"__name__": "m"}
        except OSError:
            return False
    differ = []
    try:
        wait_for("vmagent", alive, 30)
        for _ in range(VM_LISTS):
            rules = [random_vm_rule(draw) for _ in range(draw.choice([1, 1, 2, 3]))]
            series = [random_series(draw, VM_VALUES) for _ in range(4)]
            answer = ours.ask(rules, series, "vm")
            assert "error" not in answer, (rules, answer)
            for s, mine in zip(series, answer["series"]):
                theirs = debug(rules, s)
                kept = {n: v for n, v in mine.items() if n == "__name__" or not n.startswith("__")} if isinstance(mine, dict) else {}
                if kept != theirs:
                    differ.append((rules, s, mine, theirs))
    finally:
        vmagent.terminate()
        vmagent.wait(30)
    assert not differ, f"{len(differ)} of {VM_LISTS * 4} differ: {differ[:3]}"
