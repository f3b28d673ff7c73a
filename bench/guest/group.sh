#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# One group of $members processes, then a pair that shares its memory, under the eyes of all.
# shellcheck source=bench/guest/lib.sh
. /telamon/guest/lib.sh
members=$(sed -n 's/.*\bmembers=\([^ ]*\).*/\1/p' /proc/cmdline)

peers=
for name in libbpf bpftrace bcc kmsg; do
	peer_start $name
	peers="$peers $peer"
done
for tier in any tracepoint; do
	agent_start "oom: {max_tier: $tier}"
	for what in "group $members" shared_mm; do
		name=${what%% *}
		# shellcheck disable=SC2086 # words of $what
		echo go | bench_load $what | grep -v ready >"$results/$name-$tier.truth"
		sleep 10
	done
	events 'type=oom.kill&limit=10000' >$results/$tier.events
	metrics >$results/$tier.metrics
	grep oom_kill /proc/vmstat >$results/$tier.vmstat
	agent_stop
done
for pid in $peers; do
	peer_stop "$pid"
done
