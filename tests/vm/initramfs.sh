#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Builds the guest's root file system: busybox, our programs with their libraries, the scenario scripts.
# Usage: tests/vm/initramfs.sh BUILD OUTPUT
set -eu

build=$1
output=$2
here=$(dirname "$0")
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT

mkdir -p "$root/bin" "$root/sbin" "$root/proc" "$root/sys" "$root/dev" "$root/run" "$root/tmp" "$root/etc" \
	"$root/var/lib" "$root/cgroup" "$root/lib64" "$root/guest"
cp /bin/busybox "$root/bin/busybox"
for applet in sh mount umount cat echo grep sleep mkdir rmdir ls sed awk head tail wc kill poweroff reboot ip dmesg cut tr \
	printf seq timeout ps hostname wget sort uname sysctl mknod find touch rm mv stat uniq date; do
	ln -s busybox "$root/bin/$applet"
done
echo 'root:x:0:0:root:/:/bin/sh' >"$root/etc/passwd"
printf '127.0.0.1 localhost\n' >"$root/etc/hosts"

for program in "$build/telamon-agent" "$build/telamon" "$(command -v setpriv)" "$build/tests/live/oom_hooks" \
	"$build/tests/live/cgroup_track"; do
	cp "$program" "$root/bin/"
	strip "$root/bin/$(basename "$program")"
	ldd "$program" | sed -n 's/.* => \(\/[^ ]*\) .*/\1/p; s/^\t\(\/[^ ]*\) .*/\1/p' | while read -r library; do
		mkdir -p "$root$(dirname "$library")"
		cp -L "$library" "$root$library"
	done
done
cp "$build/tests/vm/vm_hog" "$build/tests/vm/vm_clock" "$build/tests/vm/vm_member" "$root/bin/"
cp "$here"/guest/*.sh "$root/guest/"
cp "$here/guest/init.sh" "$root/init"
chmod +x "$root/init"
(cd "$root" && find . | busybox cpio -o -H newc 2>/dev/null) | gzip -1 >"$output"
