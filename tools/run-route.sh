#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Starts the gateway with the example configuration and a sink that counts, in the foreground. Usage: tools/run-route.sh BUILD
set -eu

build=$1
storage=$(mktemp -d)
address=${TELAMON_LISTEN_ADDRESS:-127.0.0.1:8080}

"$build/telamon" route bench sink --listen 127.0.0.1:18428 --decode >"$storage/sink.log" 2>&1 &
sink=$!
# shellcheck disable=SC2317 # called by the trap
leave() {
	kill "$sink" 2>/dev/null || :
	rm -rf "$storage"
}
trap leave EXIT
trap 'exit 0' INT TERM

cat <<END
telamon-route starts on $address with packaging/config/route.yaml, and a sink that counts what it gets; Ctrl-C stops both.

  in another terminal:
    $build/telamon route bench --url http://$address/api/v1/write --duration 5s     send samples
    curl -s http://127.0.0.1:18428/stats                                          what arrived
    curl -s http://$address/metrics | grep ^telamon_route_                        what the gateway counted
    $build/telamon route explain --server http://$address 'up{job="node"}'         where a series goes

END
"$build/telamon-route" --config.file=packaging/config/route.yaml --web.listen-address="$address" --storage.path="$storage"
