#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What OOM tracing takes for granted about kernels (docs/hooks.md), asked of the kernel itself: its trace, its counters, its log.
# Where a later kernel breaks one, this is the first to know. K9 is the scenario lockdown.
# shellcheck source=tests/vm/guest/lib.sh
# shellcheck disable=SC2154 # mode: of init.sh
. /guest/lib.sh

tracing=/sys/kernel/tracing
memory=/sys/fs/cgroup
limit=memory.max
[ "$mode" = v2 ] || {
	memory=/sys/fs/cgroup/memory
	limit=memory.limit_in_bytes
}

same() { # have, want
	echo "have $1, want $2"
	[ "$1" = "$2" ]
}

one_of() { # have, want...
	have=$1
	shift
	echo "have $have"
	for want in "$@"; do
		[ "$have" != "$want" ] || return 0
	done
	return 1
}

trace_begin() {
	echo >$tracing/trace
	echo 1 >$tracing/options/stacktrace
	echo 'sig == 9 && code == 128' >$tracing/events/signal/signal_generate/filter
	for event in oom/mark_victim oom/wake_reaper signal/signal_generate; do
		echo 1 >$tracing/events/$event/enable
	done
}

trace_end() { # leaves "event task-pid fields" in /tmp/trace, in the order of their times
	echo 0 >$tracing/events/enable
	sed -n 's/^ *\(.*-[0-9]*\) .*: \(mark_victim\|wake_reaper\|signal_generate\): /\2 \1 /p' $tracing/trace >/tmp/trace
	# "functions, leaf first" of each mark in /tmp/stacks; what the compiler put behind a name is cut off.
	awk '/: [a-z_]*: / { event = $0 ~ /: mark_victim: / } /<stack trace>/ { inside = event; if (inside) print ""; next }
		/^ => / { if (inside) { sub(/[.+].*/, "", $2); printf "%s ", $2 } next } { inside = 0 }
		END { print "" }' $tracing/trace >/tmp/stacks
}

stack_has() { # functions, leaf first
	cat /tmp/stacks
	grep " $* " /tmp/stacks
}

traced() { # event
	grep -c "^$1 " /tmp/trace
}

kills_of() { # file, key
	sed -n "s/^$2 //p" "$1"
}

shape() { # tracepoint or function: its parameters
	telamon doctor hooks "$1" | sed -n "s/^[a-z]* *$1(\(.*\))\(  [a-z].*\)\{0,1\}\$/\1/p"
}

payload() { # fields of a classic tracepoint behind the common ones
	sed -n '/common_pid/,$s/^\tfield:.* \([a-z_]*\)\(\[[^;]*\)\{0,1\};.*/\1/p' "$tracing/events/$1/format" | grep -v common_ | tr '\n' ' '
}

single() { # K1, K2, K3, K7, K8: one process, one limit
	trace_begin
	before=$(kills_of /proc/vmstat oom_kill)
	vm_hog -a 1000 -c $memory/pod/one 256 &
	victim=$!
	wait $victim
	trace_end
	check K1-one-mark-a-kill same "$(traced mark_victim)" 1
	check K1-mark-names-the-thread grep "^mark_victim .*pid=$victim\b" /tmp/trace
	check K2-payload one_of "$(payload oom/mark_victim)" "pid " \
		"pid comm total_vm anon_rss file_rss shmem_rss uid pgtables oom_score_adj "
	check K2-prototype one_of "$(shape mark_victim)" "int" "struct task_struct *, uid_t"
	check K3-signal-before-mark same "$(head -n 2 /tmp/trace | cut -d ' ' -f 1 | tr '\n' ' ')" "signal_generate mark_victim "
	check K3-same-current same "$(head -n 1 /tmp/trace | cut -d ' ' -f 2)" "$(sed -n '2s/^[^ ]* \([^ ]*\) .*/\1/p' /tmp/trace)"
	check K7-vmstat same $(($(kills_of /proc/vmstat oom_kill) - before)) 1
	if [ "$mode" = v2 ]; then
		check K7-kill-at-the-victims-level same "$(kills_of $memory/pod/one/memory.events oom_kill)" 1
		check K7-kill-above-it same "$(kills_of $memory/pod/memory.events oom_kill)" 1
		check K7-oom-at-the-limit [ "$(kills_of $memory/pod/one/memory.events oom)" -ge 1 ]
		check K7-no-oom-above same "$(kills_of $memory/pod/memory.events.local oom)" 0
	fi
	check K8-reaper-sleeps-on same "$(traced wake_reaper)" 0
	check_not K8-no-reap-task ls $tracing/events/oom/reap_task
}

