#!/bin/busybox sh
# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=dash
# First process of the guests of the benchmarks: mounts the disk and hands over to the init of the second archive.
PATH=/bin
busybox mount -t proc proc /proc
busybox mount -t sysfs sysfs /sys
busybox mount -t devtmpfs dev /dev
while read -r module; do
	busybox insmod "$module" 2>/dev/null
done </modules.order
for _ in 1 2 3 4 5 6 7 8 9 10; do
	[ ! -b /dev/vda ] || break
	busybox sleep 0.3
done
busybox mount -t ext4 /dev/vda /disk || busybox poweroff -f
busybox mkdir -p /disk/telamon
busybox mount -t tmpfs tmpfs /disk/telamon
busybox cp -a /telamon/. /disk/telamon/
busybox mount -o move /proc /disk/proc
busybox mount -o move /sys /disk/sys
busybox mount -o move /dev /disk/dev
exec busybox switch_root /disk /telamon/guest/init.sh
