#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# One static check by name; `tools/check.sh list` names them. Exit 0 = good, 77 = the tool is missing.
set -eu
cd "$(dirname "$0")/.."
build=${BUILD:-build}

# Tracked files, or all where this is no checkout.
files() {
	git ls-files -- "$@" 2>/dev/null || find . -name "$1" -type f
}

need() {
	command -v "$1" >/dev/null 2>&1 || {
		echo "$1 is missing"
		exit 77
	}
}

case $1 in
list)
	echo includes format shell spelling licences docs
	;;
includes)
	/usr/bin/python3 tools/check-includes.py
	;;
format)
	need clang-format
	files '*.c' '*.h' | grep -v -e vmlinux.h -e events-schema.c -e unicode-tables.c | xargs clang-format --dry-run -Werror
	;;
shell)
	need shellcheck
	files '*.sh' dev .ci/run | xargs shellcheck
	;;
spelling)
	need codespell
	files '*.c' '*.h' '*.md' '*.rst' '*.py' '*.sh' | grep -v events-schema |
		xargs codespell -L ser,nd,te,hist,fo,ons,ot
	;;
licences)
	bad=0
	for file in $(files '*.c' '*.h' '*.py' '*.sh' 'meson.build' '*/meson.build'); do
		want=Apache-2.0
		case $file in bpf/*) want=GPL-2.0-only ;; esac
		head -n 3 "$file" | grep -q "SPDX-License-Identifier: $want" || {
			echo "$file: no SPDX-License-Identifier: $want"
			bad=1
		}
	done
	exit $bad
	;;
docs)
	for pair in metrics:docs/metrics.md configuration:docs/configuration.md \
		route-configuration:docs/route-configuration.md example:packaging/config/agent.yaml; do
		name=${pair%%:*} file=${pair#*:}
		"$build/gendocs" "$name" | diff -u "$file" - || {
			echo "$file is not what the tables say; mend it by: $build/gendocs $name >$file"
			exit 1
		}
	done
	;;
*)
	echo "check: there is no '$1'" >&2
	exit 2
	;;
esac
