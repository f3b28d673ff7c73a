#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Last step of the guest's root file system: the kernel whose headers are there. Usage: bench/image-hook.sh ROOT
# The image package is unpacked, not installed: its scripts would build an initramfs that nobody boots.
set -eu
root=$1
version=$(cd "$root/usr/src" && echo linux-headers-*-cloud-amd64)
version=${version#linux-headers-}

mkdir "$root/tmp/kernel"
chroot "$root" sh -c "cd /tmp/kernel && apt-get download -qq linux-image-$version && dpkg-deb -x linux-image-*.deb unpacked"
cp -a "$root/tmp/kernel/unpacked/boot/." "$root/boot/"
cp -a "$root/tmp/kernel/unpacked/lib/modules/." "$root/usr/lib/modules/"
rm -r "$root/tmp/kernel"
chroot "$root" depmod "$version"
chroot "$root" dpkg-query -W >"$root/packages"
rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/usr/share/doc/*
