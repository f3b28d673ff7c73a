# SPDX-License-Identifier: Apache-2.0
"""The truth about the kill of the facts benchmark, and telamon's record held against it, field by field."""

import re
import time
from datetime import datetime

P = "telamon.oom."
BATCH = 64  # pages that one CPU may keep to itself


class Truth:
    """What the guest's facts.py wrote, and the kernel log."""

    def __init__(self, raw, dmesg):
        self.raw, self.dmesg = raw, dmesg
        self.before, self.after, self.settled = raw["before"], raw["after"], raw["settled"]
        self.victim, self.trigger = raw["victim"], raw["trigger"]
        self.pid, self.trigger_pid = self.victim["pid"], self.trigger["pid"]
        self.comm, self.trigger_comm = self.victim["status"]["Name"], self.trigger["status"]["Name"]
        self.pod, self.limit, self.page = raw["pod"], raw["limit"], raw["page"]
        self.victim_path = f"{self.pod}/{raw['victim_container']}"
        self.trigger_path = f"{self.pod}/{raw['trigger_container']}"
        self.error = raw["cpus"] * BATCH * self.page

    def kib(self, key):
        return int(self.victim["status"][key].split()[0]) * 1024

    def kills(self):
        def count(moment):
            return int(re.search(r"^oom_kill (\d+)$", moment["vmstat"], re.MULTILINE).group(1))

        return count(self.settled) - count(self.before)

    def clocks(self):
        """Clock times in which the kill may have been, by the second."""
        first, last = self.before["wall_ns"] // 10**9, self.after["wall_ns"] // 10**9
        return [time.strftime("%H:%M:%S", time.gmtime(s)) for s in range(first, last + 2)]

    def load_is(self, index, value):
        loads = [float(m["loadavg"].split()[index]) for m in (self.before, self.after, self.settled)]
        return min(loads) - 0.005 <= value <= max(loads) + 0.005

    def logged(self, pattern):
        """First match of the dump that belongs to this kill, which is the first one of the guest."""
        found = re.search(pattern, self.dmesg, re.MULTILINE)
        return found.group(1) if found else None

    def stat_at_kill(self, key):
        text = self.logged(r"Memory cgroup stats for [^\n]*:\n?((?:.*\n)*?)(?=.*Tasks state)") or ""
        found = re.search(rf"\b{key} (\d+)", text)
        return int(found.group(1)) if found else None

    @staticmethod
    def stat(moment, key):
        found = re.search(rf"^{key} (\d+)$", moment["pod_stat"], re.MULTILINE)
        return int(found.group(1)) if found else None

    def stat_range(self, key):
        """memory.stat is read after the kill, while the victim goes and the trigger grows."""
        values = [self.stat_at_kill(key), *(self.stat(m, key) for m in (self.before, self.after, self.settled))]
        values = [v for v in values if v is not None]
        return min(values) - self.error, max(values) + self.error

    def meminfo_range(self, key):
        values = [int(re.search(rf"^{key}: +(\d+)", m["meminfo"], re.MULTILINE).group(1)) * 1024
                  for m in (self.before, self.after, self.settled)]
        # At the kill, the cgroup was full; what CPUs keep in batches and the observers take comes on top.
        grown = self.limit - self.before["pod_usage"] if key in ("MemFree", "MemAvailable") else 0
        slack = (4 << 20) if key not in ("MemTotal", "SwapTotal", "SwapFree") else 0
        return min(values) - grown - slack, max(values) + slack

    def psi_range(self, file, kind, key):
        values = [float(re.search(rf"^{kind} .*\b{key}=([0-9.]+)", m[file], re.MULTILINE).group(1))
                  for m in (self.before, self.after, self.settled)]
        return min(values), max(values)


def wall_ns(text):
    head, fraction = text.rstrip("Z").split(".") if "." in text else (text.rstrip("Z"), "0")
    return int(datetime.fromisoformat(head + "+00:00").timestamp()) * 10**9 + int(fraction.ljust(9, "0")[:9])


def created_ns(t):
    """Wall time of the start of the victim: its ticks after boot, on the clock of the moment before."""
    boot_wall = t.before["wall_ns"] - t.before["boot_ns"]
    return boot_wall + t.victim["starttime"] * 10**9 // t.raw["hz"]


