#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Run by `meson install`: places the configuration where none is. Usage: install-config.sh FILE DIRECTORY
set -eu

directory=${DESTDIR:-}$2
target=$directory/$(basename "$1")
if [ -e "$target" ]; then
	exit 0
fi
mkdir -p "$directory"
cp "$1" "$target"
chmod 644 "$target"
