# SPDX-License-Identifier: Apache-2.0
"""Real containers by runc, with the cgroup paths, annotations and runtime files of Kubernetes and others."""

import json
import os
import shutil
import subprocess
import uuid

import pytest

from conftest import Agent, need, run, wait_for

HOG = ["/bin/awk", 'BEGIN { s = "0123456789"; while (1) s = s s }']
SLEEP = ["/bin/sleep", "600"]
# Grows by 4 MiB and stays: big enough to be chosen, never asks again.
SIT = ["/bin/awk", 'BEGIN { s = "0123456789abcdef"; while (length(s) < 4194304) s = s s; system("sleep 600") }']


def busybox_root(directory):
    binary = os.path.join(directory, "bin")
    os.makedirs(binary)
    shutil.copy("/bin/busybox", os.path.join(binary, "busybox"))
    for applet in ("awk", "sleep", "sh", "true"):
        os.symlink("busybox", os.path.join(binary, applet))
    for name in ("proc", "dev", "sys"):
        os.mkdir(os.path.join(directory, name))


class Runtime:
    """runc with its state below a runtime directory that the agent reads as /run."""

    def __init__(self, directory):
        self.run_root = os.path.join(directory, "rt")
        self.directory = directory
        self.rootfs = os.path.join(directory, "rootfs")
        os.makedirs(self.rootfs)
        busybox_root(self.rootfs)
        self.started = []

    def create(self, cid, args, cgroups_path, annotations=None, limit=None, containerd=None, adj=0):
        """Starts a container; `containerd` names the namespace below which its config.json is put, as containerd does."""
        bundle = os.path.join(self.directory, "bundle-" + cid[:12])
        os.makedirs(bundle)
        made = run("runc", "spec", cwd=bundle)
        assert made.returncode == 0, made.stderr
        path = os.path.join(bundle, "config.json")
        with open(path, encoding="utf-8") as f:
            spec = json.load(f)
        spec["root"] = {"path": self.rootfs, "readonly": True}
        spec["process"].update({"terminal": False, "args": args, "oomScoreAdj": adj, "rlimits": []})
        spec["hostname"] = "box"
        spec["linux"]["cgroupsPath"] = cgroups_path
        spec["linux"]["resources"] = {"memory": {"limit": limit}} if limit else {}
        spec["linux"]["seccomp"] = None
        # What needs rights that a test host may lack.
        spec["mounts"] = [m for m in spec["mounts"] if m["type"] in ("proc", "tmpfs")]
        spec["annotations"] = annotations or {}
        with open(path, "w", encoding="utf-8") as f:
            json.dump(spec, f)
        if containerd:
            task = os.path.join(self.run_root, "containerd/io.containerd.runtime.v2.task", containerd, cid)
            os.makedirs(task)
            shutil.copy(path, os.path.join(task, "config.json"))
        self.started.append(cid)
        # To a file: a detached container keeps what it inherits, and a pipe would never end.
        log = os.path.join(bundle, "log")
        with open(log, "wb") as out:
            made = subprocess.run(["runc", "--root", os.path.join(self.run_root, "runc"), "run", "-d", "--bundle",
                                   bundle, cid], stdin=subprocess.DEVNULL, stdout=out, stderr=out, timeout=60,
                                  check=False)
        if made.returncode != 0:  # the limit may strike before runc is done
            with open(log, encoding="utf-8", errors="replace") as f:
                text = f.read()
            assert "oom" in text.lower() or "memory" in text.lower(), text

    def close(self):
        for cid in reversed(self.started):
            run("runc", "--root", os.path.join(self.run_root, "runc"), "delete", "-f", cid)


@pytest.fixture(name="runtime")
def fixture_runtime(tmp_path):
    need("runc", "busybox")
    runtime = Runtime(str(tmp_path))
    yield runtime
    runtime.close()


def agent_for(make_agent, runtime, more=""):
    return make_agent(f"identity: {{roots: {{run: {runtime.run_root}, docker: {runtime.directory}/docker, "
                      f"containers: {runtime.directory}/containers, pods_log: {runtime.directory}/log}}}}\n" + more)


def cid():
    return uuid.uuid4().hex + uuid.uuid4().hex


