#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Every benchmark, one after the other; figures go to bench/results. Needs root. BUILD names the build directory; ONLY a list of names.
# Exit 1 when a bar was missed or a benchmark could not run. Most of the time passes in emulated guests.
set -eu
cd "$(dirname "$0")/.."

missed=
for name in ${ONLY:-signal-cost parallel identity facts group delay hostile idle}; do
	echo "=== $name"
	bench/"$name" || missed="$missed $name"
done
[ -z "$missed" ] || {
	echo "bench: missed:$missed"
	exit 1
}
