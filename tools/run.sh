#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Starts the agent in the foreground with its embedded defaults and says where to look. Usage: tools/run.sh BUILD
set -eu

build=$1
address=${TELAMON_LISTEN_ADDRESS:-:9102}
port=${address##*:}

if [ "$(id -u)" -ne 0 ]; then
	echo "run: the agent loads eBPF programs and needs root" >&2
	exit 1
fi

cat <<END
telamon-agent starts; Ctrl-C stops it.

  in another terminal:
    $build/telamon lab oom          provoke a real OOM kill in a small cgroup and check what the agent said
    $build/telamon oom show last    who died, who asked, at which limit
    $build/telamon oom --follow     every kill as it happens
    $build/telamon doctor           what this host allows, and why not more
  in a browser or with curl:
    http://127.0.0.1:$port/metrics
    http://127.0.0.1:$port/api/v1/events?type=oom

END
exec "$build/telamon-agent" --web.listen-address="$address"
