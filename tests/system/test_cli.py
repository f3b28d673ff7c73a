# SPDX-License-Identifier: Apache-2.0
"""The commands for people: what is hostile stays text, exit statuses, colours."""

import fcntl
import json
import os
import pty
import re
import signal
import sqlite3
import struct
import subprocess
import termios

import pytest

from conftest import TELAMON, hog_command, run, telamon, wait_for

GOLDEN = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "golden")
PLAIN = re.compile("[^\n -~\ufffd]")  # what may not reach a terminal; U+FFFD stands for bytes that were no text
ESCAPES = "\x1b[2J\x1b]0;owned\x07\x1b[31m"


@pytest.mark.parametrize("arguments, status", [
    ([], 2), (["--help"], 0), (["help"], 0), (["--version"], 0), (["nonsense"], 2), (["--nonsense"], 2),
    (["oom", "--help"], 0), (["events", "--help"], 0), (["doctor", "--help"], 0), (["lab", "--help"], 0),
    (["oom", "nonsense"], 2), (["oom", "show", "a", "b"], 2), (["oom", "top", "--by", "moon"], 2),
    (["oom", "top", "--by", "load"], 2), (["oom", "top", "--by", ""], 2), (["oom", "top", "--limit", "0"], 2),
    (["oom", "--limit", "10001"], 2),
    (["oom", "top", "--by", "workload container"], 2), (["oom", "--format", "xml"], 2), (["oom", "--nonsense"], 2),
    (["oom", "--since"], 2), (["oom", "--url", "nonsense://x"], 3), (["oom", "--url", "http://127.0.0.1:1"], 3),
])
def test_exit_statuses(arguments, status):
    done = telamon(*arguments)
    assert done.returncode == status, done.stderr
    assert (done.stdout == "") == (status != 0)


