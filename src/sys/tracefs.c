/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tracefs, mounted or not
 *
 * Formats and ids of the classic tracepoints stand there. Not every system mounts it, containers least of all, and a mount into
 * the host's tree would change the host. A detached one is seen by this process and by what it forks alone, and ends with them.
 */

#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "base/cleanup.h"
#include "base/fs.h"
#include "base/macro.h"
#include "base/parse.h"
#include "sys/tracefs.h"

static int open_detached(void)
{
	_cleanup_(closep) int context = fsopen("tracefs", FSOPEN_CLOEXEC);
	_cleanup_(closep) int mount = -1;
	int fd;

	if (context < 0 || fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -errno;
	mount = fsmount(context, FSMOUNT_CLOEXEC,
			MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV |
				MOUNT_ATTR_NOEXEC);
	if (mount < 0)
		return -errno;
	fd = openat(mount, "events", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int tracefs_open_events(bool may_mount, bool *ret_detached)
{
	static const char *const places[] = { "/sys/kernel/tracing/events",
					      "/sys/kernel/debug/tracing/events" };
	int fd;

	*ret_detached = false;
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		fd = open(places[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd >= 0)
			return fd;
	}
	/* Not tried in vain: a filter of system calls may punish the attempt. */
	fd = may_mount ? open_detached() : -EPERM;
	if (fd < 0)
		return -ENOENT;
	*ret_detached = true;
	return fd;
}

static int read_id(int events_fd, const char *point, uint64_t *ret)
{
	char path[160], text[32];
	int r;

	(void)snprintf(path, sizeof(path), "%s/id", point);
	r = fs_read_into(events_fd, path, text, sizeof(text));
	if (r < 0)
		return r;
	text[strcspn(text, "\n")] = '\0';
	return parse_u64(text, ret);
}

int tracefs_attach(int events_fd, struct bpf_program *p, struct bpf_link **ret)
{
	struct perf_event_attr attr = { .type = PERF_TYPE_TRACEPOINT, .size = sizeof(attr) };
	const char *section = bpf_program__section_name(p);
	_cleanup_(closep) int event = -1;
	uint64_t id;
	int r;

	if (strncmp(section, "tp/", strlen("tp/")) != 0)
		return -EINVAL;
	r = read_id(events_fd, section + strlen("tp/"), &id);
	if (r < 0)
		return r;
	attr.config = id;
	/* The program runs on every CPU and for all tasks, whatever CPU the event is opened for. */
	event = (int)syscall(__NR_perf_event_open, &attr, -1, 0, -1, PERF_FLAG_FD_CLOEXEC);
	if (event < 0)
		return -errno;
	*ret = bpf_program__attach_perf_event(p, event);
	if (!*ret)
		return -errno;
	event = -1; /* the link's from now on */
	return 0;
}
