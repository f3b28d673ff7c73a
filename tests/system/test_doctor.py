# SPDX-License-Identifier: Apache-2.0
"""telamon doctor: golden reports of recorded hosts, the live probe, exit statuses. UPDATE_GOLDEN=1 writes the texts anew."""

import json
import os
import re

import pytest

from conftest import run, telamon, wait_for

GOLDEN = os.path.join(os.path.dirname(__file__), "..", "golden")
# Recorded host → exit status.
HOSTS = {
    "doctor-full": 0,  # all trampolines load
    "doctor-tracepoint": 1,  # trampolines refused, no kprobes
    "doctor-no-btf": 1,  # classic tracepoints
    "doctor-counters": 3,  # no rights at all
    "doctor-hostile": 3,  # a file that somebody else wrote
}


def golden(name, text):
    path = os.path.join(GOLDEN, name)
    if os.environ.get("UPDATE_GOLDEN"):
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
    with open(path, encoding="utf-8") as f:
        assert text == f.read()


def hooks(name):
    return os.path.join(GOLDEN, f"{name}.hooks.json")


@pytest.mark.parametrize("name", HOSTS)
def test_text(name):
    done = telamon("doctor", "--hooks.file", hooks(name), "--fix")
    assert done.returncode == HOSTS[name], done.stdout + done.stderr
    golden(f"{name}.txt", done.stdout)
    assert not re.search(r"[^\n -~]", done.stdout), "nothing of a file reaches the terminal as it is"


@pytest.mark.parametrize("name", HOSTS)
def test_json(name):
    done = telamon("doctor", "--hooks.file", hooks(name), "--format", "json")
    assert done.returncode == HOSTS[name]
    report = json.loads(done.stdout)
    assert report["status"] == HOSTS[name] and report["version"] == 1
    golden(f"{name}.json", done.stdout)


def test_modules():
    done = telamon("doctor", "--hooks.file", hooks("doctor-counters"), "--module", "identity", "--format", "json")
    capabilities = [c["capability"] for c in json.loads(done.stdout)["capabilities"]]
    assert capabilities == ["cgroup_track"] and done.returncode == 0
    done = telamon("doctor", "--hooks.file", hooks("doctor-counters"), "--module", "oom,identity", "--format", "json")
    assert len(json.loads(done.stdout)["capabilities"]) == 12 and done.returncode == 3
    done = telamon("doctor", "--hooks.file", hooks("doctor-full"), "--module", "oomx")
    assert done.returncode == 2 and "oomx" in done.stderr


@pytest.mark.parametrize("text, what", [
    ("", "hooks.json"), ("{", "hooks.json:"), ("[]", "capabilities"), ("{}", "capabilities"), ('{"capabilities": 5}', "capabilities"),
    ('{"capabilities": [], "capabilities": []}', "duplicate"),
])
def test_files_that_are_none(tmp_path, text, what):
    path = tmp_path / "hooks.json"
    path.write_text(text, encoding="utf-8")
    done = telamon("doctor", "--hooks.file", path)
    assert done.returncode == 2 and what in done.stderr and done.stdout == ""


def test_odd_entries_do_no_harm(tmp_path):
    path = tmp_path / "hooks.json"
    path.write_text('{"capabilities": [5, null, {}, {"capability": 7, "live": [], "variants": {"a": 1}}, '
                    '{"capability": "oom_kill", "live": "raw_tp", "variants": [null, {"name": 1, "live": "yes"}]}]}',
                    encoding="utf-8")
    for form in ("text", "json"):
        assert telamon("doctor", "--hooks.file", path, "--format", form).returncode in (0, 1)


@pytest.mark.parametrize("arguments, text", [
    (["--nonsense"], "nonsense"), (["nonsense"], "nonsense"), (["hooks"], "hooks"), (["hooks", "a", "b"], "hooks"),
    (["--format", "xml"], "xml"), (["--hooks.file", "/nonexistent"], "/nonexistent"),
])
def test_usage(arguments, text):
    done = telamon("doctor", *arguments)
    assert done.returncode == 2 and text in done.stderr


# --- the living host ---

FACTS = {"kernel", "arch", "page_size", "btf", "tracefs", "lockdown", "psi", "sysctl", "capabilities_held",
         "capabilities_missing", "runtime_files", "other_oom_daemons", "clock_wall_minus_boot_seconds"}
SYSCTLS = {"panic_on_oom", "oom_kill_allocating_task", "oom_dump_tasks", "overcommit_memory", "kptr_restrict"}


