# SPDX-License-Identifier: Apache-2.0
"""idle.py SECONDS NAME=PID...: what processes used meanwhile. One JSON object: CPU time by the scheduler and by ticks, switches of all threads,
resident memory and its peak. Run time of their BPF programs is not in it: nothing fires them."""

import json
import os
import sys
import time


def read(path):
    with open(path, encoding="ascii") as f:
        return f.read()


def sample(pid):
    threads = os.listdir(f"/proc/{pid}/task")
    total = {"run_ns": 0, "voluntary": 0, "involuntary": 0, "threads": len(threads)}
    for thread in threads:
        total["run_ns"] += int(read(f"/proc/{pid}/task/{thread}/schedstat").split()[0])
        for line in read(f"/proc/{pid}/task/{thread}/status").splitlines():
            if line.startswith("voluntary_ctxt_switches"):
                total["voluntary"] += int(line.split()[1])
            elif line.startswith("nonvoluntary_ctxt_switches"):
                total["involuntary"] += int(line.split()[1])
    fields = read(f"/proc/{pid}/stat").rsplit(") ", 1)[1].split()
    total["ticks_ns"] = (int(fields[11]) + int(fields[12])) * 10**9 // os.sysconf("SC_CLK_TCK")
    memory = {line.split(":")[0]: line.split()[1] for line in read(f"/proc/{pid}/status").splitlines() if line.startswith("Vm")}
    total["hwm"], total["rss"] = int(memory["VmHWM"]) * 1024, int(memory["VmRSS"]) * 1024
    return total


def main():
    names = dict(argument.split("=") for argument in sys.argv[2:])
    before = {name: sample(pid) for name, pid in names.items()}
    started = time.monotonic()
    time.sleep(float(sys.argv[1]))
    seconds = time.monotonic() - started
    after = {name: sample(pid) for name, pid in names.items()}
    print(json.dumps({"seconds": seconds, "processes": {name: {
        **{key: after[name][key] - before[name][key] for key in ("run_ns", "ticks_ns", "voluntary", "involuntary")},
        **{key: after[name][key] for key in ("threads", "hwm", "rss")}} for name in names}}))


main()
