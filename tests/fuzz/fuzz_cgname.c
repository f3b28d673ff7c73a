/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz-sources: src/sys/cgname.c src/sys/cgname-text.c */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include "fuzz.h"
#include "sys/cgname.h"

static void check(const char *path, size_t len, struct cgname_text t)
{
	char buf[256];

	assert(t.offset + t.length <= (int)len);
	assert(cgname_unescape(path + t.offset, t.length, buf, sizeof(buf)) < sizeof(buf));
}

/* Any path: captures lie within it; any pod name: the workload is a front of it. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *exact = malloc(size ? size : 1);
	struct cgname n;

	memcpy(exact, data, size);
	for (int alone = 0; alone < 2; alone++) {
		(alone ? cgname_parse_alone : cgname_parse)(exact, size, &n);
		check(exact, size, n.container_id), check(exact, size, n.container_path);
		check(exact, size, n.outer_container_id), check(exact, size, n.namespace);
		check(exact, size, n.kube_root), check(exact, size, n.user_root);
		check(exact, size, n.unit), check(exact, size, n.machine);
		check(exact, size, n.job), check(exact, size, n.step), check(exact, size, n.task);
		assert(n.container == (n.container_id.length > 0));
		assert(n.kind < _CGNAME_KIND_MAX && n.level < _CGLEVEL_MAX);
		assert(memchr(n.pod_uid, 0, sizeof(n.pod_uid)) && memchr(n.qos, 0, sizeof(n.qos)));
		assert(!alone || !n.needs_runtime_file);
	}
	assert(cgname_workload(exact, size, "node7") <= size);
	free(exact);
	return 0;
}
