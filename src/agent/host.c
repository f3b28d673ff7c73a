/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of this node
 *
 * In a container the host's own name is not ours, so NODE_NAME (set by the downward API in our DaemonSet) wins, then
 * /etc/hostname below the root file system that we watch, then gethostname().
 */

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "agent/host.h"
#include "base/fs.h"

static void read_line(const char *rootfs, const char *path, char *ret, size_t size)
{
	char full[512];

	if (snprintf(full, sizeof(full), "%s%s", streq(rootfs, "/") ? "" : rootfs, path) >=
	    (int)sizeof(full))
		return;
	if (fs_read_into(AT_FDCWD, full, ret, size) < 0)
		ret[0] = '\0';
	ret[strcspn(ret, "\n")] = '\0';
}

void host_names_read(const char *rootfs, struct host_names *ret)
{
	const char *node = getenv("NODE_NAME");

	*ret = (struct host_names){};
	if (node && *node)
		(void)snprintf(ret->name, sizeof(ret->name), "%s", node);
	else if (!streq(rootfs, "/"))
		read_line(rootfs, "/etc/hostname", ret->name, sizeof(ret->name));
	if (!ret->name[0] && gethostname(ret->name, sizeof(ret->name) - 1) < 0)
		(void)snprintf(ret->name, sizeof(ret->name), "localhost");
	read_line(rootfs, "/etc/machine-id", ret->id, sizeof(ret->id));
	read_line("/", "/proc/sys/kernel/random/boot_id", ret->boot_id, sizeof(ret->boot_id));
}
