#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Sources are hidden one after the other: BTF, so that the classic tracepoint serves; the mount of tracefs, which the agent then reaches
# by a mount of its own; the right to that mount, so that the kernel log serves; /dev/kmsg, counters.
# shellcheck source=tests/vm/guest/lib.sh
. /guest/lib.sh

kill_one() { # variant that must be live, prefix of the checks
	prefix=${2:-$1}
	vm_hog -a 1000 -c /sys/fs/cgroup/small 256 &
	victim=$!
	wait $victim
	[ "$1" != counters ] || return 0
	check "$prefix-recorded" record $victim
	check "$prefix-source" grep "oom_kill/$1" /tmp/record
	fact "$prefix-scope" scope '"memcg"'
	fact "$prefix-source-of-scope" scope.source '"\(kmsg\|stack\)"'
	fact "$prefix-limit" limit.cgroup.path '"\/small"'
	fact "$prefix-adj" victim.adj 1000
	fact "$prefix-rss" victim.rss.anon '3[0-9]\{7\}'
	check "$prefix-cgroup" grep '"telamon.cgroup.path":"/small"' /tmp/record
	check "$prefix-nothing-unseen" has_metric '^telamon_oom_unseen_kills_total 0$'
}

new_cgroup() { # no program tells of cgroups here, and the next scan is a minute away
	check inotify-live live cgroup_track inotify
	mkdir $small-new $small-new/below
	cgroups=$(find /sys/fs/cgroup -type d | wc -l)
	for _ in $(seq 1 50); do
		has_metric "^telamon_identity_watches $cgroups\$" >/dev/null && break
		sleep 0.2
	done
	check inotify-all-watched has_metric "^telamon_identity_watches $cgroups\$"
	check inotify-all-known sh -c "awk '/^telamon_identity_entries/ { n += \$2 } END { print n; exit n != $cgroups }' /tmp/metrics"
	rmdir $small-new/below $small-new
	sleep 2
	check inotify-watches-back has_metric "^telamon_identity_watches $((cgroups - 2))\$"
}

small=/sys/fs/cgroup/small
echo "+memory" >/sys/fs/cgroup/cgroup.subtree_control
mkdir $small
echo 32M >$small/memory.max
mkdir -p /tmp/empty
mount -o bind /tmp/empty /sys/kernel/btf

start tracepoint-start any && {
	check tracepoint-live live oom_kill tracepoint
	check tracepoint-doctor doctor_says 'oom_kill .*no_btf'
	kill_one tracepoint
	new_cgroup
	stop_agent
}

umount /sys/kernel/tracing
start detached-start any && {
	check detached-live live oom_kill tracepoint
	check detached-doctor doctor_says 'kernel .*tracefs not mounted, read by a detached mount'
	check_not detached-not-in-the-tree grep tracefs /proc/self/mounts
	kill_one tracepoint detached
	stop_agent
}

# By its path, because busybox has an applet of this name that knows no bounding set.
as='/bin/setpriv --bounding-set -sys_admin --inh-caps -all'
start kmsg-start any && {
	check kmsg-live live oom_kill kmsg
	check kmsg-doctor doctor_says 'oom_kill .*tracepoint no_file'
	kill_one kmsg
	stop_agent
}

mv /dev/kmsg /dev/hidden
start counters-start any && {
	check counters-live live oom_kill counters
	check counters-doctor doctor_says 'oom_kill .*kmsg no_file'
	telamon doctor >/dev/null 2>&1
	status=$?
	check counters-doctor-status [ $status -eq 3 ]
	kill_one counters
	for _ in $(seq 1 60); do
		has_metric '^telamon_oom_node_kills_total.* 1$' >/dev/null && break
		sleep 0.2
	done
	check counters-counted has_metric '^telamon_oom_node_kills_total.* 1$'
	check counters-cgroup sh -c "wget -q -O - '$url/api/v1/events?type=oom.unseen' | grep '/small'"
	stop_agent
}
mv /dev/hidden /dev/kmsg
