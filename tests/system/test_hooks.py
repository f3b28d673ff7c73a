# SPDX-License-Identifier: Apache-2.0
"""Every hook variant that this host can run, against real kills and cgroups (tests/live)."""

import os
import shutil
import subprocess

import pytest

from conftest import wait_for

LIVE = os.path.join(os.environ.get("TELAMON_BUILD", "build"), "tests", "live")

TP_BTF = [
    "oom_kill/tp_btf_task", "oom_kill/tp_btf_task_direct", "oom_kill/tp_btf_pid", "oom_kill/tp_btf_pid_direct",
    "oom_signal/tp_btf", "oom_signal/tp_btf_direct", "oom_reclaim/tp_btf", "oom_reclaim/tp_btf_memcg",
    "oom_reaper/tp_btf", "oom_exit/tp_btf", "oom_args/tp_btf",
]
RAW_TP = ["oom_kill/raw_tp", "oom_signal/raw_tp", "oom_reclaim/raw_tp", "oom_reaper/raw_tp", "oom_exit/raw_tp",
          "oom_args/raw_tp"]
FENTRY = ["oom_decision/fentry", "oom_decision/fentry_direct", "oom_attempt/fentry", "oom_invoke/fentry",
          "oom_limit/fentry"]
SIGNALS = ["oom_signal/tp_btf", "oom_signal/tp_btf_direct", "oom_signal/raw_tp", "oom_signal/tracepoint"]


def disable(variants):
    return [word for variant in variants for word in ("--disable", variant)]


VARIANTS = {
    "best": [],
    "tracepoint_tier": ["--tracepoint"],
    "kprobe": disable(FENTRY),
    "raw_tp": ["--tracepoint"] + disable(TP_BTF),
    "direct": ["--direct"],
    "classic": ["--tracepoint"] + disable(TP_BTF + RAW_TP),
    "no_btf": ["--no-btf"],
    "no_signal": ["--tracepoint"] + disable(SIGNALS),
}


def run(program, *options):
    result = subprocess.run([os.path.join(LIVE, program), *options], stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, text=True, timeout=120, check=False)
    if result.returncode == 77:
        pytest.skip(result.stdout.strip())
    bad = [line for line in result.stdout.splitlines() if line.startswith("not ok")]
    assert result.returncode == 0 and not bad, result.stdout
    return result.stdout


@pytest.mark.parametrize("variant", VARIANTS)
def test_oom_hooks(variant):
    assert "victim record" in run("oom_hooks", *VARIANTS[variant])


UNPRIVILEGED = ["setpriv", "--bounding-set", "-sys_admin,-sys_resource,-sys_module", "--inh-caps", "-all"]


def states(prefix, *options):
    """What oom_hooks says of each capability: name, live variant, refused variants with their reasons."""
    if not shutil.which("setpriv"):
        pytest.skip("setpriv is missing")
    result = subprocess.run([*prefix, os.path.join(LIVE, "oom_hooks"), *options], text=True, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, timeout=120, check=False)
    if result.returncode == 77:
        pytest.skip(result.stdout.strip())
    assert result.returncode == 0, result.stdout
    lines = [line[2:].split() for line in result.stdout.splitlines() if line.startswith("# oom_")]
    return {words[0]: words[1:] for words in lines}


def test_least_privilege():
    """CAP_BPF and CAP_PERFMON are enough: without CAP_SYS_ADMIN the same variants are live."""
    privileged, unprivileged = states([], "--scenario", "single"), states(UNPRIVILEGED, "--scenario", "single")
    assert {k: v[0] for k, v in privileged.items()} == {k: v[0] for k, v in unprivileged.items()}


def test_tracefs_is_reached_without_a_mount():
    """Nothing is mounted into the host's tree; without the right to a detached mount the classic tracepoints are refused."""
    if os.path.isdir("/sys/kernel/tracing/events") or os.path.isdir("/sys/kernel/debug/tracing/events"):
        pytest.skip("tracefs is mounted here")
    with open("/proc/self/mounts", encoding="utf-8") as mounts:
        before = mounts.read()
    assert states([], "--no-btf", "--load")["oom_kill"][0] == "tracepoint"
    assert "tracepoint=no_file(0)" in states(UNPRIVILEGED, "--no-btf", "--load")["oom_kill"]
    with open("/proc/self/mounts", encoding="utf-8") as mounts:
        assert mounts.read() == before


@pytest.mark.parametrize("options", [[], ["--direct"], ["--inotify"]], ids=["full", "direct", "inotify"])
def test_cgroup_track(options):
    assert "mkdir seen" in run("cgroup_track", *options)


def test_cgroup_track_by_few_watches():
    """A table of three is full at once: counted, told, and nothing beyond it."""
    out = run("cgroup_track", "--inotify", "--watches", "3")
    assert "refused is counted" in out and "below it nothing is told" in out


def test_agent_by_inotify(make_agent, cgroup):
    """Without the right to load programs the agent watches directories: a new cgroup is known before any rescan."""
    if not shutil.which("setpriv"):
        pytest.skip("setpriv is missing")
    agent = make_agent("identity: {rescan: 1h}\n",
                       prefix=["setpriv", "--bounding-set", "-sys_admin,-bpf,-perfmon", "--inh-caps", "-all"])
    assert agent.live("cgroup_track") == "inotify"
    made = cgroup("/telamon-inotify")
    root = os.path.dirname(made.directory)

    def all_watched():
        directories = sum(1 for _ in os.walk(root))
        return directories == agent.metric("telamon_identity_watches") == agent.metric("telamon_identity_entries")

    wait_for("a watch and an identity per cgroup", all_watched)
    made.remove()
    wait_for("its tombstone", lambda: agent.metric("telamon_identity_tombstones") >= 1)
    wait_for("its watch taken back", all_watched)
    assert agent.metric("telamon_identity_watches_refused_total") == 0
