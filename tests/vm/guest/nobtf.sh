#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Without BTF the classic tracepoint serves; without tracefs too, the kernel log.
# shellcheck source=tests/vm/guest/lib.sh
. /guest/lib.sh

mkdir -p /tmp/empty
mount -o bind /tmp/empty /sys/kernel/btf
start_agent <<END || echo "not ok start - $(tail -n 3 /tmp/agent.log | tr '\n' ' ')"
oom: {wait: 500ms}
END
check tracepoint-live live oom_kill tracepoint
check doctor-says-why sh -c 'telamon doctor | grep "oom_kill.*no_btf"'
telamon lab oom --limit 32MiB --interval 10ms --no-agent >/dev/null 2>&1
check kill-recorded sh -c 'sleep 2; telamon oom --format json | grep "oom_kill/tracepoint"'
stop_agent
umount /sys/kernel/tracing
start_agent <<END || echo "not ok start-kmsg - $(tail -n 3 /tmp/agent.log | tr '\n' ' ')"
oom: {wait: 500ms}
END
check kmsg-live live oom_kill kmsg
telamon lab oom --limit 32MiB --interval 10ms --no-agent >/dev/null 2>&1
check kill-recorded-from-kmsg sh -c 'sleep 2; telamon oom --format json | grep "oom_kill/kmsg"'
stop_agent
