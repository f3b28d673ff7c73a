#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What scenarios share: one line per check.
check() { # name, command...
	name=$1
	shift
	if "$@" >/tmp/check.log 2>&1; then
		echo "ok $name"
	else
		echo "not ok $name - $(head -n 3 /tmp/check.log | tr '\n' ' ')"
	fi
}

start_agent() { # configuration lines on stdin
	mkdir -p /run/telamon /tmp
	cat >/tmp/agent.yaml
	telamon-agent --config.file=/tmp/agent.yaml --web.listen-address=127.0.0.1:9102 >/tmp/agent.log 2>&1 &
	agent=$!
	for _ in $(seq 1 300); do
		wget -q -O /dev/null http://127.0.0.1:9102/-/ready 2>/dev/null && return 0
		kill -0 "$agent" 2>/dev/null || break
		sleep 0.1
	done
	cat /tmp/agent.log
	return 1
}

stop_agent() {
	kill "$agent" 2>/dev/null
	wait "$agent"
}

live() { # capability variant: is it live?
	wget -q -O - http://127.0.0.1:9102/metrics | grep "telamon_hook_info{capability=\"$1\",variant=\"$2\"} 1"
}
