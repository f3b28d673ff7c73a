#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Boots guests and runs scenarios in them. Lines `ok NAME`, `not ok NAME - why`, `skip NAME - why`, then a summary.
# Usage: tests/vm/run.sh [--matrix short|full] [--kernel NAME] [--scenario NAME]; BUILD names the build directory.
set -eu
cd "$(dirname "$0")/../.."

build=${BUILD:-build}
matrix=short
only_kernel=
only_scenario=
while [ $# -gt 0 ]; do
	case $1 in
	--matrix) matrix=$2 ;;
	--kernel) only_kernel=$2 ;;
	--scenario) only_scenario=$2 ;;
	*)
		echo "vm: unknown option $1" >&2
		exit 2
		;;
	esac
	shift 2
done

# kernel scenario cgroup tier-of-the-matrix further kernel arguments
# From 6.12 on, Debian's kernels have no memory controller on v1: there "hybrid" means other controllers on v1, memory on v2.
rows='5.10 lab v2 short
6.1 lab v2 short
6.12 lab v2 short
7.2 lab v2 short
6.1 gateway v2 short
5.10 gateway v2 full
6.12 gateway v2 full
7.2 gateway v2 full
5.10 hostoom v2 full
6.1 hostoom v2 full
6.12 hostoom v2 full
7.2 hostoom v2 full
5.10 numa v2 full
6.1 numa v2 full
6.12 numa v2 full
7.2 numa v2 full
5.10 policy v2 full
6.1 policy v2 full
6.12 policy v2 full
7.2 policy v2 full
5.10 lockdown v2 full lockdown=confidentiality
6.1 lockdown v2 full lockdown=confidentiality
6.12 lockdown v2 full lockdown=confidentiality
7.2 lockdown v2 full lockdown=confidentiality
5.10 nobtf v2 full
6.1 nobtf v2 full
6.12 nobtf v2 full
7.2 nobtf v2 full
5.10 lab v1 full
6.1 lab v1 full
5.10 lab hybrid full
6.1 lab hybrid full
6.12 lab hybrid full
7.2 lab hybrid full
5.10 clock v2 full
6.1 clock v2 full
6.12 clock v2 full
7.2 clock v2 full
6.1 nopsi v2 full psi=0
7.2 nopsi v2 full psi=0
5.10 stat v2 full
6.1 stat v2 full
6.12 stat v2 full
7.2 stat v2 full
5.10 variants v2 full
6.1 variants v2 full
6.12 variants v2 full
7.2 variants v2 full
5.10 facts v2 full
6.1 facts v2 full
6.12 facts v2 full
7.2 facts v2 full
6.1 facts hybrid full
5.10 facts hybrid full
5.10 kmem v1 full
6.1 kmem v1 full'

command -v qemu-system-x86_64 >/dev/null 2>&1 || true
logs=$build/vm
mkdir -p "$logs"
if ! tests/vm/fetch.sh >"$logs/kernels" 2>"$logs/fetch.log"; then
	echo "skip vm - kernels cannot be fetched: $(tail -n 1 "$logs/fetch.log")"
	[ -s "$logs/kernels" ] || exit 0
fi
tests/vm/initramfs.sh "$build" "$logs/initramfs.gz"

boot() { # kernel image, scenario, cgroup mode, arguments, log
	case $2 in
	numa) # the second node has memory alone
		nodes='-object memory-backend-ram,id=m0,size=768M -object memory-backend-ram,id=m1,size=256M
			-numa node,nodeid=0,cpus=0-1,memdev=m0 -numa node,nodeid=1,memdev=m1'
		;;
	*) nodes= ;;
	esac
	if [ "$2" = gateway ]; then # two boots, and what is outside
		timeout 600 tests/vm/gateway.py "$build" "$1" "$logs/initramfs.gz" </dev/null >"$5" 2>&1 || :
		return
	fi
	# shellcheck disable=SC2086 # words of $nodes
	timeout 600 qemu-system-x86_64 -accel tcg -smp 2 -m 1G -cpu Haswell-noTSX -nographic -no-reboot -nic none $nodes \
		-kernel "$1" -initrd "$logs/initramfs.gz" \
		-append "console=ttyS0 quiet panic=-1 lsm=lockdown,capability,bpf scenario=$2 cgroup=$3 $4" \
		</dev/null >"$5" 2>&1 || :
}

results=$logs/results
: >"$results"
echo "$rows" | while read -r kernel scenario mode tier arguments; do
	[ "$matrix" = full ] || [ "$tier" = short ] || [ -n "$only_scenario" ] || continue
	[ -z "$only_kernel" ] || [ "$only_kernel" = "$kernel" ] || continue
	[ -z "$only_scenario" ] || [ "$only_scenario" = "$scenario" ] || continue
	image=$(sed -n "s/^$kernel //p" "$logs/kernels")
	id="vm-$kernel-$scenario-$mode${arguments:+-$arguments}"
	if [ -z "$image" ]; then
		echo "skip $id - there is no kernel $kernel"
		continue
	fi
	for try in 1 2 3; do # only a guest that dies before its banner is tried again
		log=$logs/$id.$try.log
		boot "$image" "$scenario" "$mode" "$arguments" "$log"
		tr -d '\r' <"$log" >"$log.text"
		! grep -q '=== guest' "$log.text" || break
		echo "# $id: boot $try died before its banner"
	done
	grep -E '^(ok|not ok|skip) ' "$log.text" | sed -e "s/^\(ok\|not ok\|skip\) /\1 $id-/" || :
	grep -q '=== end' "$log.text" || echo "not ok $id-end - the guest did not finish, see $log"
done | tee "$results"

count() {
	grep -c "^$1 " "$results" || :
}
echo "vm: $(count ok) passed, $(count 'not ok') failed, $(count skip) skipped"
[ "$(count 'not ok')" -eq 0 ]
