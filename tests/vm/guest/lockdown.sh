#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Under lockdown=confidentiality no helper may read kernel memory and tracefs is gone: the direct builds serve.
# shellcheck source=tests/vm/guest/lib.sh
. /guest/lib.sh

echo "+memory" >/sys/fs/cgroup/cgroup.subtree_control
mkdir /sys/fs/cgroup/small
echo 32M >/sys/fs/cgroup/small/memory.max
check locked-down grep '\[confidentiality\]' /sys/kernel/security/lockdown
for tier in any tracepoint; do
	start $tier-start $tier || continue
	telamon doctor | grep '^oom_' | sed 's/^/# /'
	if live oom_kill tp_btf_task_direct >/dev/null || live oom_kill tp_btf_pid_direct >/dev/null; then
		echo "ok $tier-kill-direct"
	else
		echo "not ok $tier-kill-direct - $(grep 'capability="oom_kill"' /tmp/metrics)"
	fi
	check $tier-signal-direct live oom_signal tp_btf_direct
	check $tier-doctor-says-why doctor_says 'oom_kill .*lockdown'
	# As long as two scans of /proc take to come by: exec cannot be hooked.
	vm_hog -a 1000 -c /sys/fs/cgroup/small -w 22 256 &
	victim=$!
	wait $victim
	check $tier-recorded record $victim
	fact $tier-scope scope '"memcg"'
	fact $tier-role role '"chosen"'
	fact $tier-trigger trigger.pid $victim
	fact $tier-limit limit.cgroup.path '"\/small"'
	fact $tier-max limit.max 33554432
	fact $tier-adj victim.adj 1000
	fact $tier-rss victim.rss.anon '3[0-9]\{7\}'
	check $tier-cgroup grep '"telamon.cgroup.path":"/small"' /tmp/record
	fact $tier-complete complete true
	check $tier-exe grep '"process.executable.path":"/bin/vm_hog"' /tmp/record
	check $tier-nothing-unseen has_metric '^telamon_oom_unseen_kills_total 0$'
	stop_agent
done
