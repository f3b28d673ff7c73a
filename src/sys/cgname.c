/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Grammar of cgroup paths
 *
 * One table of patterns for a single component, each with what it means and what must stand around it. Rows are found from
 * the root downwards, because a row may ask for its parent's; then the result is collected from the leaf upwards: the first
 * container is the innermost one, a second is the outer (kind in docker).
 *
 * Pattern language: literal text, %C = container id (64 hex digits), %N = container name [A-Za-z0-9][A-Za-z0-9_.-]{0,127},
 * %U = pod uid, %V = the same with '_' as in slices, %S = any non-empty text, %D = digits. The whole component must match.
 */

#include <string.h>
#include "base/macro.h"
#include "sys/cgname.h"

#define COMPONENTS_MAX 48
#define PATH_BYTES_MAX 4096

static const char *const kind_names[_CGNAME_KIND_MAX] = { "none",	"k8s", "docker",  "podman",
							  "containerd", "lxc", "machine", "systemd",
							  "session",	"job", "other" };
static const char *const level_names[_CGLEVEL_MAX] = {
	"other",	   "root",	    "container",     "k8s_pod", "k8s_qos", "k8s_root",
	"systemd_service", "systemd_scope", "systemd_slice", "user",	"machine", "job",
};
static const char *const runtime_names[_CGRUNTIME_MAX] = { "", "containerd", "cri-o", "docker",
							   "podman" };

const char *cgname_kind_name(enum cgname_kind k)
{
	return k < _CGNAME_KIND_MAX ? kind_names[k] : "other";
}

const char *cgname_level_name(enum cgname_level l)
{
	return l < _CGLEVEL_MAX ? level_names[l] : "other";
}

const char *cgname_runtime_name(enum cgname_runtime r)
{
	return r < _CGRUNTIME_MAX ? runtime_names[r] : "";
}

struct span {
	const char *p;
	size_t len;
};

/* --- pattern matching --- */

struct captures {
	struct span id, uid, text, number;
};

