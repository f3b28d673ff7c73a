/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

struct host_names {
	char name[256]; /* host.name: NODE_NAME of a Kubernetes pod, else the host's own */
	char id[64]; /* host.id: machine-id; "" = unknown */
	char boot_id[40];
};
void host_names_read(const char *rootfs, struct host_names *ret);