group() { # K4, K5: one process that grows, five beside it, one memory.oom.group above all
	pod=$memory/group
	mkdir -p $pod/all
	echo "+memory" >$pod/cgroup.subtree_control
	echo 64M >$pod/memory.max
	echo 1 >$pod/memory.oom.group
	members=
	for _ in 1 2 3 4 5; do
		vm_hog -c $pod/all -h 2 &
		members="$members $!"
	done
	sleep 1
	before=$(kills_of /proc/vmstat oom_kill)
	trace_begin
	vm_hog -a 500 -c $pod/all 256 &
	victim=$!
	# shellcheck disable=SC2086 # a list
	wait $victim $members
	trace_end
	check K4-marks same "$(traced mark_victim)" 6
	check K4-signals same "$(traced signal_generate)" 7
	check K4-memory-events same "$(kills_of $pod/memory.events oom_kill)" 7
	check K4-vmstat same $(($(kills_of /proc/vmstat oom_kill) - before)) 7
	check K4-log-names-the-chosen-twice same "$(dmesg | grep -c "Killed process $victim ")" 2
	check K4-recorded record $victim
	fact K4-members members.count 6
	check K5-memcg stack_has mark_oom_victim __oom_kill_process oom_kill_process out_of_memory mem_cgroup_out_of_memory
	check K5-group-member stack_has __oom_kill_process oom_kill_memcg_member mem_cgroup_scan_tasks oom_kill_process
	check K4-counted has_metric '^telamon_oom_node_kills_total{scope="memcg",role="group"} 5$'
}

reserve() { # K1: a victim that dies already, of another's SIGKILL, is marked and not killed. Frozen, it cannot end before.
	mkdir -p /tmp/freezer
	mount -t cgroup -o freezer freezer /tmp/freezer || return
	mkdir /tmp/freezer/cold
	vm_hog -a 1000 -c $memory/pod/one -h 16 &
	dying=$!
	sleep 1
	echo $dying >/tmp/freezer/cold/cgroup.procs
	echo FROZEN >/tmp/freezer/cold/freezer.state
	kill -9 $dying
	trace_begin
	vm_hog -c $memory/pod/one 256 &
	victim=$!
	wait $dying $victim
	trace_end
	check K1-marks same "$(traced mark_victim)" 2
	check K1-one-without-a-kill same "$(traced signal_generate)" 1
	check K1-reserve-is-marked grep "^mark_victim .*pid=$dying\b" /tmp/trace
	check K1-killed-recorded record $victim
	check K1-reserve-event sh -c "wget -q -O - '$url/api/v1/events?type=oom.reserve' | grep '\"process.pid\":$dying,'"
	check_not K1-reserve-is-no-kill sh -c "wget -q -O - '$url/api/v1/events?type=oom.kill' | grep '\"process.pid\":$dying,'"
}

host() { # K5, K7: no limit but the host's
	trace_begin
	vm_hog -a 1000 -c $memory/pod/two 8192 &
	victim=$!
	wait $victim
	trace_end
	check K5-host stack_has mark_oom_victim __oom_kill_process oom_kill_process out_of_memory __alloc_pages_slowpath
	check K5-host-recorded record $victim
	if [ "$mode" = v2 ]; then
		check K7-host-kill same "$(kills_of $memory/pod/two/memory.events oom_kill)" 1
		check K7-host-no-oom same "$(kills_of $memory/pod/two/memory.events oom)" 0
	fi
}

