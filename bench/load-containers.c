/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Containers that live for some milliseconds
 *
 * Each one is what runc leaves to an onlooker: the bundle's config.json where containerd keeps it, a cgroup of the kubelet's cgroupfs
 * driver with a limit, a first process that executes a program, and removal of all when it has died. It runs out of memory 5 ms after
 * its start. Slots are of a fixed time base, so that a late one does not delay the next.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "load.h"

#define TASKS "/containerd/io.containerd.runtime.v2.task/k8s.io"
#define POD "%08x-5b1e-4a51-9d2c-3f0a6b7c8d9e"

static char top[64], pods[128];

static void bundle_write(const struct victim *v, const char *root)
{
	char path[PATH_BYTES], uid[48];
	FILE *f;

	(void)snprintf(uid, sizeof(uid), POD, v->number);
	(void)snprintf(path, sizeof(path), "%s" TASKS "/%s", root, v->container);
	if (mkdir(path, 0700) < 0)
		fail(path);
	(void)snprintf(path, sizeof(path), "%s" TASKS "/%s/config.json", root, v->container);
	f = fopen(path, "we");
	if (!f)
		fail(path);
	(void)fprintf(
		f,
		"{\"ociVersion\":\"1.0.2\",\"hostname\":\"app-%u\",\"annotations\":{"
		"\"io.kubernetes.cri.container-type\":\"container\",\"io.kubernetes.cri.container-name\":\"app\","
		"\"io.kubernetes.cri.sandbox-name\":\"app-%u\",\"io.kubernetes.cri.sandbox-namespace\":\"bench\","
		"\"io.kubernetes.cri.sandbox-uid\":\"%s\",\"io.kubernetes.cri.image-name\":\"registry.example/app\"},"
		"\"linux\":{\"cgroupsPath\":\"%s\"}}",
		v->number, v->number, uid, v->cgroup);
	(void)fclose(f);
}

static void bundle_remove(const struct victim *v, const char *root)
{
	char path[PATH_BYTES];

	(void)snprintf(path, sizeof(path), "%s" TASKS "/%s/config.json", root, v->container);
	(void)unlink(path);
	(void)snprintf(path, sizeof(path), "%s" TASKS "/%s", root, v->container);
	(void)rmdir(path);
}

static void container_start(struct victim *v, const char *root)
{
	char pod[PATH_BYTES];

	(void)snprintf(v->container, sizeof(v->container), "%08x%056x", v->number, v->number + 1);
	(void)snprintf(pod, sizeof(pod), "%s/pod" POD, pods, v->number);
	(void)snprintf(v->cgroup, sizeof(v->cgroup), "%.300s/%s", pod, v->container);
	bundle_write(v, root);
	if (cgroup_make(pod, 0) < 0 || cgroup_make(v->cgroup, LIMIT_BYTES) < 0 ||
	    victim_start(v, "eat", -1, -1) < 0)
		fail(v->cgroup);
}

static void container_remove(const struct victim *v, const char *root)
{
	char pod[PATH_BYTES];

	(void)snprintf(pod, sizeof(pod), "%s/pod" POD, pods, v->number);
	cgroup_remove(v->cgroup);
	cgroup_remove(pod);
	bundle_remove(v, root);
	victim_tell(v, "chosen");
}

static void make_parents(const char *root)
{
	char path[PATH_BYTES];

	(void)snprintf(path, sizeof(path), "%s/containerd", root);
	(void)mkdir(path, 0755);
	(void)snprintf(path, sizeof(path), "%s/containerd/io.containerd.runtime.v2.task", root);
	(void)mkdir(path, 0755);
	(void)snprintf(path, sizeof(path), "%s" TASKS, root);
	(void)mkdir(path, 0755);
	(void)snprintf(top, sizeof(top), "/telamon-bench-%d", (int)getpid());
	(void)snprintf(pods, sizeof(pods), "%s", top);
	if (cgroup_make(pods, 0) < 0)
		fail(pods);
	(void)snprintf(pods, sizeof(pods), "%s/kubepods", top);
	if (cgroup_make(pods, 0) < 0)
		fail(pods);
	(void)snprintf(pods, sizeof(pods), "%s/kubepods/burstable", top);
	if (cgroup_make(pods, 0) < 0)
		fail(pods);
}

int load_containers(unsigned n, unsigned rate, const char *root)
{
	struct victim *v = calloc(n, sizeof(*v));
	uint64_t start, slot_ns = 1000000000ULL / rate;
	unsigned begun = 0, oldest = 0, late = 0;

	if (!v)
		fail("memory");
	make_parents(root);
	printf("ready\n");
	(void)fflush(stdout);
	start = boot_ns();
	while (oldest < n) {
		if (begun < n && boot_ns() >= start + begun * slot_ns) {
			late += boot_ns() >= start + (begun + 1) * slot_ns;
			v[begun].number = begun;
			container_start(&v[begun], root);
			begun++;
		} else {
			(void)usleep(500);
		}
		/* In order: each lives equally long, so one that is late holds up nobody for long. */
		while (oldest < begun && victim_reap(&v[oldest], WNOHANG))
			container_remove(&v[oldest++], root);
	}
	printf("{\"summary\":{\"containers\":%u,\"seconds\":%.3f,\"late\":%u}}\n", n,
	       (double)(boot_ns() - start) / 1e9, late);
	(void)snprintf(pods, sizeof(pods), "%s/kubepods/burstable", top);
	cgroup_remove(pods);
	(void)snprintf(pods, sizeof(pods), "%s/kubepods", top);
	cgroup_remove(pods);
	cgroup_remove(top);
	free(v);
	return 0;
}
