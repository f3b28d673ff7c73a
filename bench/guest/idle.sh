#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Nothing happens, for a while: what does it cost to wait for an OOM kill? Agent and libbpf-tools oomkill side by side.
# shellcheck source=bench/guest/lib.sh
. /telamon/guest/lib.sh
argument() {
	sed -n "s/.*\b$1=\([^ ]*\).*/\1/p" /proc/cmdline
}

mkfifo /tmp/end
bench_load calm 500 100 </tmp/end >/tmp/calm &
exec 9>/tmp/end
wait_until "500 processes" grep -q ready /tmp/calm
agent_start 'oom: {enabled: true}'
peer_start libbpf
sleep 30 # starts are over
python3 /telamon/guest/idle.py "$(argument seconds)" "agent=$agent" "libbpf=$peer" >$results/idle.json
peer_stop "$peer"
agent_stop
echo >&9
wait