shapes() { # K6, K10
	check K6-two-arguments same "$(shape oom_kill_process)" "struct oom_control *, const char *"
	for member in memcg:'struct mem_cgroup *' chosen:'struct task_struct *' order:int totalpages:'unsigned long'; do
		check "K6-oc-${member%%:*}" one_of "$(vm_member oom_control "${member%%:*}")" "${member#*:}" "long unsigned int"
	done
	check K10-reclaim one_of "$(shape mm_vmscan_memcg_reclaim_begin)" "int, gfp_t" "gfp_t, int, struct mem_cgroup *"
	check K10-direct same "$(shape mm_vmscan_direct_reclaim_begin)" "$(shape mm_vmscan_memcg_reclaim_begin)"
	check K10-exit one_of "$(shape sched_process_exit)" "struct task_struct *" "struct task_struct *, bool"
	check K10-kernfs-parent one_of "$(vm_member kernfs_node parent || vm_member kernfs_node __parent)" "struct kernfs_node *"
	check K10-counters one_of "$(vm_member mm_struct rss_stat)" "struct percpu_counter[4]" "struct mm_rss_stat"
	case $(uname -r) in # what these kernels of Debian have; back-ports show here first
	5.10.*) set -- int "struct mm_rss_stat" ;;
	6.1.*) set -- "struct task_struct *, uid_t" "struct mm_rss_stat" ;;
	*) set -- "struct task_struct *, uid_t" "struct percpu_counter[4]" ;;
	esac
	check K2-of-this-kernel same "$(shape mark_victim)" "$1"
	check K10-counters-of-this-kernel same "$(vm_member mm_struct rss_stat)" "$2"
	echo "# $(uname -r): mark_victim($(shape mark_victim)) rss_stat $(vm_member mm_struct rss_stat)"
}

ids_collide() { # K11: the same number in both hierarchies; the record has the right one
	unified=/sys/fs/cgroup/unified
	check K11-roots same "$(stat -c %i $memory)" "$(stat -c %i $unified)"
	for i in $(seq 1 50); do
		mkdir $memory/fill-"$i" $unified/other-"$i" $unified/more-"$i" $unified/most-"$i"
	done
	mine=$({
		stat -c %i $memory/fill-*
		stat -c %i $unified/*-*
	} | sort -n | uniq -d | tail -n 1)
	check K11-same-id [ -n "$mine" ]
	fill=$(stat -c '%i %n' $memory/fill-* | sed -n "s|^$mine .*/||p")
	echo 33554432 >$memory/"$fill"/$limit
	vm_hog -a 1000 -c $memory/"$fill" 256 &
	victim=$!
	wait $victim
	check K11-recorded record $victim
	check K11-path grep "\"telamon.cgroup.path\":\"/$fill\"" /tmp/record
	fact K11-limit limit.cgroup.path "\"\\/$fill\""
	check K11-id grep "\"telamon.cgroup.id\":\"$mine\"" /tmp/record
}

if [ "$mode" = v2 ]; then
	echo "+memory" >$memory/cgroup.subtree_control
	mkdir $memory/pod
	echo "+memory" >$memory/pod/cgroup.subtree_control
fi
mkdir -p $memory/pod/one $memory/pod/two
echo 33554432 >$memory/pod/one/$limit
# Trampolines put themselves between the frames of what they are attached to.
start start tracepoint && {
	shapes
	single
	[ "$mode" != v2 ] || group
	reserve
	host
	[ "$mode" != hybrid ] || ids_collide
	check nothing-unseen has_metric '^telamon_oom_unseen_kills_total 0$'
	stop_agent
}
