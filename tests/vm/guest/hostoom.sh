#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The host runs out of memory, and sysrq f: the agent lives, its journal has a record of each kill, the scope is told apart.
# shellcheck source=tests/vm/guest/lib.sh
. /guest/lib.sh

# Pids that the kernel's log names as killed since this agent began, and what the journal has of them.
journal_has_each_kill() {
	dmesg | sed -n 's/.*Killed process \([0-9]*\) .*/\1/p' | tail -n +$((logged + 1)) | sort -u >/tmp/killed
	telamon oom --format json --journal /var/lib/telamon/journal.db |
		sed -n 's/.*"event.name":"oom.kill".*"process.pid":\([0-9]*\),.*/\1/p' >/tmp/recorded
	echo "killed $(tr "\n" " " </tmp/killed) recorded $(tr "\n" " " </tmp/recorded)"
	[ "$(wc -l </tmp/killed)" -ge "$1" ] || return 1
	while read -r pid; do
		grep -q "^$pid\$" /tmp/recorded || return 1
	done </tmp/killed
}

hostoom() { # tier, source of the scope
	logged=$(dmesg | grep -c 'Killed process')
	start "$1-start" "$1" || return
	check "$1-protected" has_metric 'telamon_agent_protection{what="adj"} 1'
	vm_hog -a 1000 8192 &
	victim=$!
	wait $victim
	check "$1-host-recorded" record $victim
	fact "$1-host-scope" scope '"global"'
	fact "$1-host-source" scope.source "\"$2\""
	fact "$1-host-role" role '"chosen"'
	fact "$1-host-trigger" trigger.pid '[0-9]*'
	check "$1-host-fatal" grep '"severity_text":"FATAL"' /tmp/record
	absent "$1-host-no-limit" 'telamon\.oom\.limit\.'
	check "$1-agent-survives" kill -0 $agent
	for round in 2 3; do
		vm_hog -a 1000 8192 &
		victim=$!
		wait $victim
		check "$1-host-recorded-$round" record $victim
		check "$1-agent-survives-$round" kill -0 $agent
	done

	vm_hog -a 1000 -h 32 &
	victim=$!
	sleep 1
	echo f >/proc/sysrq-trigger
	wait $victim
	check "$1-sysrq-recorded" record $victim
	fact "$1-sysrq-scope" scope '"sysrq"'
	fact "$1-sysrq-source" scope.source "\"$2\""
	fact "$1-sysrq-order" order -1
	fact "$1-sysrq-by-kernel-thread" trigger.kernel_thread true
	check "$1-agent-survives-sysrq" kill -0 $agent
	check "$1-nothing-unseen" has_metric '^telamon_oom_unseen_kills_total 0$'
	stop_agent
	check "$1-journal-has-each-kill" journal_has_each_kill 4
}

hostoom any oc
hostoom tracepoint stack
