/* SPDX-License-Identifier: Apache-2.0 */
/* Files that are read right after a kill. */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "agent/oom/snapshot.h"
#include "base/fs.h"
#include "base/parse.h"
#include "base/time.h"

#define TEXT_BYTES 32768

const char *const oom_stat_names[_STAT_MAX] = {
	"anon",
	"file",
	"shmem",
	"kernel",
	"kernel_stack",
	"pagetables",
	"sock",
	"slab_reclaimable",
	"slab_unreclaimable",
	"file_mapped",
	"file_dirty",
	"unevictable",
	"inactive_file",
	"active_file",
	"inactive_anon",
	"active_anon",
	"workingset_refault_anon",
	"workingset_refault_file",
	"pgmajfault",
};

/* v1 names with a counterpart; what has none stays absent (OOM-305). */
static const char *const v1_names[_STAT_MAX] = {
	[STAT_ANON] = "total_rss",
	[STAT_FILE] = "total_cache",
	[STAT_SHMEM] = "total_shmem",
	[STAT_FILE_MAPPED] = "total_mapped_file",
	[STAT_FILE_DIRTY] = "total_dirty",
	[STAT_UNEVICTABLE] = "total_unevictable",
	[STAT_INACTIVE_FILE] = "total_inactive_file",
	[STAT_ACTIVE_FILE] = "total_active_file",
	[STAT_INACTIVE_ANON] = "total_inactive_anon",
	[STAT_ACTIVE_ANON] = "total_active_anon",
	[STAT_REFAULT_ANON] = "total_workingset_refault_anon",
	[STAT_REFAULT_FILE] = "total_workingset_refault_file",
	[STAT_PGMAJFAULT] = "total_pgmajfault",
};

struct snapshotter {
	const struct cgroup_layout *layout;
	int meminfo_fd, vmstat_fd, loadavg_fd, pressure_fd, allocating_fd;
	char text[TEXT_BYTES];
};

int snapshotter_new(const struct cgroup_layout *layout, struct snapshotter **ret)
{
	struct snapshotter *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->layout = layout;
	s->meminfo_fd = open("/proc/meminfo", O_RDONLY | O_CLOEXEC);
	s->vmstat_fd = open("/proc/vmstat", O_RDONLY | O_CLOEXEC);
	s->loadavg_fd = open("/proc/loadavg", O_RDONLY | O_CLOEXEC);
	s->pressure_fd = open("/proc/pressure/memory", O_RDONLY | O_CLOEXEC);
	s->allocating_fd = open("/proc/sys/vm/oom_kill_allocating_task", O_RDONLY | O_CLOEXEC);
	/* The kernel makes a buffer at the first read of a file and keeps it. */
	snapshot_take(s, &(struct cgroup_place){ .path = "" }, &(struct oom_snapshot){});
	(void)snapshot_kills(s, &(uint64_t){ 0 });
	*ret = s;
	return 0;
}

struct snapshotter *snapshotter_free(struct snapshotter *s)
{
	if (!s)
		return NULL;
	closep(&s->meminfo_fd);
	closep(&s->vmstat_fd);
	closep(&s->loadavg_fd);
	closep(&s->pressure_fd);
	closep(&s->allocating_fd);
	free(s);
	return NULL;
}

bool snapshot_has_psi(const struct snapshotter *s)
{
	/* The file exists with psi=0 too, but cannot be read then. */
	char text[256];

	return s->pressure_fd >= 0 && fs_pread_into(s->pressure_fd, text, sizeof(text)) > 0;
}

/* Value behind "KEY<separator>" at the start of a line. */
static bool find_value(const char *text, const char *key, uint64_t *ret)
{
	size_t len = strlen(key);

	for (const char *line = text; *line;) {
		if (strncmp(line, key, len) == 0 && (line[len] == ' ' || line[len] == ':')) {
			const char *field;
			char digits[24];
			size_t n;

			if (!parse_field(line, 1, &field, &n) || n >= sizeof(digits))
				return false;
			memcpy(digits, field, n);
			digits[n] = '\0';
			return parse_u64(digits, ret) == 0;
		}
		line += strcspn(line, "\n");
		line += *line == '\n';
	}
	return false;
}

void snapshot_parse_meminfo(const char *text, struct oom_host *ret)
{
	const struct {
		const char *key;
		uint64_t *value;
	} keys[] = {
		{ "MemTotal", &ret->total },
		{ "MemFree", &ret->free },
		{ "MemAvailable", &ret->available },
		{ "SwapTotal", &ret->swap_total },
		{ "SwapFree", &ret->swap_free },
		{ "SUnreclaim", &ret->slab_unreclaimable },
		{ "Shmem", &ret->shmem },
	};
	bool all = true;

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		uint64_t kib;

		if (find_value(text, keys[i].key, &kib) && kib < UINT64_MAX / 1024)
			*keys[i].value = kib * 1024;
		else
			all = false;
	}
	ret->known = all;
}

