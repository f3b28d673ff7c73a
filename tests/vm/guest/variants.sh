#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Every hook variant in turn, by switching off the better ones: programs that other kernels refuse load and see here.
# shellcheck source=tests/vm/guest/lib.sh
. /guest/lib.sh

without() { # variants: as options
	for variant in "$@"; do
		printf -- '--disable %s ' "$variant"
	done
}

live_test() { # name of the check, program, options...
	name=$1
	shift
	"$@" >/tmp/live.log 2>&1
	status=$?
	sed -n 's/^# \(oom_[a-z]* *[a-z_0-9]*\).*/# \1/p; s/^# variant/# cgroup_track/p' /tmp/live.log
	if [ $status -eq 77 ]; then
		echo "skip $name - $(head -n 1 /tmp/live.log)"
	elif [ $status -eq 0 ] && ! grep -q '^not ok' /tmp/live.log; then
		echo "ok $name"
	else
		echo "not ok $name - $(grep '^not ok' /tmp/live.log | head -n 3 | tr '\n' ' ')"
	fi
}

tp_btf="oom_kill/tp_btf_task oom_kill/tp_btf_task_direct oom_kill/tp_btf_pid oom_kill/tp_btf_pid_direct oom_signal/tp_btf
	oom_signal/tp_btf_direct oom_reclaim/tp_btf oom_reclaim/tp_btf_memcg oom_reaper/tp_btf oom_exit/tp_btf oom_args/tp_btf"
raw_tp="oom_kill/raw_tp oom_signal/raw_tp oom_reclaim/raw_tp oom_reaper/raw_tp oom_exit/raw_tp oom_args/raw_tp"
fentry="oom_decision/fentry oom_decision/fentry_direct oom_attempt/fentry oom_invoke/fentry oom_limit/fentry"
echo "+memory" >/sys/fs/cgroup/cgroup.subtree_control
echo 256 >/proc/sys/fs/inotify/max_queued_events # soon full
# shellcheck disable=SC2046,SC2086 # words
{
	live_test best oom_hooks
	live_test tracepoint-tier oom_hooks --tracepoint
	live_test kprobe oom_hooks $(without $fentry)
	live_test raw-tp oom_hooks --tracepoint $(without $tp_btf)
	live_test direct oom_hooks --direct
	live_test classic oom_hooks --tracepoint $(without $tp_btf $raw_tp)
	live_test no-btf oom_hooks --no-btf
	live_test no-signal oom_hooks --tracepoint $(without oom_signal/tp_btf oom_signal/tp_btf_direct oom_signal/raw_tp \
		oom_signal/tracepoint)
	for option in "" --direct --inotify; do
		live_test "cgroup-track$option" cgroup_track $option
	done
}
