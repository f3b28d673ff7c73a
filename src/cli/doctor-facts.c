/* SPDX-License-Identifier: Apache-2.0 */
/* Facts of the host that explain what hooks do and do not: kernel, lockdown, cgroups, sysctls, rights. */

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/utsname.h>
#include "base/fs.h"
#include "cli/cli.h"
#include "cli/doctor.h"
#include "sys/cgroup.h"
#include "sys/clock.h"
#include "sys/probe.h"

/* First line of a small file as text; nothing when it cannot be read. */
static void add_file(json_t *facts, const char *key, const char *path)
{
	char text[512];

	if (fs_read_into(AT_FDCWD, path, text, sizeof(text)) <= 0)
		return;
	text[strcspn(text, "\n")] = '\0';
	(void)json_object_set_new(facts, key, json_string(text));
}

static void add_sysctls(json_t *facts)
{
	static const char *const names[] = { "vm/panic_on_oom",
					     "vm/oom_kill_allocating_task",
					     "vm/oom_dump_tasks",
					     "vm/overcommit_memory",
					     "kernel/kptr_restrict",
					     "kernel/bpf_stats_enabled",
					     "kernel/unprivileged_bpf_disabled" };
	json_t *sysctls = json_object();

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		char path[128];

		(void)snprintf(path, sizeof(path), "/proc/sys/%s", names[i]);
		add_file(sysctls, strchr(names[i], '/') + 1, path);
	}
	(void)json_object_set_new(facts, "sysctl", sysctls);
}

static void add_capabilities(json_t *facts)
{
	static const struct {
		int cap;
		const char *name, *effect;
	} wanted[] = {
		{ CAP_BPF, "BPF", "no eBPF program loads" },
		{ CAP_PERFMON, "PERFMON", "no tracing program loads" },
		{ CAP_DAC_READ_SEARCH, "DAC_READ_SEARCH", "runtime files may be unreadable" },
		{ CAP_SYS_PTRACE, "SYS_PTRACE", "executables of others stay unknown" },
		{ CAP_SYSLOG, "SYSLOG", "no kernel symbols, no kernel log" },
		{ CAP_IPC_LOCK, "IPC_LOCK", "memory is not locked" },
		{ CAP_SYS_RESOURCE, "SYS_RESOURCE", "oom_score_adj stays as it is" },
	};
	json_t *held = json_array(), *missing = json_array();
	cap_t caps = cap_get_proc();

	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++) {
		cap_flag_value_t v = CAP_CLEAR;

		if (caps && cap_get_flag(caps, wanted[i].cap, CAP_EFFECTIVE, &v) == 0 &&
		    v == CAP_SET)
			(void)json_array_append_new(held, json_string(wanted[i].name));
		else
			(void)json_array_append_new(missing,
						    json_pack("{s:s, s:s}", "name", wanted[i].name,
							      "effect", wanted[i].effect));
	}
	if (caps)
		(void)cap_free(caps);
	(void)json_object_set_new(facts, "capabilities_held", held);
	(void)json_object_set_new(facts, "capabilities_missing", missing);
}

static void add_other_daemons(json_t *facts)
{
	static const char *const names[] = { "systemd-oomd", "earlyoom", "nohang", "oomd" };
	_cleanup_(closedirp) DIR *proc = opendir("/proc");
	json_t *found = json_array();
	const struct dirent *entry;

	while (proc && (entry = readdir(proc))) {
		char path[300], comm[64];

		(void)snprintf(path, sizeof(path), "%s/comm", entry->d_name);
		if (entry->d_name[0] < '1' || entry->d_name[0] > '9' ||
		    fs_read_into(dirfd(proc), path, comm, sizeof(comm)) <= 0)
			continue;
		comm[strcspn(comm, "\n")] = '\0';
		for (size_t i = 0; i < ARRAY_SIZE(names); i++)
			if (streq(comm, names[i]))
				(void)json_array_append_new(found, json_string(comm));
	}
	(void)json_object_set_new(facts, "other_oom_daemons", found);
}

/* Where container runtimes say which container is which; a root that cannot be read leaves names unknown. */
static void add_runtime_files(json_t *facts)
{
	static const char *const roots[] = { "/run/containerd",	   "/run/k3s/containerd",
					     "/run/docker",	   "/run/containers",
					     "/run/runc",	   "/run/crun",
					     "/var/lib/docker",	   "/var/lib/containers",
					     "/var/log/containers" };
	json_t *files = json_object();

	for (size_t i = 0; i < ARRAY_SIZE(roots); i++) {
		_cleanup_(closep) int fd = open(roots[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		if (fd >= 0)
			(void)json_object_set_new(files, roots[i], json_string("readable"));
		else if (errno != ENOENT)
			(void)json_object_set_new(files, roots[i], json_string("denied"));
	}
	(void)json_object_set_new(facts, "runtime_files", files);
}

/* Stamps of the kernel become wall clock by this offset; the error is half of the tightest read. */
static void add_clock(json_t *facts)
{
	struct clock_map c;

	if (clock_map_init(&c) < 0)
		return;
	(void)json_object_set_new(facts, "clock_wall_minus_boot_seconds",
				  json_real((double)c.wall_minus_boot_ns / 1e9));
	clock_map_done(&c);
}

json_t *doctor_facts(void)
{
	_cleanup_(hook_env_freep) struct hook_env *env = NULL;
	static const char *const lockdown[] = { "none", "integrity", "confidentiality", "unknown" };
	struct cgroup_layout layout;
	json_t *facts = json_object();
	struct utsname u;
	char psi[128];

	if (uname(&u) == 0) {
		(void)json_object_set_new(facts, "kernel", json_string(u.release));
		(void)json_object_set_new(facts, "arch", json_string(u.machine));
	}
	(void)json_object_set_new(facts, "page_size", json_integer(sysconf(_SC_PAGESIZE)));
	if (hook_env_new(NULL, &env) >= 0) {
		(void)json_object_set_new(facts, "btf", json_boolean(!env->no_btf));
		(void)json_object_set_new(facts, "lockdown", json_string(lockdown[env->lockdown]));
		(void)json_object_set_new(facts, "tracefs", json_boolean(env->tracefs_fd >= 0));
		(void)json_object_set_new(facts, "tracefs_detached",
					  json_boolean(env->tracefs_detached));
	}
	if (cgroup_layout_init("/", &layout) >= 0) {
		(void)json_object_set_new(facts, "cgroup",
					  json_string(cgroup_mode_name(layout.mode)));
		(void)json_object_set_new(facts, "memory_root", json_string(layout.memory_root));
		(void)json_object_set_new(facts, "cgroup_namespaced",
					  json_boolean(layout.namespaced));
	}
	cgroup_layout_done(&layout);
	(void)json_object_set_new(facts, "psi",
				  json_boolean(fs_read_into(AT_FDCWD, "/proc/pressure/memory", psi,
							    sizeof(psi)) > 0));
	add_file(facts, "lsm", "/sys/kernel/security/lsm");
	add_sysctls(facts);
	add_capabilities(facts);
	add_runtime_files(facts);
	add_clock(facts);
	add_other_daemons(facts);
	return facts;
}
