#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The agent with its defaults, then every scenario of the lab: once with all tiers, once with the tracepoint tier alone.
# shellcheck source=tests/vm/guest/lib.sh
. /guest/lib.sh

lab() { # tier
	start_agent <<END || { echo "not ok $1-start - $(tail -n 3 /tmp/agent.log | tr '\n' ' ')"; return; }
oom: {max_tier: $1}
END
	echo "ok $1-start"
	wget -q -O - http://127.0.0.1:9102/metrics | grep '^telamon_hook_info' | sed 's/^/# /'
	# A probe that says yes where the kernel refuses the attachment costs a start in vain.
	check_not "$1-all-that-loads-attaches" has_metric '^telamon_hook_refused_info.*reason="attach_failed"'
	# What the tracepoint brings is no matter of the version: Debian's 5.10 has a number, all later ones the task.
	case $(telamon doctor hooks mark_victim) in
	*"(int)"*) check "$1-variant" live oom_kill tp_btf_pid ;;
	*) check "$1-variant" live oom_kill tp_btf_task ;;
	esac
	telamon lab oom --scenario all --limit 32MiB --step 8MiB --interval 10ms --parallel 4 >/tmp/lab.log 2>&1
	status=$?
	# One line per scenario; its facts stand below, indented.
	grep -v -e '^lab ' -e '^passed' -e '^bystander' -e '^ ' /tmp/lab.log | while read -r name verdict rest; do
		case $verdict in
		skipped*) echo "skip $1-$name - $rest" ;;
		ok) echo "ok $1-$name" ;;
		*) echo "not ok $1-$name - $(grep -E '^  (WRONG|missing)' /tmp/lab.log | tr '\n' ' ')" ;;
		esac
	done
	check "$1-bystander" grep -q '^bystander *alive' /tmp/lab.log
	[ $status -le 1 ] || echo "not ok $1-lab - $(tail -n 3 /tmp/lab.log | tr '\n' ' ')"
	check "$1-nothing-unseen" sh -c 'sleep 7; wget -q -O - http://127.0.0.1:9102/metrics | grep "^telamon_oom_unseen_kills_total 0$"'
	check "$1-nothing-lost" sh -c 'wget -q -O - http://127.0.0.1:9102/metrics | grep "^telamon_oom_lost_total{reason=\"decode\"} 0$"'
	stop_agent
}

lab any
lab tracepoint
