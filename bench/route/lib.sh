# SPDX-License-Identifier: Apache-2.0
# What the measurements of the gateway share; sourced from the root of the tree.
# shellcheck shell=sh disable=SC2154 # nodes, ack, rules, linger: of the case

build=${BUILD:-build}
command -v curl >/dev/null || {
	echo "curl is missing: it asks the sink for its totals" >&2
	exit 77
}
telamon=$build/telamon
work=$(mktemp -d)
tick=$(getconf CLK_TCK)
port=19700 # sinks from here on, the program under test at port + 9
url=http://127.0.0.1:$((port + 9))/api/v1/write
pids=

finish() {
	for pid in $pids; do kill "$pid" 2>/dev/null || :; done
	rm -rf "$work"
}
trap finish EXIT
trap 'exit 1' INT TERM

write_gateway_config() {
	{
		echo "defaults: {queue: {ack: $ack, min_free_disk: 0}, batch: {linger: $linger}}"
		[ -z "$limits" ] || echo "limits: $limits"
		echo "destinations:"
		echo "- name: sinks"
		echo "  nodes:"
		for i in $(seq 1 "$nodes"); do
			echo "  - {name: sink-$i, url: \"http://127.0.0.1:$((port + i))/api/v1/write\"}"
		done
		echo "routes:"
		echo "- name: all"
		echo "  destination: sinks"
		[ -z "$rules" ] || echo "  relabel_configs:"
		[ -z "$rules" ] || echo "$rules" | sed 's/^/  - /'
	} >"$work/route.yaml"
}

# --- programs ---

start_sink() {
	list=
	for i in $(seq 1 "$nodes"); do list=$list${list:+,}127.0.0.1:$((port + i)); done
	"$telamon" route bench sink --listen "$list" >/dev/null 2>&1 &
	sink=$!
	pids="$pids $sink"
}

start_gateway() {
	write_gateway_config
	command="$build/telamon-route --config.file=$work/route.yaml --web.listen-address=127.0.0.1:$((port + 9)) --storage.path=$work/queue"
	# shellcheck disable=SC2086
	$command >"$work/log" 2>&1 &
	program=$!
}

start_vmagent() {
	command="$vmagent -httpListenAddr=127.0.0.1:$((port + 9)) -remoteWrite.tmpDataPath=$work/queue -remoteWrite.shardByURL=$([ "$nodes" -gt 1 ] && echo true || echo false)"
	for i in $(seq 1 "$nodes"); do
		command="$command -remoteWrite.url=http://127.0.0.1:$((port + i))/api/v1/write -remoteWrite.forcePromProto=true"
	done
	if [ -n "$rules" ]; then
		echo "$rules" | sed 's/^/- /' >"$work/relabel.yaml"
		command="$command -remoteWrite.relabelConfig=$work/relabel.yaml"
	fi
	# shellcheck disable=SC2086
	$command >"$work/log" 2>&1 &
	program=$!
}

ready() {
	for _ in $(seq 1 200); do
		"$telamon" route bench --url "$url" --body b --series 1 --requests 1 --duration 5s >/dev/null 2>&1 && return 0
		kill -0 "$program" 2>/dev/null || break
		sleep 0.05
	done
	echo "$1 did not start:" >&2
	tail -n 5 "$work/log" >&2
	return 1
}

cpu_ticks() {
	sed 's/.*) //' "/proc/$program/stat" | awk '{ print $12 + $13 }'
}

sink_bytes() {
	curl -s "http://127.0.0.1:$((port + 1))/stats" | sed 's/.*"bytes":\([0-9]*\).*/\1/'
}

# Until nothing has come for a second.
settle() {
	before=-1
	for _ in $(seq 1 120); do
		now=$(sink_bytes)
		[ "$now" != "$before" ] || return 0
		before=$now
		sleep 1
	done
	echo "the sink still receives after two minutes" >&2
	return 1
}

field() { # name in the generator's JSON
	sed "s/.*\"$1\":\([0-9.]*\).*/\1/" "$work/result"
}

# A command without what is of this machine alone.
shown() {
	echo "$1" | sed "s# [^ ]*/vmagent # vmagent #; s# $build/# build/#; s#$work/##g"
}

median() { # file, column
	cut -d' ' -f"$2" "$1" | sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'
}
