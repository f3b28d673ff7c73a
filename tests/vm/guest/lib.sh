#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What scenarios share: one line per check.
url=http://127.0.0.1:9102

check() { # name, command...
	name=$1
	shift
	if "$@" >/tmp/check.log 2>&1; then
		echo "ok $name"
	else
		echo "not ok $name - $(head -n 3 /tmp/check.log | tr '\n' ' ')"
	fi
}

check_not() { # name, command...
	name=$1
	shift
	if "$@" >/tmp/check.log 2>&1; then
		echo "not ok $name - $(head -n 3 /tmp/check.log | tr '\n' ' ')"
	else
		echo "ok $name"
	fi
}

as= # words before the agent's name: with which rights it runs
start_agent() { # configuration lines on stdin
	mkdir -p /run/telamon /tmp
	cat >/tmp/agent.yaml
	# shellcheck disable=SC2086 # words of $as
	$as telamon-agent --config.file=/tmp/agent.yaml --web.listen-address=127.0.0.1:9102 >/tmp/agent.log 2>&1 &
	agent=$!
	for _ in $(seq 1 300); do
		wget -q -O /dev/null $url/-/ready 2>/dev/null && return 0
		kill -0 "$agent" 2>/dev/null || break
		sleep 0.1
	done
	cat /tmp/agent.log
	return 1
}

start() { # name of the check, tier: the agent with short waits
	if start_agent >/tmp/start.log <<END; then
oom: {wait: 500ms, max_tier: $2}
END
		echo "ok $1"
	else
		echo "not ok $1 - $(tail -n 3 /tmp/start.log | tr '\n' ' ')"
		return 1
	fi
}

stop_agent() {
	kill "$agent" 2>/dev/null
	wait "$agent"
}

has_metric() { # basic regular expression
	wget -q -O - $url/metrics >/tmp/metrics
	grep "$1" /tmp/metrics && return 0
	grep "${1%%[\{ ]*}" /tmp/metrics
	return 1
}

live() { # capability, variant: is it live?
	has_metric "^telamon_hook_info{capability=\"$1\",variant=\"$2\"} 1"
}

doctor_says() { # basic regular expression
	telamon doctor >/tmp/doctor 2>&1
	grep "$1" /tmp/doctor && return 0
	grep "^${1%% *}" /tmp/doctor
	return 1
}

# Waits for the record of a process and leaves it in /tmp/record.
record() { # pid
	for _ in $(seq 1 60); do
		telamon oom --format json 2>/dev/null | grep "\"process.pid\":$1," | tail -n 1 >/tmp/record
		[ ! -s /tmp/record ] || return 0
		sleep 0.2
	done
	echo "no record of $1:" "$(telamon oom 2>&1 | tail -n 2)"
	return 1
}

# One fact of the record in /tmp/record; the value as in JSON, a basic regular expression.
fact() { # name of the check, key without telamon.oom., value
	if grep -q "\"telamon\.oom\.$2\":$3[,}]" /tmp/record; then
		echo "ok $1"
	else
		echo "not ok $1 - $2 is not $3 but$(grep -o "\"telamon\.oom\.$2\":[^,}]*" /tmp/record |
			head -n 1 | sed 's/[^:]*:/ /') ($(grep -o '"telamon\.hook":[^]]*' /tmp/record))"
	fi
}

absent() { # name of the check, text
	if [ -s /tmp/record ] && ! grep -q "$2" /tmp/record; then
		echo "ok $1"
	else
		echo "not ok $1 - the record has $2"
	fi
}
