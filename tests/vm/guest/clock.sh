#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The wall clock is stepped, forward and back, while a record waits for its group to be through and while the agent does not get to run:
# each stamp is of the clock as it stood at the kill, and so is all else in that record.
# shellcheck source=tests/vm/guest/lib.sh
. /guest/lib.sh

ns_of() { # key: its time in nanoseconds
	text=$(sed -n "s/.*\"$1\":\"\([^\"]*\)Z\".*/\1/p" /tmp/record)
	seconds=$(date -u -d "$(echo "${text%.*}" | tr T ' ')" +%s)
	fraction=$(printf '%s000000000' "${text#*.}" | cut -c 1-9)
	echo $((seconds * 1000000000 + 1$fraction - 1000000000))
}

near() { # nanoseconds, nanoseconds: less than 1 ms apart
	difference=$(($1 - $2))
	echo "$difference ns apart"
	[ ${difference#-} -lt 1000000 ]
}

follows() { # nanoseconds, nanoseconds: later, but by less than a step
	echo "$1 after $2"
	[ "$1" -ge "$2" ] && [ $(($1 - $2)) -lt 1800000000000 ]
}

stamped() { # name, pid, by how much the wall clock was ahead of the time since boot
	check "$1-recorded" record "$2"
	boot=$(sed -n 's/.*"telamon.boottime_ns":"\([0-9]*\)".*/\1/p' /tmp/record)
	start=$(sed -n 's/.*"telamon.process.id":"[^"]*-\([0-9]*\)".*/\1/p' /tmp/record)
	check "$1-stamp" near $(($(ns_of timestamp) - boot)) "$3"
	check "$1-start" near $(($(ns_of process.creation.time) - start)) "$3"
}

hog() { # cgroup
	vm_hog -a 500 -c "$1" 256 &
	victim=$!
	wait $victim
}

small=/sys/fs/cgroup/small
group=/sys/fs/cgroup/group
echo "+memory" >/sys/fs/cgroup/cgroup.subtree_control
mkdir $small $group
echo 32M >$small/memory.max
echo 32M >$group/memory.max
echo 1 >$group/memory.oom.group

# Without a hook on the kernel's decision a group's record waits for more members as long as it may.
start_agent <<END || { echo "not ok start - $(tail -n 3 /tmp/agent.log | tr '\n' ' ')"; return; }
oom: {wait: 5s, max_tier: tracepoint}
END
at_boot=$(vm_clock)
hog $small
before=$victim
stamped before "$before" "$at_boot"

vm_hog -c $group -h 2 &
member=$!
sleep 1
hog $group
waiting=$victim
wait $member
ahead=$(vm_clock 3600)
check_not waiting-is-not-told sh -c "telamon oom --format json | grep '\"process.pid\":$waiting,'"
hog $small
after=$victim
stamped waiting "$waiting" "$at_boot"
check waiting-ends follows "$(ns_of exit.time)" "$(ns_of timestamp)"
stamped waiting-member "$member" "$at_boot"
stamped after "$after" "$ahead"

# What the agent finds when it gets to run: a kill, then the step; then the step, and a kill.
kill -STOP "$agent"
hog $small
stopped=$victim
back=$(vm_clock -7200)
kill -CONT "$agent"
stamped stopped "$stopped" "$ahead"
hog $small
stamped back "$victim" "$back"
kill -STOP "$agent"
again=$(vm_clock 3600)
hog $small
late=$victim
kill -CONT "$agent"
stamped late "$late" "$again"
stamped before-still "$before" "$at_boot"
check steps-counted has_metric '^telamon_clock_steps_total 3$'
check counted has_metric '^telamon_oom_node_kills_total{scope="memcg",role="chosen"} 6$'
stop_agent
