#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The host runs out of memory, again and again, each time under a new agent: is it alive afterwards, is the kill in its journal?
# shellcheck source=bench/guest/lib.sh
. /telamon/guest/lib.sh

runs=$(sed -n 's/.*\bruns=\([^ ]*\).*/\1/p' /proc/cmdline)
for n in $(seq 1 "$runs"); do
	rm -rf /var/lib/telamon
	mkdir -p /var/lib/telamon
	agent_start '' || echo "# run $n: no agent"
	kills=$(sed -n 's/^oom_kill //p' /proc/vmstat)
	# Nothing makes the hog the better victim: no adj, no limit; it competes with all that runs here.
	bench_load hog -e 65536 eat run "$n" &
	hog=$!
	wait $hog
	status=$?
	sleep 3
	alive=no
	kill -0 "$agent" 2>/dev/null && curl -sf -o /dev/null $url/-/ready && alive=yes
	agent_stop
	killed=$(($(sed -n 's/^oom_kill //p' /proc/vmstat) - kills))
	LD_LIBRARY_PATH=/telamon/lib telamon oom --journal /var/lib/telamon/journal.db --format json --limit 1000 >/tmp/found
	recorded=$(grep -c '"event.name":"oom.kill"' /tmp/found)
	hogs=$(grep -c "\"process.pid\":$hog," /tmp/found)
	scope=$(sed -n "/\"process.pid\":$hog,/s/.*\"telamon.oom.scope\":\"\([a-z]*\)\".*/\1/p" /tmp/found)
	echo "{\"run\":$n,\"status\":$status,\"alive\":\"$alive\",\"killed\":$killed,\"recorded\":$recorded,\"hog\":$hogs,\"scope\":\"$scope\"}" |
		tee -a $results/runs
done