static bool is_hex(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

static bool is_name_char(char c)
{
	return (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z') || c == '_' ||
	       c == '.' || c == '-';
}

static size_t hex_run(struct span s)
{
	size_t n = 0;

	while (n < s.len && is_hex(s.p[n]))
		n++;
	return n;
}

/* 8-4-4-4-12, or 32 hex digits (static pods: a hash). */
static size_t uid_run(struct span s, char separator)
{
	static const unsigned char groups[] = { 8, 4, 4, 4, 12 };
	size_t at = 0;

	if (hex_run(s) == 32)
		return 32;
	for (size_t g = 0; g < ARRAY_SIZE(groups); g++) {
		if (g > 0) {
			if (at >= s.len || s.p[at] != separator)
				return 0;
			at++;
		}
		for (unsigned i = 0; i < groups[g]; i++, at++)
			if (at >= s.len || !is_hex(s.p[at]))
				return 0;
	}
	return at;
}

static size_t name_run(struct span s)
{
	size_t n = 0;

	if (s.len == 0 || s.p[0] == '_' || s.p[0] == '.' || s.p[0] == '-')
		return 0;
	while (n < s.len && n < 128 && is_name_char(s.p[n]))
		n++;
	return n;
}

static bool match(const char *pattern, struct span s, struct captures *c);

/* %S and %N take as much as leaves the rest of the pattern a match: longest first. */
static bool match_text(const char *rest, struct span s, size_t max, struct span *capture,
		       struct captures *c)
{
	for (size_t n = max; n > 0; n--) {
		if (!match(rest, (struct span){ s.p + n, s.len - n }, c))
			continue;
		*capture = (struct span){ s.p, n };
		return true;
	}
	return false;
}

static bool match(const char *pattern, struct span s, struct captures *c)
{
	size_t n = 0;

	for (; *pattern && *pattern != '%'; pattern++, s.p++, s.len--)
		if (s.len == 0 || *s.p != *pattern)
			return false;
	if (!*pattern)
		return s.len == 0;
	switch (pattern[1]) {
	case 'C':
		if (hex_run(s) != 64)
			return false;
		c->id = (struct span){ s.p, 64 };
		return match(pattern + 2, (struct span){ s.p + 64, s.len - 64 }, c);
	case 'U':
	case 'V':
		n = uid_run(s, pattern[1] == 'U' ? '-' : '_');
		if (n == 0)
			return false;
		c->uid = (struct span){ s.p, n };
		return match(pattern + 2, (struct span){ s.p + n, s.len - n }, c);
	case 'D':
		while (n < s.len && s.p[n] >= '0' && s.p[n] <= '9')
			n++;
		if (n == 0)
			return false;
		c->number = (struct span){ s.p, n };
		return match(pattern + 2, (struct span){ s.p + n, s.len - n }, c);
	case 'N':
		return match_text(pattern + 2, s, name_run(s), &c->id, c);
	default: /* S */
		return match_text(pattern + 2, s, s.len, &c->text, c);
	}
}

/* --- the table --- */

enum context { /* what must stand around a component for the row to hold */
	       ANYWHERE,
	       IN_POD, /* the parent is a pod of the kubelet */
	       IN_KUBE_ROOT, /* the parent is a kubepods root, cgroupfs driver */
	       IN_KUBE, /* the parent is a kubepods root or QoS group, cgroupfs driver */
	       IN_DOCKER, /* the parent is docker's own */
	       IN_LXC, /* second component, below LXC's own */
	       IN_MACHINES, /* below machine.slice */
	       IN_USER, /* below user-N.slice */
	       IN_SLURM, /* the parent is Slurm's root or a user of it */
	       IN_JOB, /* the parent is a Slurm job */
	       IN_STEP, /* below a Slurm step */
	       TOP, /* first component of the path */
	       SECOND, /* second component, and nothing above says otherwise */
	       BELOW, /* has a parent */
};

struct row {
	const char *pattern;
	enum context context;
	enum cgname_kind kind;
	enum cgname_level level;
	enum cgname_runtime runtime;
	unsigned flags;
};
enum {
	CONTAINER = 1 << 0,
	MONITOR = 1 << 1,
	NEEDS_FILE = 1 << 2,
	UNIT = 1 << 3,
	MACHINE = 1 << 4,
	POD = 1 << 5,
	BURSTABLE = 1 << 6,
	BESTEFFORT = 1 << 7,
	KUBE_ROOT = 1 << 8,
	KUBE_FS = 1 << 9, /* names of the cgroupfs driver */
	USER = 1 << 10,
	USER_MANAGER = 1 << 11,
	SLURM = 1 << 12,
	JOB = 1 << 13,
	STEP = 1 << 14,
	TASK = 1 << 15,
	NAMESPACE = 1 << 16,
};
#define RUNTIME(name) CGLEVEL_CONTAINER, CGRUNTIME_##name
#define LEVEL(name) CGLEVEL_##name, CGRUNTIME_NONE

/* Order matters: the first row that holds wins. More special rows stand above more general ones. */
/* clang-format off */
static const struct row rows[] = {
	/* LXC's older forms need two components, and its names may look like anything. */
	{ "%S", IN_LXC, CGNAME_LXC, LEVEL(MACHINE), MACHINE },
	/* Monitors: processes beside a container, not in it. */
	{ "crio-conmon-%C.scope", ANYWHERE, CGNAME_OTHER, LEVEL(OTHER), MONITOR | UNIT },
	{ "libpod-conmon-%C.scope", ANYWHERE, CGNAME_OTHER, LEVEL(OTHER), MONITOR | UNIT },
	{ "lxc.monitor.%S", ANYWHERE, CGNAME_OTHER, LEVEL(OTHER), MONITOR },
	/* kubelet, systemd driver. */
	{ "cri-containerd-%C.scope", IN_POD, CGNAME_K8S, RUNTIME(CONTAINERD), CONTAINER },
	{ "crio-%C.scope", IN_POD, CGNAME_K8S, RUNTIME(CRIO), CONTAINER },
	{ "docker-%C.scope", IN_POD, CGNAME_K8S, RUNTIME(DOCKER), CONTAINER },
	{ "kubepods-burstable-pod%V.slice", ANYWHERE, CGNAME_K8S, LEVEL(K8S_POD), POD | BURSTABLE },
	{ "kubepods-besteffort-pod%V.slice", ANYWHERE, CGNAME_K8S, LEVEL(K8S_POD), POD | BESTEFFORT },
	{ "kubepods-pod%V.slice", ANYWHERE, CGNAME_K8S, LEVEL(K8S_POD), POD },
	{ "%S-kubepods-burstable-pod%V.slice", ANYWHERE, CGNAME_K8S, LEVEL(K8S_POD), POD | BURSTABLE },
	{ "%S-kubepods-besteffort-pod%V.slice", ANYWHERE, CGNAME_K8S, LEVEL(K8S_POD), POD | BESTEFFORT },
	{ "%S-kubepods-pod%V.slice", ANYWHERE, CGNAME_K8S, LEVEL(K8S_POD), POD },
	{ "kubepods-burstable.slice", ANYWHERE, CGNAME_K8S, LEVEL(K8S_QOS), BURSTABLE },
	{ "kubepods-besteffort.slice", ANYWHERE, CGNAME_K8S, LEVEL(K8S_QOS), BESTEFFORT },
	{ "%S-kubepods-burstable.slice", ANYWHERE, CGNAME_K8S, LEVEL(K8S_QOS), BURSTABLE },
	{ "%S-kubepods-besteffort.slice", ANYWHERE, CGNAME_K8S, LEVEL(K8S_QOS), BESTEFFORT },
	{ "kubepods.slice", ANYWHERE, CGNAME_K8S, LEVEL(K8S_ROOT), KUBE_ROOT },
	{ "%S-kubepods.slice", ANYWHERE, CGNAME_K8S, LEVEL(K8S_ROOT), KUBE_ROOT },
	/* The kubelet speaks systemd's names to a runtime that takes them for a path. */
	{ "kubepods-burstable-pod%V.slice:cri-containerd:%C", BELOW, CGNAME_K8S, RUNTIME(CONTAINERD), CONTAINER | POD | KUBE_ROOT | BURSTABLE },
	{ "kubepods-besteffort-pod%V.slice:cri-containerd:%C", BELOW, CGNAME_K8S, RUNTIME(CONTAINERD), CONTAINER | POD | KUBE_ROOT | BESTEFFORT },
	{ "kubepods-pod%V.slice:cri-containerd:%C", BELOW, CGNAME_K8S, RUNTIME(CONTAINERD), CONTAINER | POD | KUBE_ROOT },
	{ "%S-kubepods-burstable-pod%V.slice:cri-containerd:%C", BELOW, CGNAME_K8S, RUNTIME(CONTAINERD), CONTAINER | POD | KUBE_ROOT | BURSTABLE },
	{ "%S-kubepods-besteffort-pod%V.slice:cri-containerd:%C", BELOW, CGNAME_K8S, RUNTIME(CONTAINERD), CONTAINER | POD | KUBE_ROOT | BESTEFFORT },
	{ "%S-kubepods-pod%V.slice:cri-containerd:%C", BELOW, CGNAME_K8S, RUNTIME(CONTAINERD), CONTAINER | POD | KUBE_ROOT },
	/* kubelet, cgroupfs driver. */
	{ "crio-%C", IN_POD, CGNAME_K8S, RUNTIME(CRIO), CONTAINER },
	{ "%C", IN_POD, CGNAME_K8S, RUNTIME(NONE), CONTAINER },
	{ "pod%U", IN_KUBE, CGNAME_K8S, LEVEL(K8S_POD), POD },
	{ "burstable", IN_KUBE_ROOT, CGNAME_K8S, LEVEL(K8S_QOS), KUBE_FS | BURSTABLE },
	{ "besteffort", IN_KUBE_ROOT, CGNAME_K8S, LEVEL(K8S_QOS), KUBE_FS | BESTEFFORT },
	{ "kubepods", ANYWHERE, CGNAME_K8S, LEVEL(K8S_ROOT), KUBE_FS | KUBE_ROOT },
	/* podman, docker, containerd, nerdctl. */
	{ "libpod-payload-%C", BELOW, CGNAME_PODMAN, RUNTIME(PODMAN), CONTAINER },
	{ "libpod-%C.scope", ANYWHERE, CGNAME_PODMAN, RUNTIME(PODMAN), CONTAINER },
	{ "libpod-%C", BELOW, CGNAME_PODMAN, RUNTIME(PODMAN), CONTAINER },
	{ "docker-%C.scope", ANYWHERE, CGNAME_DOCKER, RUNTIME(DOCKER), CONTAINER },
	{ "%C", IN_DOCKER, CGNAME_DOCKER, RUNTIME(DOCKER), CONTAINER },
	{ "nerdctl-%N.scope", ANYWHERE, CGNAME_CONTAINERD, RUNTIME(CONTAINERD), CONTAINER },
	{ "cri-containerd-%C.scope", ANYWHERE, CGNAME_CONTAINERD, RUNTIME(CONTAINERD), CONTAINER },
	{ "crio-%C.scope", ANYWHERE, CGNAME_OTHER, RUNTIME(CRIO), CONTAINER },
	/* LXC, machines. */
	{ "lxc.payload.%S", ANYWHERE, CGNAME_LXC, LEVEL(MACHINE), MACHINE },
	{ "machine-qemu\\x2d%D\\x2d%S.scope", IN_MACHINES, CGNAME_MACHINE, LEVEL(MACHINE), MACHINE | UNIT },
	{ "machine-lxc\\x2d%D\\x2d%S.scope", IN_MACHINES, CGNAME_LXC, LEVEL(MACHINE), MACHINE | UNIT },
	{ "machine-libpod_pod_%S.slice", ANYWHERE, CGNAME_PODMAN, LEVEL(SYSTEMD_SLICE), UNIT },
	{ "machine-%S.scope", IN_MACHINES, CGNAME_MACHINE, LEVEL(MACHINE), MACHINE | UNIT },
	{ "systemd-nspawn@%S.service", ANYWHERE, CGNAME_MACHINE, LEVEL(MACHINE), MACHINE | UNIT },
	/* Slurm. */
	{ "slurmstepd.scope", ANYWHERE, CGNAME_JOB, LEVEL(JOB), SLURM | UNIT },
	{ "%S_slurmstepd.scope", ANYWHERE, CGNAME_JOB, LEVEL(JOB), SLURM | UNIT },
	{ "slurm", TOP, CGNAME_JOB, LEVEL(JOB), SLURM },
	{ "slurm_%S", TOP, CGNAME_JOB, LEVEL(JOB), SLURM },
	{ "uid_%D", IN_SLURM, CGNAME_JOB, LEVEL(JOB), SLURM | USER },
	{ "job_%D", IN_SLURM, CGNAME_JOB, LEVEL(JOB), JOB },
	{ "step_%S", IN_JOB, CGNAME_JOB, LEVEL(JOB), STEP },
	{ "task_%S", IN_STEP, CGNAME_JOB, LEVEL(JOB), TASK },
	/* systemd. */
	{ "session-%S.scope", IN_USER, CGNAME_SESSION, LEVEL(SYSTEMD_SCOPE), UNIT },
	{ "user@%D.service", IN_USER, CGNAME_SESSION, LEVEL(USER), UNIT | USER | USER_MANAGER },
	{ "user-%D.slice", ANYWHERE, CGNAME_SESSION, LEVEL(USER), UNIT | USER },
	{ "%S.service", ANYWHERE, CGNAME_SYSTEMD, LEVEL(SYSTEMD_SERVICE), UNIT },
	{ "%S.scope", ANYWHERE, CGNAME_SYSTEMD, LEVEL(SYSTEMD_SCOPE), UNIT },
	{ "%S.slice", ANYWHERE, CGNAME_SYSTEMD, LEVEL(SYSTEMD_SLICE), UNIT },
	{ "%S.socket", ANYWHERE, CGNAME_SYSTEMD, LEVEL(SYSTEMD_SERVICE), UNIT },
	{ "%S.mount", ANYWHERE, CGNAME_SYSTEMD, LEVEL(SYSTEMD_SERVICE), UNIT },
	{ "%S.swap", ANYWHERE, CGNAME_SYSTEMD, LEVEL(SYSTEMD_SERVICE), UNIT },
	/* Only when a runtime file says so: containerd's "/NAMESPACE/NAME", a custom parent "P/C" of docker. */
	{ "%C", SECOND, CGNAME_CONTAINERD, RUNTIME(NONE), CONTAINER | NEEDS_FILE | NAMESPACE },
	{ "%N", SECOND, CGNAME_CONTAINERD, RUNTIME(CONTAINERD), CONTAINER | NEEDS_FILE | NAMESPACE },
	{ "%C", BELOW, CGNAME_DOCKER, RUNTIME(NONE), CONTAINER | NEEDS_FILE },
};
/* clang-format on */

/* --- context --- */

struct path {
	const char *text;
	bool cut; /* there is more below the last part */
	struct span parts[COMPONENTS_MAX]; /* from the root */
	const struct row *rows[COMPONENTS_MAX]; /* NULL: none holds */
	struct captures captures[COMPONENTS_MAX];
	size_t n;
};

static bool is_text(struct span s, const char *text)
{
	return s.len == strlen(text) && memcmp(s.p, text, s.len) == 0;
}

static bool ends_with(struct span s, const char *suffix)
{
	size_t n = strlen(suffix);

	return s.len >= n && memcmp(s.p + s.len - n, suffix, n) == 0;
}

/* "a-b.slice" lies in "a.slice": systemd makes no other (systemd.slice(5)). */
static bool slice_fits(const struct path *p, size_t i)
{
	const size_t suffix = strlen(".slice");
	struct span s = p->parts[i];

	for (;;) {
		size_t n = s.len - suffix;

		if (n == 0 || s.p[0] == '-' || s.p[n - 1] == '-')
			return false;
		while (n > 0 && s.p[n - 1] != '-')
			n--;
		if (n == 0)
			return true;
		if (i-- == 0 || p->parts[i].len != n - 1 + suffix ||
		    memcmp(p->parts[i].p, s.p, n - 1) != 0 || !ends_with(p->parts[i], ".slice"))
			return false;
		s = p->parts[i];
	}
}

static unsigned parent_flags(const struct path *p, size_t i)
{
	return i > 0 && p->rows[i - 1] ? p->rows[i - 1]->flags : 0;
}

static bool below_flags(const struct path *p, size_t i, unsigned flags)
{
	while (i-- > 0)
		if (p->rows[i] && (p->rows[i]->flags & flags) == flags)
			return true;
	return false;
}

static bool below_machines(const struct path *p, size_t i)
{
	while (i-- > 0)
		if (is_text(p->parts[i], "machine.slice"))
			return true;
	return false;
}

/* "/NAMESPACE/NAME" of containerd: the namespace is a plain name, not a unit and not one of ours. */
static bool is_plain_namespace(const struct path *p)
{
	static const char *const taken[] = { "docker", "kubepods", "lxc", "lxc.payload",
					     "libpod_parent" };
	static const char *const units[] = { ".slice",	".service", ".scope",
					     ".socket", ".mount",   ".swap" };

	for (size_t i = 0; i < ARRAY_SIZE(taken); i++)
		if (is_text(p->parts[0], taken[i]))
			return false;
	for (size_t i = 0; i < ARRAY_SIZE(units); i++)
		if (ends_with(p->parts[0], units[i]))
			return false;
	return !p->rows[0] && name_run(p->parts[0]) == p->parts[0].len;
}

static bool holds(const struct path *p, size_t i, enum context context)
{
	unsigned parent = parent_flags(p, i);

	switch (context) {
	case ANYWHERE:
		return true;
	case IN_POD:
		return parent & POD && !(parent & CONTAINER);
	case IN_KUBE_ROOT:
		return parent & KUBE_ROOT && parent & KUBE_FS;
	case IN_KUBE:
		return parent & KUBE_FS;
	case IN_DOCKER:
		return i > 0 && is_text(p->parts[i - 1], "docker");
	case IN_LXC:
		return i == 1 &&
		       (is_text(p->parts[0], "lxc") || is_text(p->parts[0], "lxc.payload"));
	case IN_MACHINES:
		return below_machines(p, i);
	case IN_USER: /* of systemd; Slurm's users have no unit */
		return below_flags(p, i, USER | UNIT);
	case IN_SLURM:
		return parent & SLURM;
	case IN_JOB:
		return parent & JOB;
	case IN_STEP:
		return below_flags(p, i, STEP);
	case TOP:
		return i == 0;
	case SECOND:
		return i == 1 && is_plain_namespace(p);
	case BELOW:
		return i > 0;
	}
	return false;
}

/* --- result --- */

static struct cgname_text text_of(const struct path *p, struct span s)
{
	return (struct cgname_text){ (uint16_t)(s.p - p->text), (uint16_t)s.len };
}

static void set_uid(char *ret, struct span s)
{
	size_t n = MIN(s.len, (size_t)36);

	for (size_t i = 0; i < n; i++)
		ret[i] = s.p[i] == '_' ? '-' : s.p[i];
	ret[n] = '\0';
}

static uint32_t number_of(struct span s)
{
	uint64_t v = 0;

	for (size_t i = 0; i < s.len && v <= UINT32_MAX; i++)
		v = v * 10 + (uint64_t)(s.p[i] - '0');
	return v < UINT32_MAX ? (uint32_t)v : UINT32_MAX;
}

static struct cgname_text path_to(const struct path *p, size_t i)
{
	return text_of(p, (struct span){ p->text,
					 (size_t)(p->parts[i].p + p->parts[i].len - p->text) });
}

/* systemd puts a '_' before a name that the kernel might take for a file of its own (cg_escape()). */
static struct cgname_text unit_of(const struct path *p, size_t i)
{
	struct span s = p->parts[i];

	if (s.len > 1 && s.p[0] == '_')
		s = (struct span){ s.p + 1, s.len - 1 };
	return text_of(p, s);
}

static void take_container(struct cgname *r, const struct path *p, size_t i)
{
	const struct row *row = p->rows[i];

	if (r->container) {
		if (!r->outer_container_id.length && !(row->flags & NEEDS_FILE))
			r->outer_container_id = text_of(p, p->captures[i].id);
		return;
	}
	r->container = true;
	r->kind = row->kind;
	r->runtime = row->runtime;
	r->needs_runtime_file = row->flags & NEEDS_FILE;
	r->container_id = text_of(p, p->captures[i].id);
	r->container_path = path_to(p, i);
	if (row->flags & NAMESPACE)
		r->namespace = text_of(p, p->parts[0]);
	/* A quadlet: the service is the container. */
	if (!r->unit.length && row->kind == CGNAME_PODMAN && i > 0 && p->rows[i - 1] &&
	    p->rows[i - 1]->level == CGLEVEL_SYSTEMD_SERVICE)
		r->unit = unit_of(p, i - 1);
}

static void take_kubernetes(struct cgname *r, const struct path *p, size_t i, bool leaf)
{
	unsigned flags = p->rows[i]->flags;
	unsigned qos = flags | parent_flags(p, i); /* cgroupfs: the class is the parent's name */

	if (flags & KUBE_ROOT && !r->kube_root.length)
		r->kube_root = path_to(p, i);
	if (flags & POD && !r->pod_uid[0])
		set_uid(r->pod_uid, p->captures[i].uid);
	else if (!leaf || !(flags & (BURSTABLE | BESTEFFORT)))
		return;
	(void)snprintf(r->qos, sizeof(r->qos), "%s",
		       qos & BURSTABLE	  ? "Burstable"
		       : qos & BESTEFFORT ? "BestEffort"
					  : "Guaranteed");
}

/* Path parts below a machine belong to it, but a container in it is a container still. */
static void take_machine(struct cgname *r, const struct path *p, size_t i)
{
	if (!r->machine.length)
		r->machine = text_of(p, p->captures[i].text);
	if (!r->container && !r->monitor && r->kind != CGNAME_K8S)
		r->kind = p->rows[i]->kind;
}

static void take_row(struct cgname *r, const struct path *p, size_t i, bool leaf)
{
	const struct row *row = p->rows[i];
	const struct captures *c = &p->captures[i];

	if (leaf)
		r->level = row->level;
	if (row->flags & MONITOR && !r->container)
		r->monitor = true;
	if (r->kind == CGNAME_OTHER && !r->monitor && !r->container)
		r->kind = row->kind;
	/* A slice around a pod says less than the pod. */
	if (row->flags & UNIT && !r->unit.length && !r->container && r->kind != CGNAME_K8S)
		r->unit = unit_of(p, i);
	if (row->flags & CONTAINER)
		take_container(r, p, i);
	if (row->flags & MACHINE)
		take_machine(r, p, i);
	take_kubernetes(r, p, i, leaf);
	if (row->flags & USER && r->uid == UINT32_MAX)
		r->uid = number_of(c->number);
	if (row->flags & USER_MANAGER && !r->rootless) {
		r->rootless = true;
		r->user_root = path_to(p, i);
	}
	if (row->flags & JOB && !r->job.length)
		r->job = text_of(p, c->number);
	if (row->flags & STEP && !r->step.length)
		r->step = text_of(p, c->text);
	if (row->flags & TASK && !r->task.length)
		r->task = text_of(p, c->text);
}

static void find_row(struct path *p, size_t i, bool confirmed_only)
{
	p->rows[i] = NULL;
	if (ends_with(p->parts[i], ".slice") && !slice_fits(p, i) && !holds(p, i, IN_LXC))
		return;
	for (size_t k = 0; k < ARRAY_SIZE(rows); k++) {
		if (confirmed_only && rows[k].flags & NEEDS_FILE)
			continue;
		p->captures[i] = (struct captures){};
		if (match(rows[k].pattern, p->parts[i], &p->captures[i]) &&
		    holds(p, i, rows[k].context)) {
			p->rows[i] = &rows[k];
			return;
		}
	}
}

/* A path that is deeper or longer than any sane one is cut: a container does not get lost by what is made below it. */
static bool split(const char *path, size_t len, struct path *ret)
{
	ret->text = path;
	ret->n = 0;
	ret->cut = len > PATH_BYTES_MAX;
	len = MIN(len, (size_t)PATH_BYTES_MAX);
	if (len == 0 || path[0] != '/')
		return false;
	for (size_t i = 1; i < len;) {
		const char *end = memchr(path + i, '/', len - i);
		size_t n = end ? (size_t)(end - path) - i : len - i;

		if (!end && ret->cut)
			return true; /* half a name */
		if (n > 0 && ret->n == COMPONENTS_MAX) {
			ret->cut = true;
			return true;
		}
		if (n > 0)
			ret->parts[ret->n++] = (struct span){ path + i, n };
		i += n + 1;
	}
	return true;
}

static void parse(const char *path, size_t len, bool confirmed_only, struct cgname *ret)
{
	struct path p;
	struct cgname r = { .kind = CGNAME_OTHER, .level = CGLEVEL_OTHER, .uid = UINT32_MAX };

	if (split(path, len, &p) && p.n == 0 && !p.cut) {
		r.kind = CGNAME_NONE;
		r.level = CGLEVEL_ROOT;
	}
	for (size_t i = 0; i < p.n; i++)
		find_row(&p, i, confirmed_only);
	for (size_t i = p.n; i-- > 0;)
		if (p.rows[i])
			take_row(&r, &p, i, i == p.n - 1 && !p.cut);
	*ret = r;
}

void cgname_parse(const char *path, size_t len, struct cgname *ret)
{
	parse(path, len, false, ret);
}

void cgname_parse_alone(const char *path, size_t len, struct cgname *ret)
{
	parse(path, len, true, ret);
}
