/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "sys/cgname.h"
#include "sys/ociconf.h"

enum confirm {
	CONFIRM_NOTHING, /* no file, or none that names a cgroup */
	CONFIRM_OURS,
	CONFIRM_ANOTHER, /* the container of this id lives elsewhere */
};
/* @n: of @path; @root_owned: its kubepods root belongs to uid 0. Pure (OOM-411). */
enum confirm confirm_container(const struct cgname *n, const char *path, bool root_owned,
			       const struct oci_info *info);
