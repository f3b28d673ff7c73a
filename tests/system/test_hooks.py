# SPDX-License-Identifier: Apache-2.0
"""Every hook variant that this host can run, against real kills and cgroups (tests/live)."""

import os
import shutil
import subprocess

import pytest

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


def test_least_privilege():
    """CAP_BPF and CAP_PERFMON are enough: without CAP_SYS_ADMIN the same variants are live."""
    if not shutil.which("setpriv"):
        pytest.skip("setpriv is missing")
    command = ["setpriv", "--bounding-set", "-sys_admin,-sys_resource,-sys_module", "--inh-caps", "-all"]
    outputs = []
    for prefix in [[], command]:
        result = subprocess.run([*prefix, os.path.join(LIVE, "oom_hooks"), "--scenario", "single"], text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120, check=False)
        if result.returncode == 77:
            pytest.skip(result.stdout.strip())
        assert result.returncode == 0, result.stdout
        outputs.append([line for line in result.stdout.splitlines() if line.startswith("# oom_")])
    assert outputs[0] == outputs[1]


@pytest.mark.parametrize("options", [[], ["--direct"]], ids=["full", "direct"])
def test_cgroup_track(options):
    assert "mkdir seen" in run("cgroup_track", *options)