def on_terminal(*command, columns=0):
    """Runs a command on a terminal of its own, of so many columns; gives all that it printed there."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    with subprocess.Popen([str(c) for c in command], stdout=slave, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL) as p:
        os.close(slave)
        text = b""
        try:
            while chunk := os.read(master, 65536):
                text += chunk
        except OSError:
            pass
        p.wait(60)
    os.close(master)
    return text.decode()


def hostile_hog(tmp_path):
    """A copy of python whose name, arguments and comm are chosen to harm a terminal."""
    code = ("import ctypes\nctypes.CDLL(None).prctl(15, b'\\x1b[2J\\n\"\\'\\xff\\\\x', 0, 0, 0)\n"
            "b = []\nwhile True:\n    b.append(bytearray(b'x') * (4 << 20))\n")
    return ["/usr/bin/python3", "-S", "-E", "-c", code, ESCAPES, "line\nbreak", b"\xff\xfe\x80".decode("utf-8", "surrogateescape"),
            "q\"'\\"]


def test_terminal_injection(make_agent, cgroup, own, tmp_path):
    """comm, arguments and cgroup with escape codes, newline, quotes and bytes that are no UTF-8: a real kill of them."""
    agent = make_agent("oom: {wait: 200ms, aftermath: 1s, args_bytes: 512}\n")
    path = f"{own}/a\x1b[31m\"'\\ b\u202e"
    group = cgroup(path).limit(32 << 20)
    victim = group.spawn(*hostile_hog(tmp_path))
    assert victim.wait(60) == -signal.SIGKILL
    record = wait_for("the record", lambda: agent.kills(path))[0]
    assert record["telamon.oom.comm"] == "\x1b[2J\n\"'\ufffd\\x" and record["telamon.lossy_text"] is True
    assert record["process.command_args"][-4:] == [ESCAPES, "line\nbreak", "\ufffd" * 3, "q\"'\\"]
    wait_for("the aftermath", lambda: agent.kills(path, "oom.aftermath"))
    for command in (["oom"], ["oom", "show", "last"], ["oom", "show", record["telamon.id"]], ["oom", "top", "--by", "cgroup"],
                    ["oom", "top", "--by", "exe"], ["events"]):
        for source in (["--url", agent.url], ["--journal", agent.journal]):
            done = telamon(*command, *source)
            assert done.returncode == 0, (command, done.stderr)
            assert not PLAIN.search(done.stdout), (command, done.stdout)
    shown = telamon("oom", "show", "last", "--url", agent.url).stdout
    assert "\\e[2J" in shown and "line\\nbreak" in shown
    # On a terminal only our own colours come through.
    for command in (["oom"], ["oom", "show", "last"], ["events"]):
        text = on_terminal(TELAMON, *command, "--url", agent.url)
        assert not PLAIN.search(re.sub(r"\x1b\[[0-9;]*m|\r", "", text)), command
        assert "\x1b[2J" not in text and "\x1b]" not in text
    # The log and the metrics say it too.
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", agent.log())
    assert "\x1b" not in agent.get("/metrics")[1]
    assert "\x1b" not in agent.get("/api/v1/events")[1]


def forged(path, *others, **fields):
    """A journal as somebody else may hand it over; `others` are events beside the one of `fields`, older ones first."""
    base = {"timestamp": "2026-11-22T09:31:07.482113904Z", "event.name": "oom.kill", "severity_text": "ERROR",
            "severity_number": 17, "telamon.id": "01JD9X3M6Q-000001"}
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE events(seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, wall INTEGER NOT NULL, "
                   "name TEXT NOT NULL, severity INTEGER NOT NULL, container TEXT, container_name TEXT, namespace TEXT, "
                   "pod TEXT, workload TEXT, cgroup TEXT, pid INTEGER, json BLOB NOT NULL)")
        for event in [{**base, **more} for more in (fields, *others)]:
            db.execute("INSERT INTO events(id, wall, name, severity, namespace, pid, json) VALUES (?, 1, ?, 17, ?, 1, ?)",
                       (str(event["telamon.id"]), str(event["event.name"]), str(event.get("k8s.namespace.name")),
                        json.dumps(event).encode()))


HOSTILE_FIELDS = ["timestamp", "severity_text", "telamon.id", "container.id", "container.name", "k8s.pod.name",
                  "k8s.namespace.name", "k8s.container.name", "telamon.unit", "telamon.workload", "telamon.cgroup.path",
                  "telamon.oom.comm", "telamon.oom.scope", "telamon.oom.role", "telamon.oom.gfp_mask", "telamon.oom.limit.kind",
                  "telamon.oom.limit.cgroup.path", "telamon.oom.limit.counter", "telamon.oom.trigger.comm",
                  "telamon.oom.trigger.container.id", "process.executable.path", "process.user.name", "message",
                  "telamon.oom.grower.executable", "telamon.oom.grower.cgroup", "telamon.oom.message",
                  "telamon.oom.trigger.cgroup.path", "process.working_directory", "telamon.oom.trigger.executable.path",
                  "process.creation.time", "telamon.oom.scope.source", "telamon.oom.limit.container.id",
                  "k8s.pod.uid", "telamon.oom.trigger.k8s.container.name", "telamon.oom.trigger.container.name",
                  "telamon.oom.grower.process.executable.path", "event.name"]
HOSTILE_LISTS = ["process.command_args", "telamon.hook", "telamon.oom.missing", "telamon.oom.kernel_log",
                 "telamon.oom.stack.kernel", "telamon.oom.stack.user", "telamon.truncated",
                 "telamon.oom.members", "telamon.oom.largest"]


@pytest.mark.parametrize("field", HOSTILE_FIELDS + HOSTILE_LISTS)
def test_a_forged_journal(tmp_path, field):
    """Each field that is shown may hold anything, also another type."""
    lists = field in HOSTILE_LISTS
    for number, value in enumerate([[ESCAPES + "/\n" + ESCAPES] if lists else ESCAPES + "\n\u202e\x9b", 5, None, {"a": ESCAPES}, [[ESCAPES], 1]]):
        path = tmp_path / f"{number}.db"
        forged(path, **{"telamon.oom.victim.rss.anon": 1 << 20, "telamon.oom.limit.max": 1 << 30, "process.pid": 7, field: value})
        for command in (["oom"], ["oom", "show", "last"], ["oom", "top"], ["oom", "top", "--by", "exe"], ["events"]):
            done = telamon(*command, "--journal", path)
            assert done.returncode in (0, 1), (command, value, done.returncode, done.stderr)
            assert not PLAIN.search(done.stdout + done.stderr), (command, value, done.stdout)


O = "telamon.oom."
SEARCH = {  # the example of the specification, as an agent with all sources records it
    "process.pid": 48121, "process.vpid": 7, "process.creation.time": "2026-11-22T08:02:11.07Z",
    "process.executable.path": "/usr/lib/jvm/bin/java", "process.command_args": ["java", "-jar", "search.jar"],
    "process.user.id": 1000, O + "comm": "java", O + "role": "chosen", O + "decision": "91382113-1", O + "chosen_pid": 48121,
    O + "victim.rss.anon": 2611605504, O + "victim.rss.file": 20480, O + "victim.rss.shmem": 0, O + "victim.swap": 0,
    O + "victim.pgtables": 5541888, O + "victim.adj": 979, O + "trigger.pid": 48190, O + "trigger.comm": "sidecar",
    O + "trigger.container.id": "11ab" * 16, O + "trigger.k8s.container.name": "sidecar", O + "trigger.is_victim": False,
    O + "scope": "memcg", O + "gfp_mask": "0xcc0(GFP_KERNEL)", O + "order": 0, O + "pages_requested": 1,
    O + "limit.cgroup.path": "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1f0e.slice",
    O + "limit.max": 2684354560, O + "limit.usage": 2684350464, O + "limit.distance": 1, O + "limit.oom_group": False,
    O + "limit.certain": True, O + "limit.kind": "k8s_pod",
    "telamon.cgroup.path": "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1f0e.slice/cri-containerd-9f2c.scope",
    O + "stat.anon": 2618294272, O + "stat.shmem": 31457280, O + "stat.file": 42024960, O + "stat.age": 0.0021,
    O + "psi.cgroup.full.avg10": 38.2, O + "psi.system.some.avg10": 1.4, O + "trend.step": 1, O + "trend.rate": 3565158,
    O + "trend.hard": [2470445056] * 61, O + "trend.forecast_age": 214.0, O + "grower.bytes": 213909504,
    O + "grower.process.pid": 48121, O + "grower.process.executable.path": "/usr/lib/jvm/bin/java",
    O + "largest": [{"comm": "sidecar", "rss": 63963136}, {"comm": "pause", "rss": 524288}],
    O + "stack.kernel": ["bpf_trace_run2", "mark_oom_victim", "__oom_kill_process", "oom_kill_process", "out_of_memory",
                         "mem_cgroup_out_of_memory", "try_charge_memcg", "charge_memcg", "__mem_cgroup_charge",
                         "do_anonymous_page", "__handle_mm_fault", "handle_mm_fault", "exc_page_fault"],
    O + "message": "Memory cgroup out of memory", O + "kernel_log": ["Memory cgroup out of memory: Killed process 48121 (java)",
                                                                     "oom_reaper: reaped process 48121 (java)"],
    "container.id": "9f2c" * 16, "k8s.pod.name": "search-7d9f8c6b5-x2lqp", "k8s.namespace.name": "shop",
    "k8s.container.name": "search", "telamon.workload": "search", O + "complete": True, O + "time.to_exit": 0.121,
    "telamon.hook": ["oom_kill/tp_btf_task", "oom_signal/tp_btf", "oom_decision/stack", "oom_stat/file"]}
AFTERMATH = {"event.name": "oom.aftermath", "telamon.id": "01JD9X3M6Q-000002", O + "decision": "91382113-1", O + "aftermath": "exited",
             O + "members": [{"pid": 48121, "time.to_exit": 0.121}], O + "freed": 2609020928, O + "repeats": 0}
SHOWN = """\
2026-11-22T09:31:07.482Z  OOM kill  memcg limit of pod shop/search-7d9f8c6b5-x2lqp (workload search)
  killed    java[48121] (7 in container)  container search  /usr/lib/jvm/bin/java -jar search.jar  user 1000  adj 979
            rss 2.43 GiB (anon 2.43 GiB, file 20 KiB, shmem 0 B)  swap 0 B  page tables 5.29 MiB  ran 1h28m
  trigger   sidecar[48190] in container sidecar asked for 1 page (order 0, 0xcc0(GFP_KERNEL)): another container of the pod
  limit     /kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1f0e.slice  2.50 GiB used of 2.50 GiB, 1 level above the victim's cgroup; oom.group off
  grew      java[48121] +204 MiB in 1m00s (3.40 MiB/s); forecast 3m34s before the kill
  pressure  cgroup full 38.2 % (10 s), system some 1.4 %
  cgroup    anon 2.44 GiB  shmem 30.0 MiB  file 40.1 MiB   (2.1 ms after the kill)
  others    sidecar 61.0 MiB, pause 512 KiB
  kernel    try_charge_memcg < charge_memcg < __mem_cgroup_charge < do_anonymous_page < __handle_mm_fault < handle_mm_fault < ...
  after     exited in 121 ms, 2.43 GiB freed, reaper not needed
  message   Memory cgroup out of memory
  log       Memory cgroup out of memory: Killed process 48121 (java)
            oom_reaper: reaped process 48121 (java)
  source    oom_kill=tp_btf_task oom_signal=tp_btf oom_decision=stack oom_stat=file   complete
