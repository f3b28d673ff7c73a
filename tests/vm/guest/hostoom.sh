#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The host runs out of memory, and sysrq f: the agent lives and tells the scope.
# shellcheck source=tests/vm/guest/lib.sh
. /guest/lib.sh

record() { # scope
	for _ in $(seq 1 60); do
		telamon oom --format json --scope "$1" 2>/dev/null | grep '"oom.kill"' >/tmp/record && return 0
		sleep 0.2
	done
	telamon oom --format json
	return 1
}

start_agent <<END || echo "not ok start - $(tail -n 3 /tmp/agent.log | tr '\n' ' ')"
oom: {wait: 500ms}
END
check protected sh -c 'wget -q -O - http://127.0.0.1:9102/metrics | grep "telamon_agent_protection{what=\"adj\"} 1"'
sh -c 'echo 1000 >/proc/self/oom_score_adj; exec telamon __hog --total 8GiB --step 64MiB --timeout 60' </dev/zero >/dev/null 2>&1
check host-oom-recorded record global
check agent-survives kill -0 $agent
sh -c 'echo 1000 >/proc/self/oom_score_adj; exec telamon __hog --total 32MiB --hold --timeout 60' </dev/zero >/dev/null 2>&1 &
sleep 1
echo f >/proc/sysrq-trigger
check sysrq-recorded record sysrq
check agent-survives-sysrq kill -0 $agent
check journal-readable sh -c 'telamon oom show last --journal /var/lib/telamon/journal.db | grep "OOM kill"'
stop_agent
