#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
. /telamon/guest/lib.sh
dpkg -L bpfcc-tools libbpf-tools bpftrace prometheus-node-exporter | grep -E 'oomkill|bin/.*(node|oomkill)' >$results/files
time peer_start libbpf; lp=$peer
time peer_start bpftrace; bp=$peer
time peer_start bcc; cp=$peer
time peer_start kmsg; kp=$peer
agent_start </dev/null
echo go | bench_load shared_mm >$results/shared
sleep 3
events type=oom >$results/events
peer_stop $lp; peer_stop $bp; peer_stop $cp; peer_stop $kp
agent_stop
dmesg | tail -80 >$results/dmesg
