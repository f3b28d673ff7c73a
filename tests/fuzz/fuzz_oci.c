/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz-sources: src/sys/ociconf.c */
/* fuzz-libs: -ljansson */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include "fuzz.h"
#include "sys/ociconf.h"

#define ID "9f2c4e8d0b7a61539f2c4e8d0b7a61539f2c4e8d0b7a61539f2c4e8d0b7a6153"
#define ENDS(field) assert(memchr(info.field, 0, sizeof(info.field)))

/* Any text through all parsers: terminated fields, and nothing taken from what is no such file. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const keys[] = { "team", "app", NULL };
	static struct oci_info info, untouched;
	char *exact = malloc(size + 1);
	int r = 0;

	memcpy(exact, data, size);
	for (int parser = 0; parser < 6; parser++) {
		memset(&info, 0, sizeof(info));
		exact[size] = parser < 4 ? 'x' : '\0'; /* texts have a length, names an end */
		r = parser == 0	  ? oci_parse_config(exact, size, keys, &info)
		    : parser == 1 ? oci_parse_docker(exact, size, keys, &info)
		    : parser == 2 ? oci_parse_state(exact, size, &info)
		    : parser == 3 ? oci_parse_containers(exact, size, ID, &info)
		    : parser == 4 ? oci_parse_log_name(exact, ID, &info)
				  : oci_parse_log_target(exact, &info);
		assert(r == 0 || memcmp(&info, &untouched, sizeof(info)) == 0);
		ENDS(name), ENDS(image), ENDS(hostname), ENDS(pod_name), ENDS(pod_namespace),
			ENDS(pod_uid);
		ENDS(container_name), ENDS(cgroups_path), ENDS(cgroup_path), ENDS(manager);
		assert(info.n_labels <= 2 && info.init_pid <= INT32_MAX);
	}
	free(exact);
	return 0;
}
