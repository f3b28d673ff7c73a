#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Installs the Debian packages of the given tiers (see packaging/debian-packages.txt) that are missing.
# Usage: tools/deps.sh TIER...
set -eu

list=$(dirname "$0")/../packaging/debian-packages.txt
want=
for tier in "$@"; do
	want="$want $(sed -n "s/^\([a-z0-9.+-]*\) *# $tier:.*/\1/p" "$list" | tr '\n' ' ')"
done

missing=
for package in $want; do
	state=$(dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null || :)
	case $state in
	ii*) ;;
	*) missing="$missing $package" ;;
	esac
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" -ne 0 ]; then
	echo "deps: only root can install:$missing" >&2
	exit 1
fi
echo "deps: installing$missing"
# A package may bring a service (prometheus listens on 9090); only its programs are wanted. Debian asks policy-rc.d before it
# starts one; a policy that the host has already is respected.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
	trap 'rm -f "$policy"' EXIT
	trap 'exit 130' INT TERM
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod 755 "$policy"
fi
apt-get update -qq
# shellcheck disable=SC2086 # one word per package
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
case "$missing " in
*" prometheus "*) update-rc.d prometheus disable >/dev/null ;; # nor at the next boot
esac
