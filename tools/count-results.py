#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Adds up the results that tools/test.sh collected and prints the closing line."""
import pathlib
import sys
import xml.etree.ElementTree


def lines_of(directory: pathlib.Path):
    for file in sorted(directory.glob("*.txt")):
        for line in file.read_text(errors="replace").splitlines():
            for word in ("not ok", "ok", "skip"):
                if line.startswith(word + " "):
                    yield word, line[len(word) + 1:]
                    break


def cases_of(file: pathlib.Path):
    for case in xml.etree.ElementTree.parse(file).getroot().iter("testcase"):
        name = f"{case.get('classname')}.{case.get('name')}"
        skipped = case.find("skipped")
        if case.find("failure") is not None or case.find("error") is not None:
            yield "not ok", name
        elif skipped is not None:
            yield "skip", f"{name} - {skipped.get('message')}"
        else:
            yield "ok", name


def main() -> int:
    directory = pathlib.Path(sys.argv[1])
    results = list(lines_of(directory))
    for file in directory.glob("*.xml"):
        results += cases_of(file)
    count = {word: sum(1 for r in results if r[0] == word) for word in ("ok", "not ok", "skip")}
    for word in ("skip", "not ok"):
        for _, name in (r for r in results if r[0] == word):
            print(f"{word} {name}")
    print(f"{count['ok']} passed, {count['not ok']} failed, {count['skip']} skipped")
    return 1 if count["not ok"] or not count["ok"] else 0


sys.exit(main())
