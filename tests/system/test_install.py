# SPDX-License-Identifier: Apache-2.0
"""What `make install` places, and that the unit, the example configuration and the DaemonSet fit the programs."""

import os
import re
import shutil
import textwrap

import pytest

from conftest import AGENT, BUILD, need, run

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
UNIT = "lib/systemd/system/telamon-agent.service"
ROUTE_UNIT = "lib/systemd/system/telamon-route.service"
EXAMPLE = os.path.join(ROOT, "packaging", "config", "agent.yaml")
STATEFULSET = os.path.join(ROOT, "packaging", "kubernetes", "route.yaml")
DAEMONSET = os.path.join(ROOT, "packaging", "kubernetes", "daemonset.yaml")
RIGHTS = {"BPF", "PERFMON", "DAC_READ_SEARCH", "SYS_PTRACE", "SYSLOG", "IPC_LOCK"}


def read(*path):
    with open(os.path.join(*path), encoding="utf-8") as f:
        return f.read()


def install(destination):
    done = run("meson", "install", "-C", BUILD, "--no-rebuild", "--quiet",
               env={**os.environ, "DESTDIR": str(destination)})
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """(destination, prefix below it) of an installation."""
    need("meson")
    destination = tmp_path_factory.mktemp("install")
    install(destination)
    agents = list(destination.glob("**/sbin/telamon-agent"))
    assert len(agents) == 1, agents
    return destination, agents[0].parent.parent


def settings(unit, key):
    return re.findall(rf"^{key}=(.*)$", unit, re.M)


def test_everything_is_in_its_place(tree):
    destination, prefix = tree
    for path in ("bin/telamon", "sbin/telamon-agent", "sbin/telamon-route", UNIT, ROUTE_UNIT, "lib/systemd/system/telamon.slice",
                 "share/telamon/prometheus/telamon-oom.rules.yml", "share/telamon/prometheus/telamon-oom.test.yml",
                 "share/telamon/prometheus/telamon-route.rules.yml", "share/telamon/prometheus/telamon-route.test.yml",
                 "share/doc/telamon/examples/agent.yaml", "share/doc/telamon/examples/route.yaml", "share/doc/telamon/examples/daemonset.yaml",
                 "share/doc/telamon/examples/kubernetes/route.yaml"):
        assert (prefix / path).is_file(), path
    for name in ("agent.yaml", "route.yaml"):
        assert len(list(destination.glob(f"**/etc/telamon/{name}"))) == 1


def test_manual_pages_are_in_their_sections(tree):
    _, prefix = tree
    if not os.path.isdir(os.path.join(BUILD, "docs", "man")) or not list((prefix / "share").glob("man/man*/telamon*")):
        pytest.skip("rst2man is missing (python3-docutils): no manual page was built")
    pages = {str(p.relative_to(prefix / "share/man")) for p in prefix.glob("share/man/man*/*")}
    assert pages == {"man8/telamon-agent.8", "man5/telamon-agent.yaml.5", "man1/telamon.1", "man1/telamon-oom.1",
                     "man1/telamon-events.1", "man1/telamon-doctor.1", "man1/telamon-lab.1", "man8/telamon-route.8",
                     "man5/telamon-route.yaml.5", "man1/telamon-route.1"}


def test_installed_programs_run(tree):
    _, prefix = tree
    for program in ("bin/telamon", "sbin/telamon-agent", "sbin/telamon-route"):
        done = run(prefix / program, "--version")
        assert done.returncode == 0 and re.fullmatch(r"telamon(-agent|-route)? \d+\.\d+\.\d+\n", done.stdout)


def test_own_configuration_stays(tree):
    destination, _ = tree
    config = next(destination.glob("**/etc/telamon/agent.yaml"))
    before = config.read_text(encoding="utf-8")
    config.write_text("oom: {enabled: false}\n", encoding="utf-8")
    install(destination)
    assert config.read_text(encoding="utf-8") == "oom: {enabled: false}\n"
    config.unlink()
    install(destination)
    assert config.read_text(encoding="utf-8") == before


