#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Proves the package list: a committed clone of this tree in a fresh minimal Debian 12, where `./dev TARGET` has to install what
# it needs. Usage: tools/chroot-test.sh [TARGET...] (default: build test). Needs root and mmdebstrap; DIR names the chroot.
set -eu
cd "$(dirname "$0")/.."

[ "$(id -u)" -eq 0 ] || {
	echo "chroot-test: needs root" >&2
	exit 1
}
[ $# -gt 0 ] || set -- build test
root=${DIR:-$(mktemp -d)}
mirror=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources 2>/dev/null |
	sed -n -e 's/^deb  *\(\[[^]]*\] *\)\{0,1\}\(http[^ ]*debian\/*\) .*/\2/p' -e 's/^URIs: *\([^ ]*debian\/*\) *$/\1/p' |
	grep -v security | head -n 1)

# Bind mounts last in, first out; never a recursive removal with one of them still there.
leave() {
	for point in sys proc dev; do
		umount -R "$root/$point" 2>/dev/null || :
	done
	[ -n "${DIR:-}" ] || mountpoint -q "$root/proc" || mountpoint -q "$root/sys" || rm -rf --one-file-system "$root"
}
trap leave EXIT
trap 'exit 1' INT TERM

mmdebstrap --quiet --variant=minbase bookworm "$root" "$mirror"
git clone -q . "$root/telamon"
for point in dev proc sys; do
	mount --rbind "/$point" "$root/$point"
	mount --make-rslave "$root/$point"
done
cp /etc/resolv.conf "$root/etc/resolv.conf" 2>/dev/null || :
[ ! -d /etc/apt/apt.conf.d ] || cp /etc/apt/apt.conf.d/*proxy* "$root/etc/apt/apt.conf.d/" 2>/dev/null || :
for target in "$@"; do
	chroot "$root" /usr/bin/env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin sh -c "cd /telamon && ./dev $target"
done
