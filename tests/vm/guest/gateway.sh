#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The gateway as it was installed, by the command of its unit and with that unit's restrictions, on a disk that outlives the guest. Its clients and
# its storages are on the host (tests/vm/gateway.py), which also gives the words of command on the console: kill, stop.
# shellcheck source=tests/vm/guest/lib.sh
. /guest/lib.sh

id=61184 # the first of those that DynamicUser= takes
state=/var/lib/telamon-route
unit=$(find / -xdev -name telamon-route.service)
start=$(sed -n 's/^ExecStart=//p' "$unit")

# ProtectSystem=strict, ProtectKernelTunables=yes, PrivateTmp=yes, PrivateDevices=yes in a mount namespace of its own, then the user without a right.
confined() {
	mount -o remount,bind,ro / &&
		mount -o remount,bind,ro /sys &&
		mount -o remount,bind,ro /proc &&
		mount -t tmpfs -o mode=755 tmpfs /dev || return
	for device in null:3 zero:5 random:8 urandom:9; do
		mknod -m 666 "/dev/${device%:*}" c 1 "${device#*:}"
	done
	mount -o remount,bind,ro /dev
	mount -t tmpfs tmpfs /tmp
	umask 0077
	# shellcheck disable=SC3045 # of busybox
	ulimit -n 65536
	# shellcheck disable=SC2086 # words of the unit
	exec /bin/setpriv --reuid $id --regid $id --clear-groups --bounding-set -all --inh-caps -all --no-new-privs \
		vm_confine /guest/system-service $start --web.listen-address=:8443 --web.config.file=/etc/telamon/web.yaml
}

start_gateway() {
	unshare -m sh -c '. /guest/gateway.sh' </dev/null >>/run/route.log 2>&1 &
	gateway=$!
	for _ in $(seq 1 300); do
		case $(readlink /proc/$gateway/exe) in
		*/telamon-route) return 0 ;;
		esac
		sleep 0.1
	done
	tail -n 5 /run/route.log
	return 1
}

has() { # lines of /proc/PID/status or mounts
	grep "$1" "/proc/$gateway/$2" || {
		grep "${1%%[ :]*}" "/proc/$gateway/$2"
		return 1
	}
}

restricted() {
	check "$boot-packaged-unit-has-a-user" grep '^DynamicUser=yes' "$unit"
	check "$boot-unprivileged-user" has "^Uid:	$id	$id	$id	$id" status
	check "$boot-unprivileged-group" has "^Groups:[	 ]*\$" status
	check "$boot-no-capability" [ "$(grep -c '^Cap[A-Za-z]*:	0*$' /proc/$gateway/status)" -eq 5 ]
	check "$boot-no-new-privileges" has '^NoNewPrivs:	1' status
	check "$boot-system-calls-filtered" has '^Seccomp:	2' status
	check "$boot-root-is-read-only" has ' / [a-z]* ro' mounts
	check "$boot-state-is-writable" has " $state ext4 rw" mounts
}

if [ "$$" -ne 1 ]; then
	confined
	exit 1
fi
while read -r module; do
	insmod "/modules/$module"
done </modules/modules.order
ip addr add 10.0.2.15/24 dev eth0
ip link set eth0 up
mkdir -p $state
for _ in $(seq 1 50); do
	[ ! -b /dev/vda ] || break
	sleep 0.1
done
boot=$(argument boot)
check "$boot-disk" mount -t ext4 /dev/vda $state
chown $id:$id $state
chmod 700 $state
chown $id:$id /etc/telamon/web.yaml /etc/telamon/server.*
check "$boot-packaged-configuration" /bin/setpriv --reuid $id --regid $id --clear-groups "${start%% *}" --config.file=/etc/telamon/route.yaml.packaged --config.check
start_gateway
restricted
echo "=== up"
while read -r command; do
	case $command in
	kill)
		kill -9 $gateway
		wait $gateway
		start_gateway
		echo "=== killed"
		;;
	stop)
		kill $gateway
		wait $gateway
		status=$?
		check "$boot-stopped" [ $status -eq 0 ]
		sed 's/^/# /' /run/route.log | tail -n 20
		break
		;;
	esac
done
umount $state
