#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Fetches what guests need, once: qemu (installed from bookworm-backports, because 7.2 crashes guests at random under TCG) and
# kernels of four Debian releases with the modules that disk and network need, unpacked into a cache outside the tree. Prints `NAME PATH` per kernel.
# With `mirror` it only prints the mirror, with `qemu` it only sees to that.
# The mirror is the one of this host's own apt sources; signatures are checked by apt.
set -eu

cache=${TELAMON_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/telamon}
apt=$cache/apt
kernels=$cache/kernels
mkdir -p "$apt/lists/partial" "$apt/archives/partial" "$kernels"

# name, release, pattern of the package that holds /boot/vmlinuz
table='5.10 bullseye ^linux-image-5\.10\.0-[0-9]+-cloud-amd64$
6.1 bookworm ^linux-image-6\.1\.0-[0-9]+-cloud-amd64$
6.12 bookworm-backports ^linux-image-6\.12\.[0-9]+\+deb12(\.[0-9]+)?-cloud-amd64$
7.2 sid ^linux-binary-unsigned-[0-9].*-cloud-amd64$'

mirror() {
	{
		sed -n 's/^deb  *\(\[[^]]*\] *\)\{0,1\}\(http[^ ]*debian\/*\) .*/\2/p' /etc/apt/sources.list 2>/dev/null || :
		cat /etc/apt/sources.list.d/*.list 2>/dev/null |
			sed -n 's/^deb  *\(\[[^]]*\] *\)\{0,1\}\(http[^ ]*debian\/*\) .*/\2/p'
		cat /etc/apt/sources.list.d/*.sources 2>/dev/null | sed -n 's/^URIs: *\([^ ]*debian\/*\) *$/\1/p'
	} | grep -v security | head -n 1
}

private_apt() { # list of sources, command, arguments
	list=$1
	command=$2
	shift 2
	"$command" -o Dir::Etc::sourcelist="$apt/$list" -o Dir::Etc::sourceparts=/dev/null \
		-o Dir::State::lists="$apt/lists" -o Dir::Cache::archives="$apt/archives" \
		-o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= -o APT::Sandbox::User=root \
		-o Acquire::Check-Valid-Until=false "$@"
}

update() {
	[ ! -e "$apt/host.list" ] || return 0
	uri=$(mirror)
	[ -n "$uri" ] || {
		echo "fetch: no Debian mirror in the apt sources" >&2
		exit 1
	}
	keyring=/usr/share/keyrings/debian-archive-keyring.gpg
	for release in bullseye bookworm bookworm-backports sid; do
		echo "deb [signed-by=$keyring arch=amd64] $uri $release main"
	done >"$apt/kernels.list"
	private_apt kernels.list apt-get update -qq
	# What is installed into this host comes from its own release and its backports alone: never a libc of sid.
	grep bookworm "$apt/kernels.list" >"$apt/host.list"
}

# What a guest needs for a disk and a network, in the order in which they load, and their names in modules.order.
take_modules() { # directory with lib/modules or usr/lib/modules, where to
	[ -d "$1/lib/modules" ] || mv "$1/usr/lib" "$1/lib" # where newer packages keep them
	version=$(cd "$1/lib/modules" && echo *)
	depmod -b "$1" "$version" 2>/dev/null # what is built in it does not know of
	mkdir -p "$2"
	for module in virtio_pci virtio_blk virtio_net ext4 crc32c_generic; do
		modprobe -d "$1" -S "$version" --show-depends "$module" 2>/dev/null || : # built in
	done | sed -n 's/^insmod \([^ ]*\).*/\1/p' | awk '!seen[$0]++' | while read -r file; do
		case $file in
		*.xz) xz -d "$file" && file=${file%.xz} ;;
		esac
		cp "$file" "$2/"
		basename "$file"
	done >"$2.order"
	mv "$2.order" "$2/modules.order"
}

fetch_kernel() { # name, release, pattern
	[ ! -e "$kernels/$1/vmlinuz" ] || [ ! -e "$kernels/$1/modules/modules.order" ] || return 0
	update
	package=$(private_apt kernels.list apt-cache pkgnames linux- | grep -E "$3" | sort -V | tail -n 1)
	[ -n "$package" ] || {
		echo "fetch: no package matches $3" >&2
		return 1
	}
	work=$kernels/$1.part
	rm -rf "$work"
	mkdir -p "$work/deb" "$work/root"
	packages=$package
	case $package in # the newest keep modules in a package of their own
	linux-binary-unsigned-*) packages="$package linux-modules-${package#linux-binary-unsigned-}" ;;
	esac
	# shellcheck disable=SC2086 # words
	(cd "$work/deb" && private_apt kernels.list apt-get download -qq $packages)
	for deb in "$work"/deb/*.deb; do
		dpkg-deb -x "$deb" "$work/root"
	done
	mkdir -p "$kernels/$1"
	take_modules "$work/root" "$kernels/$1/modules"
	# Newer packages keep it below /usr/lib.
	find "$work/root" -type f -name 'vmlinuz*' -exec cp {} "$kernels/$1/vmlinuz" \;
	[ -e "$kernels/$1/vmlinuz" ] || {
		echo "fetch: there is no kernel in $package" >&2
		return 1
	}
	echo "$package" >"$kernels/$1/package"
	rm -rf "$work"
}

fetch_qemu() {
	case $(qemu-system-x86_64 --version 2>/dev/null) in
	*version\ 1[0-9].* | *version\ [89].*) return 0 ;;
	esac
	[ "$(id -u)" -eq 0 ] || {
		echo "fetch: only root can install qemu" >&2
		exit 1
	}
	update
	DEBIAN_FRONTEND=noninteractive private_apt host.list apt-get install -y -qq --no-install-recommends \
		-t bookworm-backports qemu-system-x86 >"$cache/qemu.log" 2>&1 || {
		cat "$cache/qemu.log" >&2
		return 1
	}
}

case ${1:-} in
mirror) mirror ;;
qemu) fetch_qemu ;;
esac
[ $# -eq 0 ] || exit 0
fetch_qemu
failed=$kernels/failed
rm -f "$failed"
echo "$table" | while read -r name release pattern; do
	fetch_kernel "$name" "$release" "$pattern" >&2 || : >"$failed"
	[ ! -e "$kernels/$name/vmlinuz" ] || echo "$name $kernels/$name/vmlinuz"
done
[ ! -e "$failed" ]