def cri(kind, name, sandbox, uid, pod="search-7d9f8c6b5-x2lqp", namespace="shop"):
    return {
        "io.kubernetes.cri.container-type": kind,
        "io.kubernetes.cri.container-name": name,
        "io.kubernetes.cri.sandbox-id": sandbox,
        "io.kubernetes.cri.sandbox-name": pod,
        "io.kubernetes.cri.sandbox-namespace": namespace,
        "io.kubernetes.cri.sandbox-uid": uid,
        "io.kubernetes.cri.image-name": "registry.example/search:1.4",
    }


def kill_of(agent, container):
    records = wait_for("a record", lambda: [e for e in agent.events("type=oom.kill") if
                                            e.get("container.id") == container])
    return records[0]


def remove_pod(pod_path):
    for root in ("/sys/fs/cgroup/memory", "/sys/fs/cgroup"):
        path = root + pod_path
        while len(path) > len(root) + 1:
            try:
                os.rmdir(path)
            except OSError:
                break
            path = os.path.dirname(path)


def test_pod_of_containerd(make_agent, runtime):
    uid, sandbox, app, side = str(uuid.uuid4()), cid(), cid(), cid()
    pod_path = f"/kubepods/burstable/pod{uid}"
    agent = agent_for(make_agent, runtime)
    try:
        runtime.create(sandbox, SLEEP, f"{pod_path}/{sandbox}", cri("sandbox", "", sandbox, uid), containerd="k8s.io")
        runtime.create(side, SLEEP, f"{pod_path}/{side}", cri("container", "sidecar", sandbox, uid),
                       containerd="k8s.io")
        runtime.create(app, HOG, f"{pod_path}/{app}", cri("container", "search", sandbox, uid), limit=24 << 20,
                       containerd="k8s.io")
        event = kill_of(agent, app)
        assert event["k8s.pod.name"] == "search-7d9f8c6b5-x2lqp"
        assert event["k8s.namespace.name"] == "shop"
        assert event["k8s.pod.uid"] == uid
        assert event["k8s.container.name"] == "search"
        assert event["container.image.name"] == "registry.example/search:1.4"
        assert event["telamon.workload"] == "search"
        assert event["telamon.container.confirmed"] is True
        assert event["telamon.cgroup.path"] == f"{pod_path}/{app}"
        assert event["telamon.oom.limit.kind"] == "container"
        assert event["telamon.oom.limit.max"] == 24 << 20
        assert event["process.executable.path"] == "/bin/busybox"
        assert event["process.command_args"][0] == "/bin/awk"
        assert event["process.vpid"] == 1 and event["process.pid"] > 1
        labels = {"kind": "k8s", "namespace": "shop", "workload": "search", "container": "search"}
        wait_for("the workload's counter",
                 lambda: agent.metric("telamon_oom_kills_total", scope="memcg", **labels) == 1)
        assert agent.metric("telamon_oom_limit_kills_total", kind="k8s", workload="search", level="container") == 1
        # Never an id, a pod name or a path in a label.
        exposed = agent.get("/metrics")[1]
        assert app not in exposed and uid not in exposed and "x2lqp" not in exposed
    finally:
        runtime.close()
        remove_pod(pod_path)