/* "some avg10=1.50 avg60=0.00 avg300=0.00 total=42"; Documentation/accounting/psi.rst */
static bool parse_psi_line(const char *text, const char *kind, double *avg10, double *avg60,
			   uint64_t *total)
{
	const char *line = strstr(text, kind);
	double a, b;
	unsigned long long t;

	if (!line || sscanf(line + strlen(kind), " avg10=%lf avg60=%lf avg300=%*f total=%llu", &a,
			    &b, &t) != 3)
		return false;
	*avg10 = a;
	*avg60 = b;
	*total = t;
	return true;
}

int snapshot_parse_psi(const char *text, struct oom_psi *ret)
{
	struct oom_psi p = {};

	if (!parse_psi_line(text, "some", &p.some_avg10, &p.some_avg60, &p.some_total_us))
		return -EBADMSG;
	(void)parse_psi_line(text, "full", &p.full_avg10, &p.full_avg60, &p.full_total_us);
	p.known = true;
	*ret = p;
	return 0;
}

void snapshot_parse_stat(const char *text, bool v1, struct oom_snapshot *ret)
{
	for (unsigned i = 0; i < _STAT_MAX; i++) {
		const char *name = v1 ? v1_names[i] : oom_stat_names[i];

		if (name && find_value(text, name, &ret->stat[i]))
			ret->stat_seen |= 1U << i;
	}
}

/*
 * Counts of the CPUs that the kernel has not brought together yet are missing from what a program reads. Then the parts are less
 * than the usage by more than its own rounding, which is CPUs x 64 pages before the limit is hit and nearly nothing after.
 */
static bool is_current(const struct oom_stat *s)
{
	static const enum oom_stat_key parts[] = { STAT_ANON, STAT_FILE, STAT_KERNEL, STAT_SOCK };
	uint64_t sum = 0;

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		if (s->values[parts[i]] != OOM_UNKNOWN64)
			sum += s->values[parts[i]];
	return sum >= s->usage - s->usage / 16;
}

void snapshot_begin(const struct oom_victim *v, uint64_t cgroup_id, struct oom_snapshot *ret)
{
	*ret = (struct oom_snapshot){ .usage = OOM_UNKNOWN64, .max = UINT64_MAX };
	if (!(v->flags & OOM_VICTIM_STAT) || v->stat.cgroup_id != cgroup_id ||
	    !is_current(&v->stat))
		return;
	for (unsigned i = 0; i < _STAT_MAX; i++) {
		if (v->stat.values[i] == OOM_UNKNOWN64)
			continue;
		ret->stat[i] = v->stat.values[i];
		ret->stat_seen |= 1U << i;
	}
	ret->stat_boot_ns = v->head.boot_ns;
}

static bool read_fd(struct snapshotter *s, int fd)
{
	return fd >= 0 && fs_pread_into(fd, s->text, sizeof(s->text)) > 0;
}

static bool read_cgroup(struct snapshotter *s, const struct cgroup_place *p, enum cgroup_file file)
{
	return cgroup_file_read(s->layout, p, file, s->text, sizeof(s->text)) > 0;
}

void snapshot_cgroup(struct snapshotter *s, const struct cgroup_place *p, struct oom_snapshot *ret)
{
	ret->usage = OOM_UNKNOWN64;
	if (!*p->path && !p->files)
		return;
	if (!ret->stat_seen && read_cgroup(s, p, CGROUP_FILE_STAT)) {
		ret->stat_boot_ns = time_boot_ns();
		snapshot_parse_stat(s->text, s->layout->mode != CGROUP_MODE_V2, ret);
	}
	ret->limit_known = cgroup_file_number(s->layout, p, CGROUP_FILE_MAX, &ret->max) == 0;
	(void)cgroup_file_number(s->layout, p, CGROUP_FILE_USAGE, &ret->usage);
	(void)cgroup_file_number(s->layout, p, CGROUP_FILE_PEAK, &ret->peak);
	if (read_cgroup(s, p, CGROUP_FILE_PRESSURE))
		(void)snapshot_parse_psi(s->text, &ret->cgroup);
}

void snapshot_take(struct snapshotter *s, const struct cgroup_place *p, struct oom_snapshot *ret)
{
	snapshot_cgroup(s, p, ret);
	if (read_fd(s, s->meminfo_fd))
		snapshot_parse_meminfo(s->text, &ret->host);
	if (read_fd(s, s->loadavg_fd))
		(void)sscanf(s->text, "%lf", &ret->host.load1);
	if (read_fd(s, s->pressure_fd))
		(void)snapshot_parse_psi(s->text, &ret->system);
	ret->psi_boot_ns = time_boot_ns();
}

int snapshot_usage(struct snapshotter *s, const struct cgroup_place *p, uint64_t *ret)
{
	return cgroup_file_number(s->layout, p, CGROUP_FILE_USAGE, ret);
}

int snapshot_kills(struct snapshotter *s, uint64_t *ret)
{
	if (!read_fd(s, s->vmstat_fd) || !find_value(s->text, "oom_kill", ret))
		return -ENOENT;
	return 0;
}

bool snapshot_allocating_task(const struct snapshotter *s)
{
	char text[16]; /* the kernel allocates as much as is asked for */

	/* Each second, so one call: the file is one line. */
	return s->allocating_fd >= 0 && pread(s->allocating_fd, text, sizeof(text), 0) > 0 &&
	       text[0] != '0';
}
