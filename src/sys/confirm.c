/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Does a runtime's file mean this cgroup?
 *
 * The name of a cgroup is what its maker wrote. A container is believed when a file of its runtime states the same cgroup: the
 * state of runc or crun (a path of the file system), linux.cgroupsPath (a path, or the systemd form), or, where none of them
 * can be read, the pod that the kubelet's link names.
 */

#include <string.h>
#include "base/macro.h"
#include "sys/confirm.h"

/* runc states the path from the mount point on, crun may add a group of its own below. */
static bool state_names(const char *stated, const char *own, size_t len)
{
	for (const char *p = stated; (p = strchr(p, '/')); p++)
		if (strncmp(p, own, len) == 0 && (p[len] == '\0' || p[len] == '/'))
			return true;
	return false;
}

static bool equals(const char *own, size_t len, const char *s)
{
	return strlen(s) == len && memcmp(own, s, len) == 0;
}

/* "a-b.slice:prefix:name" is "/a.slice/a-b.slice/prefix-name.scope" (runc, libcontainer/cgroups/systemd). */
static bool systemd_names(const char *stated, const char *own, size_t len, bool user)
{
	const char *prefix = strchr(stated, ':') + 1, *name = strchr(prefix, ':') + 1;
	size_t slice_len = (size_t)(prefix - stated) - 1;
	char path[2048] = "";
	size_t n = 0;

	if (slice_len == 0) {
		stated = user ? "user.slice" : "system.slice";
		slice_len = strlen(stated);
	}
	for (size_t i = 1; i < slice_len && n < sizeof(path); i++)
		if (stated[i] == '-')
			n += (size_t)snprintf(path + n, sizeof(path) - n, "/%.*s.slice", (int)i,
					      stated);
	if (n < sizeof(path) && stated[0] != '-')
		n += (size_t)snprintf(path + n, sizeof(path) - n, "/%.*s", (int)slice_len, stated);
	if (n < sizeof(path))
		n += (size_t)snprintf(path + n, sizeof(path) - n, "/%.*s%s%s.scope",
				      (int)(name - prefix - 1), prefix,
				      name - prefix > 1 ? "-" : "", name);
	return n < sizeof(path) && equals(own, len, path);
}

/* linux.cgroupsPath of config.json: a path, or what a systemd driver makes one of. */
static bool config_names(const struct oci_info *info, const char *own, size_t len, size_t user_root)
{
	const char *stated = info->cgroups_path, *colon = strchr(stated, ':');
	const char *leaf = memrchr(own, '/', len);

	if (equals(own, len, stated) || (stated[0] != '/' && equals(own + 1, len - 1, stated)))
		return true;
	if (!colon || !strchr(colon + 1, ':'))
		return false;
	/* A cgroupfs driver took the systemd form for a name, below the cgroup of the runtime itself. */
	if (equals(leaf + 1, (size_t)(own + len - leaf) - 1, stated))
		return true;
	if (!info->user_file)
		return systemd_names(stated, own, len, false);
	return user_root && systemd_names(stated, own + user_root, len - user_root, true);
}

enum confirm confirm_container(const struct cgname *n, const char *path, bool root_owned,
			       const struct oci_info *info)
{
	const char *own = path + n->container_path.offset;
	size_t len = n->container_path.length;

	if (!n->container || !info->found)
		return CONFIRM_NOTHING;
	if (info->cgroup_path[0])
		return state_names(info->cgroup_path, own, len) ? CONFIRM_OURS : CONFIRM_ANOTHER;
	if (info->cgroups_path[0])
		return config_names(info, own, len, n->user_root.length) ? CONFIRM_OURS
									 : CONFIRM_ANOTHER;
	/* The kubelet's own directory was made by root, and the file has its pod and this id. */
	if (n->kind == CGNAME_K8S && root_owned && info->pod_uid[0])
		return streq(info->pod_uid, n->pod_uid) ? CONFIRM_OURS : CONFIRM_ANOTHER;
	return CONFIRM_NOTHING;
}
