#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Fuzzes each target for FUZZ_SECONDS (60), from its corpus. What it finds is left in build-fuzz/NAME-*.
# Usage: tests/fuzz/run.sh [NAME]...
set -eu
cd "$(dirname "$0")/../.."

seconds=${FUZZ_SECONDS:-60}
out=build-fuzz
mkdir -p "$out"

if [ $# -eq 0 ]; then
	for file in tests/fuzz/fuzz_*.c; do
		name=${file#tests/fuzz/fuzz_}
		set -- "$@" "${name%.c}"
	done
fi
for name in "$@"; do
	sources=$(sed -n 's/.*fuzz-sources: \(.*\) \*\/$/\1/p' "tests/fuzz/fuzz_$name.c")
	libs=$(sed -n 's/.*fuzz-libs: \(.*\) \*\/$/\1/p' "tests/fuzz/fuzz_$name.c")
	mkdir -p "$out/$name.corpus"
	# shellcheck disable=SC2086 # several sources
	clang -std=gnu11 -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined \
		-D_GNU_SOURCE "-DTELAMON_VERSION=\"fuzz\"" -Isrc -I. -Itests/fuzz "tests/fuzz/fuzz_$name.c" $sources src/base/*.c \
		$libs -lpthread -lm -o "$out/fuzz_$name"
	echo "fuzz $name: $seconds s"
	"$out/fuzz_$name" -max_total_time="$seconds" -max_len=8192 -artifact_prefix="$out/$name-" \
		"$out/$name.corpus" "tests/fuzz/corpus/$name" 2>&1 | tail -n 3
done
