/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "test.h"

#include <errno.h>
#include "sys/ociconf.h"

/* What the tests of runtime files share. */

#define C "9f2c4e8d0b7a61539f2c4e8d0b7a61539f2c4e8d0b7a61539f2c4e8d0b7a6153"
#define P "11ab22cd33ef44551122334455667788990011aabbccddeeff00112233445566"
#define U "1f0e7a3c-55d2-4a8b-9c1d-0123456789ab"
#define V "1f0e7a3c_55d2_4a8b_9c1d_0123456789ab"
#define FIXTURES TESTS_DIR "/fixtures/runtime/"
#define TASK "/run/containerd/io.containerd.runtime.v2.task/"
#define STORAGE "/run/containers/storage/overlay-containers/"

static const char *const keys[] = { "team", "nerdctl/namespace", NULL };

static inline int read_tree(const char *root, const char *id, const char *namespace, uint32_t uid,
			    struct oci_info *ret)
{
	struct oci_roots roots;
	int r;

	assert_int_equal(oci_roots_init(root, "/run", "/var/lib/containers", "/var/lib/docker",
					"/var/log", &roots),
			 0);
	roots.label_keys = keys;
	r = oci_read(&roots, id, namespace, uid, ret);
	oci_roots_done(&roots);
	return r;
}

static inline unsigned count_errors(const struct oci_info *i)
{
	unsigned n = 0;

	for (int s = 0; s < _OCI_SOURCE_MAX; s++)
		for (int e = 0; e < _OCI_ERROR_MAX; e++)
			n += i->errors[s][e];
	return n;
}
