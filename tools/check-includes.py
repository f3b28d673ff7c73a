#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Include direction between rooms: the table below is the rule, every `#include "room/..."` is held against it."""
import pathlib
import re
import sys

ALLOWED = {
    "base": {"base"},
    "sys": {"sys", "base", "bpf"},
    "config": {"config", "base"},
    "metrics": {"metrics", "base"},
    "http": {"http", "config", "base"},  # config: the web configuration is read by the same tables
    "event": {"event", "http", "base"},  # http: handlers of /events and /api/v1/events
    "agent": {"agent", "sys", "config", "metrics", "http", "event", "base", "bpf"},
    "route": {"route", "sys", "config", "metrics", "http", "event", "base"},
    # agent/oom/hooks.h: the doctor probes with the very tables and the very loader of the agent.
    "cli": {"cli", "route", "sys", "config", "metrics", "http", "event", "base", "agent/oom/hooks.h"},
    "bpf": {"bpf"},
}


def check(path: pathlib.Path, room: str) -> list[str]:
    wrong = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        found = re.match(r'#include "([a-z]+)/(\S+)"', line)
        if not found:
            continue
        target = found.group(1)
        if target not in ALLOWED[room] and f"{target}/{found.group(2)}" not in ALLOWED[room]:
            wrong.append(f"{path}:{number}: {room} must not include {target}/{found.group(2)}")
        parts, inner = path.parts, found.group(2).split("/")
        # Modules of the agent meet in the bus and the registry, never in each other's headers.
        if room == "agent" and target == "agent" and len(parts) > 3 and len(inner) > 1 and parts[2] != inner[0]:
            wrong.append(f"{path}:{number}: module {parts[2]} must not include module {inner[0]}")
    return wrong


def main() -> int:
    wrong = []
    for path in sorted(pathlib.Path("src").rglob("*.[ch]")):
        wrong += check(path, path.parts[1])
    for path in sorted(pathlib.Path("bpf").rglob("*.[ch]")):
        wrong += check(path, "bpf")
    print("\n".join(wrong), end="\n" if wrong else "")
    return 1 if wrong else 0


sys.exit(main())
