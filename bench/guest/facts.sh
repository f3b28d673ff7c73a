#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# One kill under the eyes of all, and the truth about it (facts.py). The agent has the tracepoint tier alone.
# shellcheck source=bench/guest/lib.sh
. /telamon/guest/lib.sh

useradd --no-create-home --uid 1000 bench
peers=
for name in libbpf bpftrace bcc kmsg; do
	peer_start $name
	peers="$peers $peer"
done
prometheus-node-exporter --web.listen-address=127.0.0.1:9100 >/dev/null 2>&1 &
node=$!
wait_until node_exporter curl -sf -o $results/node-before.txt http://127.0.0.1:9100/metrics
agent_start 'oom: {max_tier: tracepoint}'
python3 /telamon/guest/facts.py $results/truth.json
sleep 5
events 'type=oom.kill&limit=100' >$results/events
curl -s -o $results/node.txt http://127.0.0.1:9100/metrics
dmesg >$results/dmesg
for pid in $peers; do
	peer_stop "$pid"
done
kill $node
agent_stop
