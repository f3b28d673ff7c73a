#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What changes who dies: vm.oom_kill_allocating_task, memory.oom.group above the container, oom_score_adj -1000.
# shellcheck source=tests/vm/guest/lib.sh
. /guest/lib.sh

allocating_task() { # tier
	sysctl -q -w vm.oom_kill_allocating_task=1
	vm_hog -a 1000 -h 64 &
	bigger=$!
	sleep 4 # the agent reads the sysctl each second; a busy emulator stretches it
	vm_hog 8192 &
	victim=$!
	wait $victim
	sysctl -q -w vm.oom_kill_allocating_task=0
	check "$1-allocating-recorded" record $victim
	fact "$1-allocating-scope" scope '"global"'
	fact "$1-allocating-role" role '"allocating_task"'
	fact "$1-allocating-is-trigger" trigger.is_victim true
	check "$1-other-lives" kill -0 $bigger
	kill -9 $bigger
	wait $bigger
}

group() { # tier
	pod=/sys/fs/cgroup/pod
	mkdir -p $pod
	echo "+memory" >$pod/cgroup.subtree_control
	mkdir -p $pod/one $pod/two
	echo 64M >$pod/memory.max
	[ ! -e $pod/memory.swap.max ] || echo 0 >$pod/memory.swap.max
	echo 1 >$pod/memory.oom.group
	vm_hog -c $pod/two -h 2 &
	member=$!
	vm_hog -c $pod/two -a -1000 -h 2 &
	spared=$!
	sleep 1
	vm_hog -c $pod/one -a 500 256 &
	victim=$!
	wait $victim $member
	check "$1-group-recorded" record $victim
	fact "$1-group-scope" scope '"memcg"'
	fact "$1-group-role" role '"chosen"'
	fact "$1-group-limit" limit.cgroup.path '"\/pod"'
	fact "$1-group-max" limit.max 67108864
	fact "$1-group-distance" limit.distance 1
	fact "$1-group-set" limit.oom_group true
	fact "$1-group-count" members.count 2
	fact "$1-group-spared" members.spared 1
	decision=$(sed 's/.*"telamon\.oom\.decision":"\([^"]*\)".*/\1/' /tmp/record)
	check "$1-member-recorded" record $member
	fact "$1-member-role" role '"group"'
	fact "$1-member-limit" limit.cgroup.path '"\/pod"'
	fact "$1-member-decision" decision "\"$decision\""
	check "$1-member-cgroup" grep '"telamon.cgroup.path":"/pod/two"' /tmp/record
	check "$1-spared-lives" kill -0 $spared
	check_not "$1-spared-not-recorded" sh -c "telamon oom --format json | grep '\"process.pid\":$spared,'"
	kill -9 $spared
	wait $spared
	rmdir $pod/one $pod/two $pod
}

# The kernel counts its only member twice; nothing may seem unseen for that (checked at the end).
lone() { # tier
	cgroup=/sys/fs/cgroup/lone
	mkdir -p $cgroup
	echo 32M >$cgroup/memory.max
	[ ! -e $cgroup/memory.swap.max ] || echo 0 >$cgroup/memory.swap.max
	echo 1 >$cgroup/memory.oom.group
	vm_hog -c $cgroup -a 500 256 &
	victim=$!
	wait $victim
	check "$1-lone-recorded" record $victim
	fact "$1-lone-role" role '"chosen"'
	fact "$1-lone-count" members.count 1
	fact "$1-lone-spared" members.spared 0
	rmdir $cgroup
}

policy() { # tier
	start "$1-start" "$1" || return
	group "$1"
	lone "$1"
	allocating_task "$1"
	check "$1-agent-survives" kill -0 $agent
	check "$1-nothing-unseen" sh -c "sleep 7; wget -q -O - $url/metrics | grep '^telamon_oom_unseen_kills_total 0$'"
	stop_agent
}

echo "+memory" >/sys/fs/cgroup/cgroup.subtree_control
policy any
policy tracepoint