def equal(t):
    """Fields with one right value."""
    v, smaps = t.victim, t.victim["smaps"]
    args = [a if not a.startswith("--password=") else "--password=<redacted>" for a in v["args"]]
    return {
        "host.name": t.raw["hostname"], "process.pid": t.pid, "process.vpid": int(v["status"]["NSpid"].split()[-1]),
        "process.parent_pid": int(v["status"]["PPid"]), "process.executable.path": v["exe"],
        "process.executable.name": v["exe"].rsplit("/", 1)[1], "process.command_args": args,
        "process.working_directory": v["cwd"], "process.user.id": int(v["status"]["Uid"].split()[0]),
        "process.user.name": "bench",
        P + "args_source": "exec", P + "thread": t.pid, P + "comm": t.comm, P + "threads": int(v["status"]["Threads"]),
        P + "role": "chosen", P + "attempts": 1, P + "chosen_pid": t.pid, P + "members.count": t.kills(),
        P + "victim.swap": t.kib("VmSwap"), P + "victim.total_vm": t.kib("VmSize"), P + "victim.adj": v["adj"],
        P + "victim.rss.shmem": smaps["Rss"] - smaps["Anonymous"] - t.kib("RssFile"),
        P + "trigger.pid": t.trigger_pid, P + "trigger.thread": t.trigger_pid, P + "trigger.comm": t.trigger_comm,
        P + "trigger.executable.path": t.trigger["exe"], P + "trigger.is_victim": False,
        P + "trigger.cgroup.path": t.trigger_path, P + "trigger.container.id": t.raw["trigger_container"],
        P + "trigger.container.name": "sidecar", P + "trigger.k8s.pod.name": "search-7d9f8c6b5-x2lqp",
        P + "trigger.k8s.container.name": "sidecar",
        P + "gfp_mask": t.logged(r"invoked oom-killer: gfp_mask=(\S+),"),
        P + "order": int(t.logged(r"invoked oom-killer: .*\border=(-?\d+)")), P + "pages_requested": 1,
        P + "scope": "memcg", P + "scope.bytes": t.limit, P + "cpuset": t.logged(r"oom-kill:.*\bcpuset=([^,]*),mems"),
        P + "limit.cgroup.path": t.pod, P + "limit.cgroup.id": str(t.raw["ids"][t.pod]), P + "limit.counter": "memory",
        P + "limit.max": t.limit, P + "limit.usage": int(t.logged(r"memory: usage (\d+)kB")) * 1024,
        P + "limit.swap.max": 0, P + "limit.swap.usage": int(t.logged(r"swap: usage (\d+)kB")) * 1024,
        P + "limit.peak": t.limit, P + "limit.oom_group": False, P + "limit.distance": 1, P + "limit.certain": True,
        P + "limit.kind": "k8s_pod", P + "limit.k8s.pod.uid": t.raw["uid"], P + "limit.k8s.pod.name": "search-7d9f8c6b5-x2lqp",
        "telamon.cgroup.path": t.victim_path, "telamon.cgroup.id": str(t.raw["ids"][t.victim_path]),
        "telamon.cgroup.hierarchy": "v2", P + "cgroup.max": t.raw["container_limit"], "telamon.cgroup.max": t.raw["container_limit"],
        "telamon.cgroup.kind": "k8s", "container.id": t.raw["victim_container"], "container.name": "search",
        "container.image.name": "registry.example/search:1", "telamon.container.confirmed": True,
        "k8s.namespace.name": "shop", "k8s.pod.name": "search-7d9f8c6b5-x2lqp", "k8s.pod.uid": t.raw["uid"],
        "k8s.container.name": "search", "telamon.k8s.qos": "Burstable", "telamon.workload": "search",
        P + "host.total": t.meminfo_range("MemTotal")[0],
    }