def test_unit_names_what_was_installed(tree):
    destination, prefix = tree
    for name in (UNIT, ROUTE_UNIT):
        unit = read(prefix, name)
        assert not re.search(r"@\w+@", unit)
        command = settings(unit, "ExecStart")[0].split()
        for path in (command[0], command[1].removeprefix("--config.file=")):
            assert os.path.isfile(f"{destination}{path}"), path


def test_unit_protects_and_limits(tree):
    """OOM-611, OOM-621"""
    _, prefix = tree
    unit = read(prefix, UNIT)
    for key in ("CapabilityBoundingSet", "AmbientCapabilities"):
        assert {c.removeprefix("CAP_") for c in settings(unit, key)[0].split()} == RIGHTS
    assert settings(unit, "OOMScoreAdjust") == ["-999"]
    assert settings(unit, "MemoryMin") == ["24M"]
    # A cgroup's protection ends where its parent has none.
    slice_name = settings(unit, "Slice")[0]
    assert "-" not in slice_name
    assert settings(read(prefix, "lib/systemd/system", slice_name), "MemoryMin") == ["24M"]
    # These would hide /proc/kallsyms and the kernel log.
    for key in ("ProtectKernelTunables", "ProtectKernelLogs", "PrivateDevices", "ProtectControlGroups"):
        assert not settings(unit, key)


def test_systemd_accepts_the_unit(tree, tmp_path):
    need("systemd-analyze")
    _, prefix = tree
    for name in ("telamon-agent.service", "telamon-route.service", "telamon.slice"):
        text = read(prefix, "lib/systemd/system", name)
        (tmp_path / name).write_text(re.sub(r"ExecStart=\S+", f"ExecStart={AGENT}", text), encoding="utf-8")
    done = run("systemd-analyze", "verify", "--man=no", tmp_path / "telamon-agent.service",
               tmp_path / "telamon-route.service", env={**os.environ, "SYSTEMD_UNIT_PATH": f"{tmp_path}:"})
    told = [line for line in (done.stdout + done.stderr).splitlines() if "telamon" in line]
    assert not told, told


def test_gateway_unit_is_closed(tree, tmp_path):
    """GW-SC-4: no capability, a user of its own, and an exposure of at most 2.0."""
    need("systemd-analyze")
    _, prefix = tree
    unit = read(prefix, ROUTE_UNIT)
    for line in ("DynamicUser=yes", "StateDirectory=telamon-route", "ProtectSystem=strict", "SystemCallFilter=@system-service",
                 "CapabilityBoundingSet=", "NoNewPrivileges=yes"):
        assert f"\n{line}\n" in unit, line
    (tmp_path / "telamon-route.service").write_text(re.sub(r"ExecStart=\S+", f"ExecStart={AGENT}", unit), encoding="utf-8")
    done = run("systemd-analyze", "security", "--offline=yes", "--no-pager", "--threshold=20", tmp_path / "telamon-route.service")
    assert done.returncode == 0, done.stdout + done.stderr


def test_rights_of_the_unit_are_enough(make_agent):
    """OOM-621: with them alone, every capability is served as it is for an unlimited root."""
    need("setpriv")
    names = ",".join("+" + right.lower() for right in sorted(RIGHTS))
    prefix = ["setpriv", "--bounding-set=-all," + names, "--inh-caps=-all," + names, "--no-new-privs"]
    probe = run(*prefix, "true")
    if probe.returncode != 0:
        pytest.skip(f"setpriv: {probe.stderr.strip()}")

    def lives(agent):
        return {s for s in agent.metrics() if s.startswith("telamon_hook_info{")}

    full = make_agent()
    wanted = lives(full)
    assert full.stop() == 0
    limited = make_agent(prefix=prefix)
    status = dict(re.findall(r"^(Cap\w+):\t(\w+)$", read(f"/proc/{limited.pid}/status"), re.M))
    assert bin(int(status["CapEff"], 16)).count("1") <= len(RIGHTS)
    assert lives(limited) == wanted
    assert limited.metric("telamon_agent_protection", what="locked") == 1


