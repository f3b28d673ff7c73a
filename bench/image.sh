#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Makes the guest of the benchmarks, once: a Debian 12 with its cloud kernel and the peers (tier `peer` of
# packaging/debian-packages.txt) on an ext4 disk, and a small initramfs that mounts it. Prints the directory: disk, vmlinuz,
# initramfs, versions. Cached outside the tree; TELAMON_CACHE names another place. Needs root; the mirror is the host's own.
set -eu
cd "$(dirname "$0")/.."

cache=${TELAMON_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/telamon}
peers=$(sed -n 's/^\([a-z0-9.+-]*\) *# peer:.*/\1/p' packaging/debian-packages.txt | tr '\n' ' ')
id=$(echo "$peers" | cksum | cut -d ' ' -f 1)
image=$cache/bench-$id
[ ! -e "$image/versions" ] || {
	echo "$image"
	exit 0
}
work=$image.part
rm -rf "$work"
mkdir -p "$work/boot/modules"

root=$work/root
mmdebstrap --quiet --variant=minbase --mode=root --include="$(echo "$peers" | tr -s ' ' ',' | sed 's/,$//')" \
	--customize-hook=bench/image-hook.sh \
	bookworm "$root" "$(tests/vm/fetch.sh mirror)" >"$work/log" 2>&1 </dev/null || {
	cat "$work/log" >&2
	exit 1
}

modprobe=$(command -v modprobe || echo /sbin/modprobe)
version=$(find "$root/boot" -name 'vmlinuz-*' -printf '%f\n' | sed 's/vmlinuz-//')
mv "$root/boot/vmlinuz-$version" "$work/vmlinuz"
for module in virtio_pci virtio_blk ext4; do
	"$modprobe" -d "$root" -S "$version" --show-depends "$module" 2>/dev/null || : # built in
done | sed -n 's/^insmod \([^ ]*\).*/\1/p' | awk '!seen[$0]++' | while read -r file; do
	cp "$file" "$work/boot/modules/"
	echo "/modules/$(basename "$file")"
done >"$work/boot/modules.order"
mkdir -p "$work/boot/bin" "$work/boot/proc" "$work/boot/sys" "$work/boot/dev" "$work/boot/disk"
cp /bin/busybox "$work/boot/bin/"
cp bench/guest/initramfs.sh "$work/boot/init"
chmod +x "$work/boot/init"
(cd "$work/boot" && find . | busybox cpio -o -H newc 2>/dev/null) | gzip -1 >"$work/initramfs"

mv "$root/packages" "$work/packages"
truncate -s 4G "$work/disk"
mke2fs -q -t ext4 -O ^has_journal -d "$root" "$work/disk"
rm -rf "$root" "${work:?}/boot"
{
	echo "kernel $version"
	for package in $peers; do
		awk -v package="$package" '$1 == package { print $1, $2 }' "$work/packages"
	done
} >"$work/versions"
rm -rf "$image"
mv "$work" "$image"
echo "$image"