def ranges(t):
    """Fields that moved while they were read, or that the kernel keeps in batches: (lowest, highest)."""
    smaps, usage = t.victim["smaps"], t.before["victim_usage"]
    points = (smaps["Rss"] + t.kib("VmPTE")) // t.page + t.victim["adj"] * (t.limit // t.page) // 1000
    found = {
        P + "victim.rss.anon": (smaps["Anonymous"] - t.error, smaps["Anonymous"] + t.error),
        P + "victim.rss.file": (t.kib("RssFile"), t.kib("RssFile") + t.error),
        P + "victim.pgtables": (t.kib("VmPTE"), t.kib("VmPTE") + 4 * t.page),
        P + "victim.points": (points - t.error // t.page, points + t.error // t.page),
        P + "telamon.cgroup.usage": (usage - t.error, usage + t.error), "telamon.cgroup.usage": (usage - t.error, usage + t.error),
        P + "host.load1": tuple(sorted((min(float(m["loadavg"].split()[0]) for m in (t.before, t.after, t.settled)),
                                        max(float(m["loadavg"].split()[0]) for m in (t.before, t.after, t.settled))))),
        P + "time.to_exit": (0, (t.settled["boot_ns"] - t.before["boot_ns"]) / 1e9),
        "telamon.boottime_ns": (t.before["boot_ns"], t.after["boot_ns"]),
    }
    for key, name in (("free", "MemFree"), ("available", "MemAvailable"), ("swap.total", "SwapTotal"), ("swap.free", "SwapFree"),
                      ("slab_unreclaimable", "SUnreclaim"), ("shmem", "Shmem")):
        found[P + "host." + key] = t.meminfo_range(name)
    for where, file in (("system", "psi"), ("cgroup", "pod_psi")):
        for kind in ("some", "full"):
            for key in ("avg10", "avg60"):
                found[f"{P}psi.{where}.{kind}.{key}"] = t.psi_range(file, kind, key)
            low, high = t.psi_range(file, kind, "total")
            found[f"{P}psi.{where}.{kind}.total"] = (low / 1e6, high / 1e6)
    return found


def stack_ok(names, t):
    """Function names of the record against those of the kernel log, in their order."""
    logged = re.findall(r"^\[[^\]]*\]  ([a-z_0-9]+)(?:\.[a-z.0-9]+)?\+0x", t.dmesg, re.MULTILINE)
    known = [n for n in names if n in logged[:24]]
    return len(known) >= 6 and known == [n for n in logged[:24] if n in known]


def telamon_checks(record, t):
    """[(field, value, right?)] for each field of the record that has a truth."""
    checks = [(k, record[k], record[k] == want) for k, want in equal(t).items() if k in record]
    for key, (low, high) in ranges(t).items():
        if key in record:
            checks.append((key, record[key], low <= float(record[key]) <= high))
    for key, value in record.items():
        if key.startswith(P + "stat.") and key != P + "stat.age":
            low, high = t.stat_range(key.removeprefix(P + "stat."))
            checks.append((key, value, low <= value <= high))
    if "timestamp" in record:
        at = wall_ns(record["timestamp"])
        checks.append(("timestamp", record["timestamp"], t.before["wall_ns"] <= at <= t.after["wall_ns"]))
        created = wall_ns(record["process.creation.time"])
        checks.append(("process.creation.time", record["process.creation.time"], abs(created - created_ns(t)) < 2 * 10**7))
        parents = record["telamon.process.ancestors"]
        truth = t.victim["parents"][:len(parents)]
        checks.append(("telamon.process.ancestors", parents, all(
            a["pid"] == b["pid"] and a["comm"] == b["comm"] and a.get("path", b["exe"]) == b["exe"]
            for a, b in zip(parents, truth)) and len(truth) == len(parents)))
        levels = record[P + "levels"]
        wanted = [(str(t.raw["ids"][t.victim_path]), t.raw["container_limit"]), (str(t.raw["ids"][t.pod]), t.limit)]
        checks.append((P + "levels", levels, [(lv["id"], lv.get("max")) for lv in levels[:2]] == wanted and
                       not any("max" in lv for lv in levels[2:])))
        log = record.get(P + "kernel_log", [])
        checks.append((P + "kernel_log", log, bool(log) and all(line in t.dmesg for line in log)))
    if record.get(P + "stack.kernel"):
        checks.append((P + "stack.kernel", record[P + "stack.kernel"], stack_ok(record[P + "stack.kernel"], t)))
    return checks