def test_limit_of_the_pod_hits_another_container(make_agent, runtime):
    """The sidecar asks, the bigger container with the higher adj dies, at the limit of the pod above both."""
    uid, sandbox, app, side = str(uuid.uuid4()), cid(), cid(), cid()
    pod_path = f"/kubepods/burstable/pod{uid}"
    agent = agent_for(make_agent, runtime)
    root = "/sys/fs/cgroup/memory" if os.path.isdir("/sys/fs/cgroup/memory") else "/sys/fs/cgroup"
    try:
        runtime.create(sandbox, SLEEP, f"{pod_path}/{sandbox}", cri("sandbox", "", sandbox, uid), containerd="k8s.io")
        name = "memory.limit_in_bytes" if root.endswith("memory") else "memory.max"
        with open(f"{root}{pod_path}/{name}", "w", encoding="ascii") as f:
            f.write(str(40 << 20))
        runtime.create(app, SIT, f"{pod_path}/{app}", cri("container", "search", sandbox, uid), containerd="k8s.io",
                       adj=1000)
        wait_for("the container that sits there", lambda: int(open(
            f"{root}{pod_path}/{app}/" + ("memory.usage_in_bytes" if root.endswith("memory") else "memory.current"),
            encoding="ascii").read()) > 4 << 20)
        runtime.create(side, HOG, f"{pod_path}/{side}", cri("container", "sidecar", sandbox, uid), containerd="k8s.io")
        event = kill_of(agent, app)
        assert event["telamon.oom.limit.cgroup.path"] == pod_path
        assert event["telamon.oom.limit.kind"] == "k8s_pod"
        assert event["telamon.oom.limit.distance"] == 1
        assert event["telamon.oom.limit.max"] == 40 << 20
        assert event["telamon.oom.trigger.is_victim"] is False
        assert event["telamon.oom.trigger.container.id"] == side
        assert event["telamon.oom.trigger.k8s.container.name"] == "sidecar"
        assert agent.metric("telamon_oom_trigger_foreign_total") >= 1
        assert agent.metric("telamon_oom_limit_kills_total", level="k8s_pod", workload="search") >= 1
    finally:
        runtime.close()
        remove_pod(pod_path)


def test_container_known_by_runc_state_alone(make_agent, runtime):
    """A path of its own (docker's custom parent): the runtime's state vouches for it."""
    container = cid()
    agent = agent_for(make_agent, runtime)
    try:
        runtime.create(container, HOG, f"/docker/{container}", limit=24 << 20)
        event = kill_of(agent, container)
        assert event["telamon.container.confirmed"] is True
        assert event["telamon.cgroup.path"] == f"/docker/{container}"
        assert agent.metric("telamon_oom_kills_total", kind="docker") == 1
    finally:
        runtime.close()
        remove_pod("/docker")


def test_many_short_containers_are_named(make_agent, runtime):
    """Ten containers, each dead within milliseconds: their names were read before the kill, or are found while the record waits."""
    agent = agent_for(make_agent, runtime)
    uid, sandbox = str(uuid.uuid4()), cid()
    pod_path = f"/kubepods/burstable/pod{uid}"
    ids = [cid() for _ in range(10)]
    try:
        for i, container in enumerate(ids):
            runtime.create(container, HOG, f"{pod_path}/{container}",
                           cri("container", f"job{i}", sandbox, uid, pod="job-abc", namespace="batch"),
                           limit=16 << 20, containerd="k8s.io")
        for i, container in enumerate(ids):
            assert kill_of(agent, container)["k8s.container.name"] == f"job{i}"
        assert agent.metric("telamon_oom_kills_total", namespace="batch") == len(ids)
    finally:
        runtime.close()
        remove_pod(pod_path)


def test_forged_names_are_no_containers(make_agent, cgroup, own, tmp_path):
    """A cgroup that only looks like a container keeps its id in the record, but is kind other everywhere."""
    from conftest import hog_command
    agent = make_agent(f"identity: {{roots: {{run: {tmp_path}/rt}}}}\n")
    assert isinstance(agent, Agent)
    container = cid()
    for path in (f"{own}/cri-containerd-{container}.scope", f"{own}/docker/{container}"):
        group = cgroup(path).limit(24 << 20)
        process = group.spawn(*hog_command())
        assert process.wait(60) == -9
        event = wait_for("a record", lambda p=path: agent.kills(p))[0]
        assert event["telamon.cgroup.kind"] == "other"
        assert "k8s.pod.name" not in event and event.get("telamon.container.confirmed") in (False, None)
    assert agent.metric("telamon_oom_kills_total", kind="other") == 2


def test_pod_label_when_wanted(make_agent, runtime):
    agent = agent_for(make_agent, runtime, "oom: {metrics: {pod_label: true}}\n")
    uid, sandbox, app = str(uuid.uuid4()), cid(), cid()
    pod_path = f"/kubepods/burstable/pod{uid}"
    try:
        runtime.create(app, HOG, f"{pod_path}/{app}", cri("container", "search", sandbox, uid), limit=16 << 20,
                       containerd="k8s.io")
        kill_of(agent, app)
        assert agent.metric("telamon_oom_kills_total", pod="search-7d9f8c6b5-x2lqp", workload="search") == 1
    finally:
        runtime.close()
        remove_pod(pod_path)
