/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdbool.h>

struct bpf_link;
struct bpf_program;

/*
 * Opens the directory "events" of tracefs: where it is mounted, else by a mount of its own that no path leads to, which needs
 * CAP_SYS_ADMIN (@may_mount) and is then told in @ret_detached. The caller closes it. -ENOENT: neither.
 */
int tracefs_open_events(bool may_mount, bool *ret_detached);
/*
 * Attaches a program of a section "tp/GROUP/EVENT" by the event's id below @events_fd; libbpf looks for a mounted tracefs only.
 * 0, the link is then the caller's; -errno.
 */
int tracefs_attach(int events_fd, struct bpf_program *p, struct bpf_link **ret);