def uncommented():
    """The example with the # of each key removed; text after `# ` stays a comment."""
    return re.sub(r"^( *)#(?=[a-z_]+: )", r"\1", read(EXAMPLE), flags=re.M)


@pytest.mark.parametrize("text", [read(EXAMPLE), uncommented()], ids=["as it is", "every key set"])
def test_example_configuration_is_valid(text, tmp_path):
    path = tmp_path / "agent.yaml"
    path.write_text(text, encoding="utf-8")
    done = run(AGENT, f"--config.file={path}", "--config.check")
    assert done.returncode == 0, done.stderr


def test_example_configuration_holds_each_key():
    documented = re.findall(r"^\| `([a-z_.]+)` ", read(ROOT, "docs", "configuration.md"), re.M)
    keys = set(re.findall(r"^ *#?([a-z_]+): ?", uncommented(), re.M))
    assert documented
    assert {key.split(".")[-1] for key in documented} <= keys


def test_daemonset_is_narrow():
    """OOM-623: host pids, not privileged, only the capabilities that are needed, host paths read-only but its own."""
    text = read(DAEMONSET)
    for line in ("hostPID: true", "privileged: false", "allowPrivilegeEscalation: false", "readOnlyRootFilesystem: true",
                 "drop: [ALL]", "path: /-/healthy", "path: /-/ready", "- operator: Exists"):
        assert line in text, line
    added = set(re.findall(r"^ {16}- ([A-Z_]+)\b", text, re.M))
    assert added == RIGHTS | {"SYS_RESOURCE"}
    mounts = dict(re.findall(r"- \{name: ([a-z-]+), (mountPath: .*)\}", text))
    paths = dict(re.findall(r"- name: ([a-z-]+)\n +hostPath: \{path: ([^,]+),", text))
    assert set(paths.values()) >= {"/sys/fs/cgroup", "/run", "/var/lib/docker", "/var/lib/containers", "/var/log/pods",
                                   "/var/log/containers"}
    for name in paths:
        assert name == "state" or "readOnly: true" in mounts[name], name


def test_configuration_of_the_daemonset_is_valid(tmp_path):
    text = read(DAEMONSET).split("agent.yaml: |\n")[1].split("---\n")[0]
    path = tmp_path / "agent.yaml"
    path.write_text(textwrap.dedent(text), encoding="utf-8")
    done = run(AGENT, f"--config.file={path}", "--config.check")
    assert done.returncode == 0, done.stderr


def test_gateway_in_kubernetes_is_closed(tmp_path):
    """GW-LC-4, GW-SC-4: the two probes and no other, no right, and a configuration that loads."""
    text = read(STATEFULSET)
    for line in ("pod-security.kubernetes.io/enforce: restricted", "runAsNonRoot: true", "allowPrivilegeEscalation: false",
                 "readOnlyRootFilesystem: true", "drop: [ALL]", "seccompProfile: {type: RuntimeDefault}"):
        assert line in text, line
    assert "add:" not in text and "hostPath" not in text
    assert re.findall(r"(\w+)Probe:\n +httpGet: \{path: (\S+),", text) == [("liveness", "/-/healthy"), ("readiness", "/-/ready")]
    path = tmp_path / "route.yaml"
    path.write_text(textwrap.dedent(text.split("route.yaml: |\n")[1].split("---\n")[0]), encoding="utf-8")
    done = run(os.path.join(BUILD, "telamon-route"), f"--config.file={path}", "--config.check")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("manifest, kinds", [(DAEMONSET, ["Namespace", "ConfigMap", "DaemonSet"]),
                                             (STATEFULSET, ["Namespace", "ConfigMap", "Service", "StatefulSet"])])
def test_manifests_parse_as_yaml(manifest, kinds):
    python = shutil.which("python3", path="/usr/bin") or "python3"
    if run(python, "-c", "import yaml").returncode != 0:
        pytest.skip("python3-yaml is missing")
    done = run(python, "-c", "import sys, yaml; print([d['kind'] for d in yaml.safe_load_all(open(sys.argv[1]))])", manifest)
    assert done.stdout.strip() == str(kinds), done.stderr
