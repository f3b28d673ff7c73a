#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Every tier that this host can run. Environment: BUILD (build), SAN=1 (sanitizers: unit tests and fuzz corpus only), SAN=thread (the gateway
# under the thread sanitizer: its unit tests, then load, reloads, deaths and retries of a live one).
# The last line is `N passed, N failed, N skipped`.
set -eu
cd "$(dirname "$0")/.."

san=${SAN:-0}
build=${BUILD:-build}
jobs=$(nproc)
[ "$san" = 0 ] || build="build-san"
[ "$san" != thread ] || build="build-tsan"

set -- --buildtype=debugoptimized -Dwerror=true
case $san in
0) ;;
thread) set -- "$@" -Db_sanitize=thread -Db_lundef=false -Dc_args=-Wno-tsan ;;
*) set -- "$@" -Db_sanitize=address,undefined -Db_lundef=false ;;
esac
if [ ! -e "$build/build.ninja" ]; then
	mkdir -p "$build"
	if ! meson setup "$build" "$@" >"$build/setup.log" 2>&1; then
		cat "$build/setup.log"
		echo "0 passed, 1 failed, 0 skipped"
		exit 1
	fi
fi
# A build that was configured before the test packages came has no tests in it.
if ! ninja -C "$build" -t targets all | grep -q '^tests/unit/test_'; then
	meson setup --reconfigure "$build" "$@" >"$build/setup.log" 2>&1 || cat "$build/setup.log"
fi
if ! ninja -j"$jobs" -C "$build" >"$build/build.log" 2>&1; then
	cat "$build/build.log"
	echo "0 passed, 1 failed, 0 skipped"
	exit 1
fi

results=$build/results
rm -rf "$results"
mkdir -p "$results"

# --- static checks: one result each ---
if [ "$san" = 0 ]; then
	for check in $(tools/check.sh list); do
		status=0
		BUILD=$build tools/check.sh "$check" >"$results/check-$check.log" 2>&1 || status=$?
		case $status in
		0) echo "ok check-$check" ;;
		77) echo "skip check-$check - $(cat "$results/check-$check.log")" ;;
		*)
			echo "not ok check-$check"
			cat "$results/check-$check.log" >&2
			;;
		esac
	done >"$results/checks.txt"
fi

# --- unit tests and fuzz corpus ---
ls "$build"/tests/unit/test_* >/dev/null 2>&1 || echo "not ok unit: no test was built" >"$results/unit.txt"
units="test_*"
if [ "$san" = thread ]; then
	# A report is a failure: of a unit test at once, of a gateway by its exit status.
	units="test_route_*"
	export TSAN_OPTIONS="exitcode=66"
fi
# shellcheck disable=SC2086 # a pattern
for program in "$build"/tests/unit/$units "$build"/tests/fuzz/fuzz_*; do
	if [ ! -f "$program" ] || [ ! -x "$program" ]; then
		continue
	fi
	name=$(basename "$program")
	log=$results/$name.log
	status=0
	CMOCKA_MESSAGE_OUTPUT=TAP timeout 300 "$program" >"$log" 2>&1 || status=$?
	grep -E '^(ok|not ok) ' "$log" | sed -e "s/^\(ok\|not ok\) [0-9]* *-* */\1 $name:/" >>"$results/unit.txt" || :
	if [ "$status" -ne 0 ]; then
		grep -q '^not ok' "$log" || echo "not ok $name: ended with status $status" >>"$results/unit.txt"
		cat "$log" >&2
	fi
done

# --- threads of a live gateway ---
if [ "$san" = thread ]; then
	TELAMON_BUILD=$PWD/$build timeout 900 /usr/bin/python3 -m pytest -q -p no:cacheprovider tests/system/test_route_reload.py \
		tests/system/test_route_chaos.py tests/system/test_route_sender.py --junitxml="$results/system.xml" >"$results/system.log" 2>&1 || cat "$results/system.log" >&2
fi

# --- system tests: real programs, live eBPF and cgroups ---
if [ "$san" = 0 ]; then
	if [ "$(id -u)" -eq 0 ]; then
		status=0
		TELAMON_BUILD=$PWD/$build timeout 1500 /usr/bin/python3 -m pytest -q -p no:cacheprovider tests/system \
			--junitxml="$results/system.xml" >"$results/system.log" 2>&1 || status=$?
		[ "$status" -eq 0 ] || cat "$results/system.log" >&2
		if [ ! -e "$results/system.xml" ]; then
			echo "not ok system: pytest ended with status $status" >"$results/system.txt"
		fi
	else
		echo "skip system - needs root" >"$results/system.txt"
	fi
	# --- guests: other kernels ---
	if [ -x tests/vm/run.sh ]; then
		status=0
		BUILD=$build tests/vm/run.sh --matrix short >"$results/vm.log" 2>&1 || status=$?
		grep -E '^(ok|not ok|skip) ' "$results/vm.log" >"$results/vm.txt" || :
		if [ "$status" -ne 0 ]; then
			cat "$results/vm.log" >&2
			grep -q '^not ok' "$results/vm.txt" || echo "not ok vm: ended with status $status" >>"$results/vm.txt"
		fi
	fi
fi

exec /usr/bin/python3 tools/count-results.py "$results"
