#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Rounds of kills, each under one observer alone, in turn. The kernel's own trace stamps everything on one clock: the decision
# (hook), the SIGKILL, the return of the agent's function that counts a victim, the write of a line by a peer.
# shellcheck source=bench/guest/lib.sh
. /telamon/guest/lib.sh
argument() {
	sed -n "s/.*\b$1=\([^ ]*\).*/\1/p" /proc/cmdline
}
trace=/sys/kernel/tracing
kills=$(argument kills)

trace_start() { # pid whose writes are of interest, 0 = none
	echo 0 >$trace/tracing_on
	echo mono >$trace/trace_clock
	echo >$trace/trace
	echo 4096 >$trace/buffer_size_kb
	echo 'sig==9 && code==128' >$trace/events/signal/signal_generate/filter
	echo "common_pid==$1" >$trace/events/syscalls/sys_enter_write/filter
	for event in signal/signal_generate syscalls/sys_enter_write kprobes/hook uprobes/counted; do
		echo 1 >$trace/events/$event/enable
	done
	echo 1 >$trace/tracing_on
}

trace_stop() { # file
	echo 0 >$trace/tracing_on
	grep -v '^#' $trace/trace >"$1"
	for event in signal/signal_generate syscalls/sys_enter_write kprobes/hook uprobes/counted; do
		echo 0 >$trace/events/$event/enable
	done
}

round() { # observer, pid, round
	sleep 3
	trace_start "$2"
	bench_load serial "$kills" 40 120 >"$results/$1-$3.truth"
	sleep 2
	trace_stop "$results/$1-$3.trace"
}

echo 'p:hook oom_kill_process' >>$trace/kprobe_events
echo "r:counted /telamon/bin/telamon-agent:$(argument counted)" >>$trace/uprobe_events
prometheus-node-exporter --web.listen-address=127.0.0.1:9100 >/dev/null 2>&1 &
node=$!
for n in $(seq 1 "$(argument rounds)"); do
	agent_start ''
	round telamon 0 "$n"
	metrics | grep telamon_oom_event_delay_seconds >"$results/telamon-$n.metrics"
	agent_stop
	for name in libbpf kmsg; do
		peer_start $name
		round $name $peer "$n"
		peer_stop $peer
	done
	python3 /telamon/guest/scrape.py >"$results/node-$n.scrapes" &
	scraper=$!
	round node 0 "$n"
	kill $scraper
	echo "# round $n of $(argument rounds) $(cut -d ' ' -f 1 /proc/uptime)"
done
kill $node
