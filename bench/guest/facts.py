# SPDX-License-Identifier: Apache-2.0
"""One OOM kill whose every fact is known: FILE gets the truth.

A pod of two containers has the limit. The victim, in a pid namespace, with threads, shared memory, another user and name, sits
in the first; the trigger in the second asks for the page that is not there. Both are at rest until then, so /proc tells the truth.
"""

import json
import os
import subprocess
import sys
import time

ROOT = "/sys/fs/cgroup"
UID = "7c2f1d1e-5b1e-4a51-9d2c-3f0a6b7c8d9e"
POD = f"/kubepods/burstable/pod{UID}"
VICTIM, TRIGGER = "a1" * 32, "b2" * 32
TASKS = "/run/containerd/io.containerd.runtime.v2.task/k8s.io"
LIMIT = 96 << 20
CONTAINER_LIMIT = 1 << 30
ARGUMENTS = ["--shard=7", "--password=geheim"]


def read(path):
    with open(path, encoding="utf-8", errors="replace") as f:
        return f.read()


def write(path, text):
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)


def make_container(container, name):
    os.makedirs(f"{TASKS}/{container}")
    write(f"{TASKS}/{container}/config.json", json.dumps({
        "ociVersion": "1.0.2", "hostname": "search", "linux": {"cgroupsPath": f"{POD}/{container}"}, "annotations": {
            "io.kubernetes.cri.container-type": "container", "io.kubernetes.cri.container-name": name,
            "io.kubernetes.cri.sandbox-name": "search-7d9f8c6b5-x2lqp", "io.kubernetes.cri.sandbox-namespace": "shop",
            "io.kubernetes.cri.sandbox-uid": UID, "io.kubernetes.cri.image-name": f"registry.example/{name}:1"}}))
    os.mkdir(f"{ROOT}{POD}/{container}")
    write(f"{ROOT}{POD}/{container}/memory.max", str(CONTAINER_LIMIT))


def make_pod():
    path = ROOT
    for part in POD.split("/")[1:]:
        write(f"{path}/cgroup.subtree_control", "+memory")
        path += "/" + part
        os.mkdir(path)
    write(f"{path}/cgroup.subtree_control", "+memory")
    write(f"{path}/memory.max", str(LIMIT))
    write(f"{path}/memory.swap.max", "0")
    make_container(VICTIM, "search")
    make_container(TRIGGER, "sidecar")


def children(pid):
    return [int(p) for p in read(f"/proc/{pid}/task/{pid}/children").split()]


def hog(container, options, *rest):
    return ["bench_load", "hog", "-c", f"{ROOT}{POD}/{container}/cgroup.procs", *options, *rest]


def status(pid):
    return {line.split(":")[0]: line.split(":", 1)[1].strip() for line in read(f"/proc/{pid}/status").splitlines()}


def facts_of(pid):
    facts = status(pid)
    mapped = [line.split() for line in read(f"/proc/{pid}/smaps_rollup").splitlines()[1:]]
    return {
        "pid": pid, "status": facts, "exe": os.readlink(f"/proc/{pid}/exe"), "cwd": os.readlink(f"/proc/{pid}/cwd"),
        "args": read(f"/proc/{pid}/cmdline").split("\0")[:-1], "adj": int(read(f"/proc/{pid}/oom_score_adj")),
        "starttime": int(read(f"/proc/{pid}/stat").rsplit(") ", 1)[1].split()[19]),
        "smaps": {row[0].rstrip(":"): int(row[1]) * 1024 for row in mapped},
        "parents": parents_of(pid),
    }


def parents_of(pid):
    found = []
    while pid > 1:
        pid = int(status(pid)["PPid"])
        if pid:
            found.append({"pid": pid, "comm": read(f"/proc/{pid}/comm")[:-1], "exe": os.readlink(f"/proc/{pid}/exe")})
    return found


def moment():
    pod = ROOT + POD
    return {
        "wall_ns": time.time_ns(), "boot_ns": time.clock_gettime_ns(time.CLOCK_BOOTTIME),
        "meminfo": read("/proc/meminfo"), "loadavg": read("/proc/loadavg"), "psi": read("/proc/pressure/memory"),
        "pod_psi": read(pod + "/memory.pressure"), "pod_stat": read(pod + "/memory.stat"),
        "pod_events": read(pod + "/memory.events"), "pod_usage": int(read(pod + "/memory.current")),
        "victim_usage": int(read(f"{pod}/{VICTIM}/memory.current")), "vmstat": read("/proc/vmstat"),
    }


def main():
    make_pod()
    time.sleep(2)  # a kubelet takes longer between the two
    victim_parent = subprocess.Popen(  # pylint: disable=consider-using-with
        ["unshare", "--pid", "--fork"] + hog(VICTIM, ["-a", "500", "-u", "1000", "-C", "/var/tmp", "-n", "bench victim",
                                                      "-t", "3", "-s", "4", "-m", "56"], "hold", *ARGUMENTS))
    trigger = subprocess.Popen(  # pylint: disable=consider-using-with
        ["sh", "-c", 'exec "$@" 3<&0', "sh"] + hog(TRIGGER, ["-a", "-1000", "-e", "48", "-w"], "eat"), stdin=subprocess.PIPE)
    time.sleep(5)
    pid = children(victim_parent.pid)[0]
    truth = {
        "limit": LIMIT, "container_limit": CONTAINER_LIMIT, "pod": POD, "uid": UID, "victim_container": VICTIM, "trigger_container": TRIGGER,
        "ids": {path: os.stat(ROOT + path).st_ino for path in ("", POD, f"{POD}/{VICTIM}", f"{POD}/{TRIGGER}")},
        "victim": facts_of(pid), "trigger": facts_of(trigger.pid), "hz": os.sysconf("SC_CLK_TCK"), "page": os.sysconf("SC_PAGE_SIZE"),
        "hostname": os.uname().nodename,
        "boot_id": read("/proc/sys/kernel/random/boot_id").strip(), "cpus": os.cpu_count(), "before": moment(),
    }
    trigger.stdin.close()
    victim_parent.wait()
    truth["after"] = moment()
    time.sleep(2)
    truth["settled"] = moment()
    trigger.kill()
    with open(sys.argv[1], "w", encoding="utf-8") as f:
        json.dump(truth, f)


main()
