#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# One of two nodes runs out of memory: for the processes of a cpuset, for a mapping bound by mbind().
# shellcheck source=tests/vm/guest/lib.sh
. /guest/lib.sh

numa() { # tier, source of the scope
	start "$1-start" "$1" || return
	vm_hog -a 1000 -c /sys/fs/cgroup/bound 2048 &
	victim=$!
	wait $victim
	check "$1-cpuset-recorded" record $victim
	fact "$1-cpuset-scope" scope '"cpuset"'
	fact "$1-cpuset-source" scope.source "\"$2\""
	absent "$1-cpuset-no-limit" 'telamon\.oom\.limit\.'
	if [ "$1" = any ]; then
		# The scope is the node with 256 MiB, what the kernel keeps for itself not counted.
		fact "$1-cpuset-bytes" scope.bytes '2[0-9]\{8\}'
	else
		fact "$1-cpuset-name" cpuset '"bound"'
	fi

	vm_hog -a 1000 -n 1 2048 &
	victim=$!
	wait $victim
	check "$1-mbind-recorded" record $victim
	fact "$1-mbind-scope" scope '"mempolicy"'
	fact "$1-mbind-source" scope.source "\"$2\""
	absent "$1-mbind-no-limit" 'telamon\.oom\.limit\.'
	[ "$1" = any ] || fact "$1-mbind-nodemask" nodemask '"1"'
	check "$1-agent-survives" kill -0 $agent
	check "$1-nothing-unseen" has_metric '^telamon_oom_unseen_kills_total 0$'
	stop_agent
}

echo "+cpuset" >/sys/fs/cgroup/cgroup.subtree_control
mkdir /sys/fs/cgroup/bound
echo 1 >/sys/fs/cgroup/bound/cpuset.mems
check two-nodes grep '^1$' /sys/fs/cgroup/bound/cpuset.mems.effective
numa any oc
numa tracepoint kmsg
