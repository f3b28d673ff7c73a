#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Init of the guests of the benchmarks: mounts what a host has, runs one scenario, hands its results over on the second disk.
export PATH=/telamon/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /tmp
mkdir -p /dev/pts /dev/shm /results
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
mount -t tmpfs tmpfs /results
mount -t securityfs securityfs /sys/kernel/security 2>/dev/null
mount -t tracefs tracefs /sys/kernel/tracing
mount -t debugfs debugfs /sys/kernel/debug
mount -t bpf bpf /sys/fs/bpf 2>/dev/null
mount -t cgroup2 cgroup2 /sys/fs/cgroup
ip link set lo up
hostname guest
scenario=$(sed -n 's/.*\bscenario=\([^ ]*\).*/\1/p' /proc/cmdline)
echo "=== guest $(uname -r) $scenario"
uname -r >/results/kernel
# shellcheck source=/dev/null
. "/telamon/guest/$scenario.sh"
tar cf /dev/vdb -C /results .
echo "=== end"
sync
echo b >/proc/sysrq-trigger
sleep 60
