#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Boots the guest of the benchmarks for one scenario (bench/guest/SCENARIO.sh) and unpacks what it left in /results.
# Usage: bench/vm.sh SCENARIO DIRECTORY [KERNEL ARGUMENT...]; BUILD names the build directory, BENCH_MEMORY (2G) the guest's memory,
# BENCH_TIMEOUT (1800) the seconds after which it is ended. No KVM is asked for: the guest is emulated, its times are long.
set -eu
cd "$(dirname "$0")/.."

# The whole is read before it runs: a guest takes long, and this file may change meanwhile.
{
build=${BUILD:-build}
scenario=$1
results=$2
shift 2
tests/vm/fetch.sh qemu
image=$(bench/image.sh)
mkdir -p "$results"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Our programs and their libraries, as a second archive that the kernel unpacks over the first.
root=$work/root/telamon
mkdir -p "$root/bin" "$root/lib" "$root/guest"
for program in "$build/telamon-agent" "$build/telamon" "$build/bench/bench_load" "$build/bench/bench_kmsg"; do
	cp "$program" "$root/bin/"
	ldd "$program" 2>/dev/null | sed -n 's/.* => \(\/[^ ]*\) .*/\1/p' | while read -r library; do
		[ -e "$root/lib/$(basename "$library")" ] || cp -L "$library" "$root/lib/"
	done
done
# The guest's own libc: it is of the same release as the host's.
rm -f "$root"/lib/libc.so.* "$root"/lib/libm.so.* "$root"/lib/libpthread.so.* "$root"/lib/libdl.so.*
cp bench/guest/*.sh bench/guest/*.py "$root/guest/"
chmod +x "$root"/guest/*.sh
(cd "$work/root" && find . | busybox cpio -o -H newc 2>/dev/null) | gzip -1 >"$work/ours"
cat "$image/initramfs" "$work/ours" >"$work/initramfs"
truncate -s 64M "$work/out"

timeout "${BENCH_TIMEOUT:-1800}" nice qemu-system-x86_64 -accel tcg -smp 2 -m "${BENCH_MEMORY:-2G}" -cpu Haswell-noTSX \
	-nographic -no-reboot -nic none -kernel "$image/vmlinuz" -initrd "$work/initramfs" \
	-drive "file=$image/disk,format=raw,if=virtio,snapshot=on" -drive "file=$work/out,format=raw,if=virtio" \
	-append "console=ttyS0 quiet panic=-1 scenario=$scenario $*" </dev/null >"$results/console" 2>&1 || :
tr -d '\r' <"$results/console" >"$results/console.text"
mv "$results/console.text" "$results/console"
grep -q '=== end' "$results/console" || {
	echo "bench: the guest did not finish, see $results/console" >&2
	tail -n 20 "$results/console" >&2
	exit 1
}
tar xf "$work/out" -C "$results"
cp "$image/versions" "$results/"
exit 0
}