"""


def show(tmp_path, *others, drop=(), **changed):
    """What `oom show last` says of SEARCH with some facts changed or left out."""
    path = tmp_path / f"{len(list(tmp_path.iterdir()))}.db"
    forged(path, *others, **{k: v for k, v in {**SEARCH, **changed}.items() if k not in drop})
    done = telamon("oom", "show", "last", "--journal", path)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_show_golden(tmp_path):
    """A whole record, line by line."""
    assert show(tmp_path, AFTERMATH) == SHOWN


@pytest.mark.parametrize("width", [80, 160])
def test_show_golden_in_a_terminal(tmp_path, width):
    """Broken at the width of the terminal, between words, below the text."""
    forged(tmp_path / "j", AFTERMATH, **SEARCH)
    source = ["oom", "show", "last", "--journal", tmp_path / "j"]
    with open(os.path.join(GOLDEN, f"oom-show-{width}.txt"), encoding="utf-8") as f:
        expected = f.read()
    assert telamon(*source, "--width", width).stdout == expected
    assert " ".join(expected.split()) == " ".join(SHOWN.split())
    assert all(len(line) <= width or len(line[12:].split()) == 1 for line in expected.splitlines())
    assert on_terminal("env", "-u", "COLUMNS", "NO_COLOR=1", TELAMON, *source, columns=width).replace("\r\n", "\n") == expected
    assert telamon(*source, "--width", "0").stdout == telamon(*source).stdout == SHOWN
    for bad in ("39", "x", "-1"):
        assert telamon(*source, "--width", bad).returncode == 2


@pytest.mark.parametrize("kind, path, title", [
    ("k8s_qos", "/kubepods.slice/kubepods-burstable.slice", "QoS class kubepods-burstable.slice, victim in pod shop/search-7d9f8c6b5-x2lqp"),
    ("k8s_root", "/kubepods.slice", "all pods, /kubepods.slice, victim in pod shop/"),
    ("systemd_slice", "/user.slice/a.slice", "slice a.slice, victim in pod shop/"),
    ("systemd_service", "/system.slice/x.service", "service x.service, victim in pod shop/"),
    ("other", "/some/place", "cgroup /some/place, victim in pod shop/"),
])
def test_title_names_the_limiting_place(tmp_path, kind, path, title):
    text = show(tmp_path, **{O + "limit.kind": kind, O + "limit.cgroup.path": path})
    assert f"  OOM kill  memcg limit of {title}" in text
    assert "another container\n" in text and "another container of the pod" not in text


def test_title_of_a_container_and_of_the_host(tmp_path):
    text = show(tmp_path, **{O + "limit.kind": "container", O + "limit.container.id": "9f2c" * 16})
    assert "memcg limit of pod shop/search-7d9f8c6b5-x2lqp container search (workload search)\n" in text
    text = show(tmp_path, **{O + "limit.kind": "container", O + "limit.container.id": "77aa" * 16})
    assert "memcg limit of container 77aa77aa77aa, victim in pod shop/" in text
    text = show(tmp_path, drop=[O + "limit.cgroup.path", O + "limit.max", O + "limit.kind"], **{O + "scope": "global"})
    assert "OOM kill  memory of the host, victim in pod shop/" in text and "of the pod" not in text


def test_show_what_is_not_certain(tmp_path):
    text = show(tmp_path, **{O + "spilled": True, O + "certain": False, O + "complete": False, O + "missing": ["stack"], O + "victim.rss": 4096})
    assert "incomplete, spilled: " in text and "not certain: a kill, or the mark of one" in text and "not known: stack" in text
    assert "rss 4 KiB  ran 1h28m" in text
    text = show(tmp_path, drop=["process.vpid", O + "trend.forecast_age", O + "trend.rate"])
    assert "java[48121]  container" in text and "+204 MiB in 1m00s; not forecast" in text


def test_show_group(tmp_path):
    members = [{"pid": 48121, "comm": "java", "role": "chosen", "rss": 1}] + \
        [{"pid": 100 + i, "comm": f"w{i}", "role": "group", "rss": 1 << 20} for i in range(20)]
    text = show(tmp_path, **{O + "members": members, O + "members.count": 31, O + "members.spared": 2})
    assert "java[48121] (7 in container) and 30 more of its group  " in text
    assert "  members   w0[100] 1.00 MiB, w1[101] 1.00 MiB" in text
    assert "w15[115] 1.00 MiB and 14 more; spared by adj -1000: 2\n" in text and "w16[" not in text
    text = show(tmp_path, **{O + "role": "group", "process.pid": 100})
    assert "java[100] (7 in container) as group of 48121, which was chosen" in text


def many(path):
    """Three global kills, then 200 of memory cgroups, and one OOM of each kind without a victim."""
    events = [{"telamon.id": f"01JD9X3M6Q-{i:06}", O + "scope": "global" if i < 3 else "memcg", "process.pid": i + 1,
               "timestamp": f"2026-11-22T09:{i // 60:02}:{i % 60:02}Z", O + "comm": "x",
               "k8s.namespace.name": "early" if i < 2 else "late", "telamon.workload": f"w{i % 3}",
               "telamon.cgroup.path": f"/c{i % 4}", "k8s.container.name": f"k{i % 5}", "process.executable.path": f"/e{i % 7}"}
              for i in range(203)]
    events.append({"telamon.id": "n", "event.name": "oom.no_victim", O + "scope": "memcg", O + "trigger.pid": 9, O + "certain": False,
                   "telamon.cgroup.path": "/c9"})
    events.append({"telamon.id": "u", "event.name": "oom.unseen", O + "unseen": 2, "telamon.cgroup.path": "/c8"})
    forged(path, *events[1:], **events[0])


def test_filters_come_before_the_limit(tmp_path):
    many(tmp_path / "j")
    source = ["--journal", tmp_path / "j"]
    lines = telamon("oom", "--scope", "global", "--limit", "2", *source).stdout.splitlines()
    assert [line.split()[-1] for line in lines] == ["01JD9X3M6Q-000001", "01JD9X3M6Q-000002"]
    lines = telamon("oom", "--namespace", "early", "--limit", "2", *source).stdout.splitlines()
    assert [line.split()[-1] for line in lines] == ["01JD9X3M6Q-000000", "01JD9X3M6Q-000001"]
    assert len(telamon("oom", *source).stdout.splitlines()) == 100
    assert len(telamon("oom", "--limit", "150", "--scope", "memcg", *source).stdout.splitlines()) == 150
    assert len(telamon("oom", "--limit", "10000", "--format", "json", *source).stdout.splitlines()) == 205


def test_scope_reaches_the_oldest(tmp_path):
    """More records than are ever given at once stand before it."""
    others = [{"telamon.id": f"01JD9X3M6Q-{i:06}", O + "scope": "memcg", O + "comm": '"telamon.oom.scope":"global"'} for i in range(2, 11000)]
    forged(tmp_path / "j", *others, **{O + "scope": "global"})
    shown = telamon("oom", "--scope", "global", "--journal", tmp_path / "j")
    assert [line.split()[-1] for line in shown.stdout.splitlines()] == ["01JD9X3M6Q-000001"], shown.stderr
    assert telamon("oom", "--scope", 'x"', "--journal", tmp_path / "j").returncode == 2
    assert telamon("oom", "--scope", "cpuset", "--journal", tmp_path / "j").returncode == 1


def test_scope_of_a_live_agent(shared_agent):
    status, body = shared_agent.get("/api/v1/events?type=oom&scope=mempolicy")
    assert (status, body) == (200, "")
    assert shared_agent.get("/api/v1/events?scope=A%22")[0] == 400
    assert telamon("oom", "--scope", "mempolicy", "--url", shared_agent.url).returncode == 1


def test_top_as_json(tmp_path):
    many(tmp_path / "j")
    done = telamon("oom", "top", "--by", "cgroup", "--limit", "2", "--format", "json", "--journal", tmp_path / "j")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["by"] == "cgroup" and report["kills"] == 203
    assert report["others"] == 203 - sum(row["kills"] for row in report["rows"]) and len(report["rows"]) == 2
    first = report["rows"][0]
    assert first["key"].startswith("/c") and first["kills"] == 51 and first["anon_bytes"] == 0 and first["last"].startswith("2026-11-22T09:")
    shown = telamon("oom", "top", "--by", "cgroup", "--limit", "2", "--journal", tmp_path / "j").stdout.splitlines()
    assert [line.split()[-1] for line in shown[1:3]] == [row["key"] for row in report["rows"]]


def test_list_and_show_without_a_victim(tmp_path):
    many(tmp_path / "j")
    source = ["--journal", tmp_path / "j"]
    assert telamon("oom", "--limit", "2", *source).stdout == (
        "2026-11-22T09:31:07.482Z  no victim found  cgroup /c9  memcg  asked by 9  not certain  n\n"
        "2026-11-22T09:31:07.482Z  2 kills unseen  cgroup /c8  u\n")
    assert telamon("oom", "show", "u", *source).stdout == (
        "2026-11-22T09:31:07.482Z  OOM kills unseen  2 in cgroup /c8\n")
    forged(tmp_path / "below", **{"event.name": "oom.unseen", O + "unseen": 1, "telamon.cgroup.path": "/c/d", O + "limit.cgroup.path": "/c"})
    assert telamon("oom", "show", "01JD9X3M6Q-000001", "--journal", tmp_path / "below").stdout == (
        "2026-11-22T09:31:07.482Z  OOM kills unseen  1 in cgroup /c/d\n  limit     /c; not certain\n")
    assert telamon("oom", "show", "n", *source).stdout == (
        "2026-11-22T09:31:07.482Z  OOM without a victim  memcg limit, in cgroup /c9\n  trigger   [9]\n"
        "  source    not certain: nothing was killed, as far as the hooks saw\n")


def rows(*arguments):
    return [(line.split()[0], line.split()[-1]) for line in telamon("oom", "top", *arguments).stdout.splitlines()[1:]]


def test_top(tmp_path):
    many(tmp_path / "j")
    source = ["--journal", tmp_path / "j"]
    assert rows("--scope", "global", *source) == [("1", "late/w2"), ("1", "early/w1"), ("1", "early/w0")]
    assert rows("--by", "cgroup", "--limit", "1", *source) == [("51", "/c2"), ("152", "others")]
    assert rows("--by", "container", "--limit", "2", *source) == [("41", "k2"), ("41", "k1"), ("121", "others")]
    assert len(rows("--by", "exe", *source)) == 7
    assert telamon("oom", "top", "--scope", "sysrq", *source).returncode == 1
    assert telamon("oom", "top", "--since", "1h", *source).returncode == 1


def test_numbers_out_of_all_bounds(tmp_path):
    for number, value in enumerate([-1, 1e308, -1e308, 2**63, 2**64, 0, 1.5]):
        path = tmp_path / f"{number}.db"
        forged(path, **{key: value for key in (
            "process.pid", "telamon.oom.victim.rss.anon", "telamon.oom.victim.rss.file", "telamon.oom.victim.rss.shmem",
            "telamon.oom.victim.swap", "telamon.oom.victim.pgtables", "telamon.oom.victim.adj", "telamon.oom.order",
            "telamon.oom.pages_requested", "telamon.oom.limit.max", "telamon.oom.limit.usage", "telamon.oom.limit.distance",
            "telamon.oom.stat.anon", "telamon.oom.stat.age", "telamon.oom.psi.system.some.avg10", "telamon.oom.members.count",
            "telamon.oom.trend.rate", "telamon.oom.trend.forecast_age", "telamon.oom.trigger.pid", "telamon.oom.threads")})
        for command in (["oom"], ["oom", "show", "last"], ["oom", "top"], ["events"]):
            assert telamon(*command, "--journal", path).returncode == 0, (command, value)


class HostileAgent:
    """Answers whatever it likes."""

    def __init__(self, answer):
        import http.server
        import threading

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.wfile.write(answer)

            def log_message(self, *_):
                pass

        self.server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.mark.parametrize("answer, status", [
    (b"HTTP/1.0 400 Bad\r\n\r\n" + ESCAPES.encode() + b"\n", 2),
    (b"HTTP/1.0 500 Bad\r\n\r\n" + ESCAPES.encode(), 3),
    (b"HTTP/1.0 302 Found\r\nLocation: file:///etc/passwd\r\n\r\n", 3),
    (b"HTTP/1.0 200 OK\r\n\r\nnot json\n{\"a\":1\n[]\n5\n", 1),
    (b"HTTP/1.0 200 OK\r\n\r\n" + b"x" * (2 << 20), 3),
    (b"HTTP/1.0 200 OK\r\nContent-Length: 100\r\n\r\n{}", 3),
    (b"\x1b[2J", 3),
], ids=["400", "500", "redirect", "not_json", "one_long_line", "cut_short", "no_http"])
def test_an_agent_that_is_none(answer, status):
    hostile = HostileAgent(answer)
    try:
        for command in ("oom", "events"):
            done = run(TELAMON, command, "--url", hostile.url, timeout=60)
            assert done.returncode == status, done.stderr
            assert not PLAIN.search(done.stdout + done.stderr)
    finally:
        hostile.close()


def test_list_show_top(make_agent, cgroup, own):
    """What the commands say of two kills."""
    agent = make_agent("oom: {wait: 200ms, aftermath: 1s}\n")
    for name in ("one", "two"):
        assert cgroup(f"{own}/{name}").limit(32 << 20).spawn(*hog_command()).wait(60) == -signal.SIGKILL
        wait_for("the record", lambda n=name: agent.kills(f"{own}/{n}"))
    source = ["--url", agent.url]
    listed = telamon("oom", "--cgroup", f"{own}/*", *source).stdout.splitlines()
    assert len(listed) == 2 and f"cgroup {own}/one" in listed[0] and f"cgroup {own}/two" in listed[1]
    assert "limit 32.0 MiB" in listed[0]
    assert telamon("oom", "list", "--cgroup", f"{own}/*", *source).stdout.splitlines() == listed
    assert len(telamon("oom", "--cgroup", f"{own}/*", "--limit", "1", *source).stdout.splitlines()) == 1
    assert telamon("oom", "--scope", "global", "--cgroup", f"{own}/*", *source).returncode == 1
    first = agent.kills(f"{own}/one")[0]["telamon.id"]
    shown = telamon("oom", "show", first, *source).stdout
    for line in ("killed", "trigger", "limit", "source"):
        assert re.search(rf"^  {line} ", shown, re.M), shown
    assert f"memcg limit of cgroup {own}/one" in shown
    assert telamon("oom", "show", "01JD9X3M6Q-000001", *source).returncode == 1
    assert telamon("oom", "show", "x'; --", *source).returncode == 1
    top = telamon("oom", "top", "--by", "cgroup", "--cgroup", f"{own}/*", *source).stdout.splitlines()
    assert len(top) == 3 and all(re.match(r" +1 ", line) for line in top[1:])
    lines = telamon("oom", "--format", "json", "--cgroup", f"{own}/*", *source).stdout.splitlines()
    assert [json.loads(line)["telamon.cgroup.path"] for line in lines] == [f"{own}/one", f"{own}/two"]


def test_colours_on_terminals_only(make_agent, monkeypatch):
    agent = make_agent("oom: {enabled: false}\n")
    assert telamon("events", "test", "--url", agent.url).returncode == 0
    command = [TELAMON, "events", "--url", agent.url]
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[" in on_terminal(*command)
    assert "\x1b[" not in run(*command).stdout
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[" not in on_terminal(*command)
