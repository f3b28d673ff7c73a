#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# First process of a guest: mounts what a host has, runs one scenario, powers off. Kernel arguments: scenario=NAME cgroup=v2|v1|hybrid
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /var/lib
mkdir -p /dev/pts
argument() {
	sed -n "s/.*\b$1=\([^ ]*\).*/\1/p" /proc/cmdline
}
scenario=$(argument scenario)
mode=$(argument cgroup)
mount -t securityfs securityfs /sys/kernel/security 2>/dev/null
[ "$(argument tracefs)" = no ] || mount -t tracefs tracefs /sys/kernel/tracing 2>/dev/null
case $mode in
v1 | hybrid)
	mount -t tmpfs cgroup /sys/fs/cgroup
	for controller in memory cpu,cpuacct pids; do
		mkdir /sys/fs/cgroup/$controller
		mount -t cgroup -o $controller cgroup /sys/fs/cgroup/$controller
	done
	# As systemd does. Before v5.11 a limit above counts only with this.
	echo 1 >/sys/fs/cgroup/memory/memory.use_hierarchy 2>/dev/null
	if [ "$mode" = hybrid ]; then
		mkdir /sys/fs/cgroup/unified
		mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified
	fi
	;;
*) mount -t cgroup2 cgroup2 /sys/fs/cgroup ;;
esac
ip link set lo up
hostname guest
echo "=== guest $(uname -r) $scenario"
# shellcheck source=/dev/null
. "/guest/$scenario.sh"
echo "=== end"
poweroff -f
