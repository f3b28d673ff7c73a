#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What the scenarios of guests share. Everything that a host script wants to read goes to /results.
url=http://127.0.0.1:9102
results=/results

agent_start() { # configuration
	mkdir -p /run/telamon /tmp/agent
	echo "${1:-}" >/tmp/agent/agent.yaml
	LD_LIBRARY_PATH=/telamon/lib telamon-agent --config.file=/tmp/agent/agent.yaml --web.listen-address=127.0.0.1:9102 \
		>>$results/agent.log 2>&1 &
	agent=$!
	wait_until "the agent" curl -sf -o /dev/null $url/-/ready
}

agent_stop() {
	kill "$agent"
	wait "$agent"
}

wait_until() { # what, command...
	what=$1
	shift
	for _ in $(seq 1 1200); do
		"$@" >/dev/null 2>&1 && return 0
		sleep 0.1
	done
	echo "# waited in vain for $what"
	return 1
}

events() { # query
	curl -s "$url/api/v1/events?$1"
}

metrics() {
	curl -s $url/metrics
}

# The peers; each writes lines at once, not when its buffer is full. Ready when it says so.
peer_start() { # bcc | libbpf | bpftrace | kmsg
	peer_log=$results/peer-$1.txt
	case $1 in
	bcc) PYTHONUNBUFFERED=1 oomkill-bpfcc >"$peer_log" 2>$results/peer-"$1".err & ;;
	libbpf) stdbuf -oL /usr/sbin/oomkill >"$peer_log" 2>$results/peer-"$1".err & ;;
	bpftrace) stdbuf -oL bpftrace /usr/sbin/oomkill.bt >"$peer_log" 2>$results/peer-"$1".err & ;;
	kmsg) bench_kmsg >"$peer_log" 2>$results/peer-"$1".err & ;;
	esac
	# shellcheck disable=SC2034 # for the callers
	peer=$!
	case $1 in
	kmsg) sleep 1 ;;
	*) wait_until "$1" grep -qi -e tracing -e hit "$peer_log" ;;
	esac
}

peer_stop() { # pid
	kill -INT "$1" 2>/dev/null
	sleep 1
	kill "$1" 2>/dev/null
	wait "$1" 2>/dev/null
}
