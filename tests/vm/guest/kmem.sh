#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# OOM-116: kernel memory on cgroup v1. It is charged to `memory` first, and a victim is asked for there alone: a limit of kmem makes
# allocations fail (before 5.16) or is refused, and kills nobody, neither in fork() nor in a page fault.
# shellcheck source=tests/vm/guest/lib.sh
. /guest/lib.sh

vmstat() {
	sed -n 's/^oom_kill //p' /proc/vmstat
}

# Processes that do nothing: kernel stacks, page tables. Ends when one cannot be made.
forks() { # cgroup, processes
	# shellcheck disable=SC2016 # for the inner shell
	sh -c 'echo 0 >$0/cgroup.procs; i=0; while [ $i -lt $1 ]; do sleep 30 & i=$((i + 1)); done; wait' "$1" "$2" >/tmp/forks.log 2>&1 &
	forker=$!
}

members_die() { # cgroup
	while read -r pid; do
		kill -9 "$pid" 2>/dev/null
	done <"$1/cgroup.procs"
	wait $forker
}

kmem=/sys/fs/cgroup/memory/kmem
small=/sys/fs/cgroup/memory/small
mkdir $kmem $small
start start any || return
before=$(vmstat)

if echo 1M >$kmem/memory.kmem.limit_in_bytes 2>/dev/null && [ "$(cat $kmem/memory.kmem.limit_in_bytes)" = 1048576 ]; then
	forks $kmem 300
	sleep 8
	check fork-is-refused grep -i 'cannot allocate\|out of memory\|resource temporarily' /tmp/forks.log
	check kmem-counter-failed sh -c "[ \$(cat $kmem/memory.kmem.failcnt) -gt 0 ]"
	members_die $kmem
	vm_hog -c $kmem -h 600 & # page tables of 1.2 MiB
	hog=$!
	sleep 10
	check fault-kills-nobody kill -0 $hog
	kill -9 $hog
	wait $hog
else
	echo "skip kmem-limit - this kernel takes no limit of kmem"
fi
check kmem-kills-nobody [ "$(vmstat)" = "$before" ]
check_not kmem-no-record sh -c "telamon oom --format json | grep '\"telamon.cgroup.path\":\"/kmem'"

echo 16M >$small/memory.limit_in_bytes
[ ! -e $small/memory.memsw.limit_in_bytes ] || echo 16M >$small/memory.memsw.limit_in_bytes
forks $small 600
for _ in $(seq 1 100); do
	[ "$(vmstat)" = "$before" ] || break
	sleep 0.5
done
members_die $small
check kernel-memory-kills [ "$(vmstat)" -gt "$before" ]
for _ in $(seq 1 60); do
	telamon oom --format json 2>/dev/null | grep '"telamon.cgroup.path":"/small"' | head -n 1 >/tmp/record
	[ ! -s /tmp/record ] || break
	sleep 0.2
done
fact counter limit.counter '"mem\(ory\|sw\)"'
fact limit limit.max 16777216
