#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# memory.stat of the limiting cgroup: by the kernel's functions at the mark itself where it has them, else out of the file.
# shellcheck source=tests/vm/guest/lib.sh
. /guest/lib.sh

same_as_usage() { # the parts make up the 32 MiB of the limit, but for what the kernel holds back per CPU
	awk 'BEGIN { RS = "," } /telamon\.oom\.stat\.(anon|file|kernel|sock)"/ { split($0, p, ":"); sum += p[2] }
		END { print "sum", sum; exit !(sum > 30000000 && sum <= 33554432) }' /tmp/record
}

stat_of() { # tier
	start "$1-start" "$1" || return
	for n in 1 2; do
		vm_hog -a 1000 -c /sys/fs/cgroup/pod/small 256 &
		victim=$!
		wait $victim
		check "$1-$n-recorded" record $victim
		for key in shmem kernel_stack file_mapped workingset_refault_file pgmajfault; do
			fact "$1-$n-$key" stat.$key '[0-9]*'
		done
		if live oom_stat kfunc >/dev/null; then
			fact "$1-$n-anon" stat.anon '3[0-9]\{7\}'
			fact "$1-$n-pagetables" stat.pagetables '[1-9][0-9]*'
			check "$1-$n-sum" same_as_usage
			fact "$1-$n-age" stat.age 0
		else # what is left: so small a victim has often exited before the file is read
			fact "$1-$n-anon" stat.anon '[0-9]*'
			fact "$1-$n-age" stat.age '0\.[0-9]*'
		fi
	done
	stop_agent
}

pod=/sys/fs/cgroup/pod
mkdir $pod
echo "+memory" >/sys/fs/cgroup/cgroup.subtree_control
echo "+memory" >$pod/cgroup.subtree_control
mkdir $pod/small
echo 32M >$pod/small/memory.max
if grep -q ' bpf_mem_cgroup_page_state$' /proc/kallsyms; then
	start functions-start any && {
		check functions-live live oom_stat kfunc
		stop_agent
	}
else
	start functions-start any && {
		check functions-missing doctor_says 'oom_stat .*kfunc no_kfunc'
		stop_agent
	}
fi
stat_of any
stat_of tracepoint
