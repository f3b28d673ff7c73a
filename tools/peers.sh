#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Programs that tests and benchmarks compare with, from Debian packages of a newer release: unpacked once into a cache beside the tree, never installed.
# Prints one path per name. Go programs of sid run on any Debian; C programs that need its libc do not.
# Usage: tools/peers.sh NAME...   (vmagent victoria-metrics prometheus promtool)
set -eu

cache=${TELAMON_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/telamon}
apt=$cache/peers-apt
peers=$cache/peers

# name, package
table='prometheus prometheus
promtool promtool
vmagent victoria-metrics
victoria-metrics victoria-metrics'

mirror() {
	{
		sed -n 's/^deb  *\(\[[^]]*\] *\)\{0,1\}\(http[^ ]*debian\/*\) .*/\2/p' /etc/apt/sources.list 2>/dev/null || :
		cat /etc/apt/sources.list.d/*.list 2>/dev/null |
			sed -n 's/^deb  *\(\[[^]]*\] *\)\{0,1\}\(http[^ ]*debian\/*\) .*/\2/p'
		cat /etc/apt/sources.list.d/*.sources 2>/dev/null | sed -n 's/^URIs: *\([^ ]*debian\/*\) *$/\1/p'
	} | grep -v security | head -n 1
}

private_apt() { # command, arguments
	command=$1
	shift
	"$command" -o Dir::Etc::sourcelist="$apt/sid.list" -o Dir::Etc::sourceparts=/dev/null \
		-o Dir::State::lists="$apt/lists" -o Dir::Cache::archives="$apt/archives" \
		-o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= -o APT::Sandbox::User=root \
		-o Acquire::Check-Valid-Until=false "$@"
}

update() {
	[ ! -e "$apt/updated" ] || return 0
	uri=$(mirror)
	[ -n "$uri" ] || {
		echo "peers: no Debian mirror in the apt sources" >&2
		return 1
	}
	echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg arch=amd64] $uri sid main" >"$apt/sid.list"
	private_apt apt-get update -qq >&2
	: >"$apt/updated"
}

unpack() { # package
	[ ! -d "$peers/$1" ] || return 0
	update
	work=$peers/$1.part
	rm -rf "$work"
	mkdir -p "$work/deb" "$work/root"
	(cd "$work/deb" && private_apt apt-get download -qq "$1" >&2)
	dpkg-deb -x "$work"/deb/*.deb "$work/root"
	basename "$work"/deb/*.deb >"$work/root/package"
	mv "$work/root" "$peers/$1"
	rm -rf "$work"
}

mkdir -p "$apt/lists/partial" "$apt/archives/partial" "$peers"
exec 9>"$peers/lock"
flock 9
for name in "$@"; do
	package=$(echo "$table" | sed -n "s/^$name //p")
	[ -n "$package" ] || {
		echo "peers: there is no '$name'" >&2
		exit 2
	}
	unpack "$package"
	path=$peers/$package/usr/bin/$name
	[ -x "$path" ] || {
		echo "peers: there is no $name in $package" >&2
		exit 1
	}
	echo "$path"
done