def test_probe():
    """Tries by itself, as root; says the same twice, as text and as JSON."""
    done = telamon("doctor", "--probe", "--format", "json")
    report = json.loads(done.stdout)
    assert done.returncode == report["status"] and done.returncode in (0, 1)
    assert FACTS <= set(report["host"]), FACTS - set(report["host"])
    assert SYSCTLS <= set(report["host"]["sysctl"])
    assert report["host"]["kernel"] == os.uname().release
    assert report["host"]["page_size"] == os.sysconf("SC_PAGESIZE")
    live = {c["capability"]: c["live"] for c in report["capabilities"]}
    assert len(live) == 12 and live["oom_kill"] not in ("none", "counters")
    text = telamon("doctor", "--probe")
    assert text.returncode == done.returncode
    shown = dict(re.findall(r"^(oom_\w+|cgroup_track) +(\w+)", text.stdout, re.M))
    assert shown == live
    for word in ("kernel ", "clock ", "lockdown", "cgroup ", "PSI", "sysctl", "rights", "result"):
        assert word in text.stdout


def test_probe_attaches_nothing_and_says_what_the_agent_says(shared_agent):
    with open(os.path.join(shared_agent.run, "hooks.json"), encoding="utf-8") as f:
        agent = {c["capability"]: c["live"] for c in json.load(f)["capabilities"]}
    probed = json.loads(telamon("doctor", "--probe", "--format", "json").stdout)
    assert {c["capability"]: c["live"] for c in probed["capabilities"]} == agent
    assert os.stat(os.path.join(shared_agent.run, "hooks.json")).st_mode & 0o7777 == 0o640


def test_protection_and_losses_come_from_the_agent(shared_agent):
    file = os.path.join(shared_agent.run, "hooks.json")
    done = telamon("doctor", "--hooks.file", file, "--url", shared_agent.url)
    assert re.search(r"^protect   memory (not )?locked", done.stdout, re.M)
    assert re.search(r"^ring      1024 KiB, spill 1024 records; read \d+, spilled 0, lost 0, unseen \d+", done.stdout, re.M)
    report = json.loads(telamon("doctor", "--hooks.file", file, "--url", shared_agent.url, "--format", "json").stdout)
    assert report["agent"]["ring"]["bytes"] == 1 << 20
    assert report["agent"]["protection"]["locked"] == shared_agent.metric("telamon_agent_protection", what="locked")
    assert telamon("doctor", "--hooks.file", file, "--url", "http://127.0.0.1:1").returncode in (0, 1)


def test_fix_does_nothing(shared_agent):
    """It prints; mounts, sysctls and capabilities are what they were."""
    def state():
        with open("/proc/self/mountinfo", encoding="utf-8") as f:
            mounts = f.read()
        return mounts, run("sh", "-c", "cat /proc/sys/kernel/kptr_restrict /proc/sys/vm/panic_on_oom").stdout
    before = state()
    done = telamon("doctor", "--fix", "--probe")
    assert "what would help" in done.stdout and state() == before
    wait_for("the agent", lambda: shared_agent.get("/-/healthy")[0] == 200)


def test_hooks_of_the_kernel():
    done = telamon("doctor", "hooks", "mark_victim")
    if done.returncode == 3:
        pytest.skip("this kernel has no BTF")
    assert done.returncode == 0 and re.search(r"^tracepoint +mark_victim\(", done.stdout, re.M)
    done = telamon("doctor", "hooks", "oom_kill_process")
    assert done.returncode == 0 and "function   oom_kill_process(struct oom_control *, const char *)" in done.stdout
    done = telamon("doctor", "hooks", "bpf_cgroup_*")
    assert done.returncode == 0 and re.search(r"^(kfunc|function) +bpf_cgroup_", done.stdout, re.M), done.stdout
    if "DECL_TAG 'bpf_kfunc'" in run("/usr/sbin/bpftool", "btf", "dump", "file", "/sys/kernel/btf/vmlinux").stdout:
        assert re.search(r"^kfunc +bpf_cgroup_acquire", done.stdout, re.M)
        assert re.search(r"^function +bpf_cgroup_link_dealloc", done.stdout, re.M)
    assert len(telamon("doctor", "hooks", "sched_*").stdout.splitlines()) > 5
    done = telamon("doctor", "hooks", "no_such_hook")
    assert done.returncode == 1 and "no_such_hook" in done.stderr


def test_hooks_say_whether_they_can_be_attached():
    """On a kernel that refuses trampolines a function is listed, and marked as out of reach."""
    done = telamon("doctor", "hooks", "oom_kill_process")
    if done.returncode == 3:
        pytest.skip("this kernel has no BTF")
    report = json.loads(telamon("doctor", "--probe", "--format", "json").stdout)
    decision = next(c for c in report["capabilities"] if c["capability"] == "oom_decision")
    fentry = next(v for v in decision["variants"] if v["name"] == "fentry")
    if fentry["reason"] == "ok":
        assert "attachable" in done.stdout and "not attachable" not in done.stdout
    else:
        assert f"not attachable: {fentry['reason']}" in done.stdout, done.stdout
    assert re.search(r"mark_victim\(.*\) +attachable", telamon("doctor", "hooks", "mark_victim").stdout)
