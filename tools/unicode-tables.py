#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes src/route/relabel/unicode-tables.c: simple case mappings and foldings as runs of code points.

The pinned source is Debian's package unicode-data 15.0.0-1 (the Unicode version of the Go programs whose relabelling is ours, too):
    apt-get download unicode-data && dpkg-deb -x unicode-data_15.0.0-1_all.deb ud
    tools/unicode-tables.py ud/usr/share/unicode >src/route/relabel/unicode-tables.c
"""
import bisect
import pathlib
import sys


def runs(mapping):
    """{from: to} as (first, last, step, delta), each run as long as it gets."""
    found = []
    left = sorted(mapping)
    while left:
        first = left[0]
        delta = mapping[first] - first
        best = [first]
        for step in (1, 2):
            run = [first]
            while mapping.get(run[-1] + step, 0) - (run[-1] + step) == delta:
                run.append(run[-1] + step)
            if len(run) > len(best):
                best = run
        step = best[1] - best[0] if len(best) > 1 else 1
        found.append((best[0], best[-1], step, delta))
        taken = set(best)
        left = [c for c in left if c not in taken]
    firsts = [run[0] for run in found]
    for at, (first, last, step, _) in enumerate(found):
        for c in range(first, last + 1, step):
            assert bisect.bisect_right(firsts, c) - at <= 4, "UNICODE_NEAR"
    return found


def main():
    directory = pathlib.Path(sys.argv[1])
    upper, lower, fold = {}, {}, {}
    for line in (directory / "UnicodeData.txt").read_text().splitlines():
        field = line.split(";")
        if field[12]:
            upper[int(field[0], 16)] = int(field[12], 16)
        if field[13]:
            lower[int(field[0], 16)] = int(field[13], 16)
    text = (directory / "CaseFolding.txt").read_text().splitlines()
    for line in text:
        field = [part.strip() for part in line.split("#")[0].split(";")]
        if len(field) >= 3 and field[1] in "CS":
            fold[int(field[0], 16)] = int(field[2], 16)
    print("/* SPDX-License-Identifier: Apache-2.0 */")
    print(f"/* Written by tools/unicode-tables.py out of {text[0][2:]} and its UnicodeData.txt. */")
    print('#include "route/relabel/unicode.h"')
    for name, mapping in (("upper", upper), ("lower", lower), ("fold", fold)):
        rows = runs(mapping)
        print(f"\nconst struct unicode_run unicode_{name}[] = {{")
        for first, last, step, delta in rows:
            print(f"\t{{ 0x{first:04x}, 0x{last:04x}, {step}, {delta} }},")
        print("};")
        print(f"const size_t unicode_n_{name} = {len(rows)};")


main()
