#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A kernel started with psi=0: no pressure in the record, which is complete all the same.
# shellcheck source=tests/vm/guest/lib.sh
. /guest/lib.sh

echo "+memory" >/sys/fs/cgroup/cgroup.subtree_control
mkdir /sys/fs/cgroup/small
echo 32M >/sys/fs/cgroup/small/memory.max
for tier in any tracepoint; do
	start $tier-start $tier || continue
	check $tier-doctor-says-no-psi doctor_says 'kernel .* PSI no'
	vm_hog -a 1000 -c /sys/fs/cgroup/small 256 &
	victim=$!
	wait $victim
	check $tier-recorded record $victim
	fact $tier-scope scope '"memcg"'
	absent $tier-no-pressure 'telamon\.oom\.psi\.'
	fact $tier-complete complete true
	stop_agent
done
