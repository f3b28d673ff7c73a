/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Grammar of cgroup paths
 *
 * One table of patterns for a single component, each with what it means and what must stand around it. Components are looked
 * at from the leaf upwards; the first container is the innermost one, a second is the outer (kind in docker).
 *
 * Pattern language: literal text, %C = container id (64 hex digits), %N = container name [A-Za-z0-9][A-Za-z0-9_.-]{0,127},
 * %U = pod uid, %S = any non-empty text, %D = digits. The whole component must match.
 */

#include <errno.h>
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

/* 8-4-4-4-12 with '-' or '_', or 32 hex digits (static pods: a hash). */
static size_t uid_run(struct span s)
{
	static const unsigned char groups[] = { 8, 4, 4, 4, 12 };
	size_t at = 0;

	if (hex_run(s) == 32)
		return 32;
	for (size_t g = 0; g < ARRAY_SIZE(groups); g++) {
		if (g > 0) {
			if (at >= s.len || (s.p[at] != '-' && s.p[at] != '_'))
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
		n = uid_run(s);
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
	       IN_KUBEPODS, /* some parent is a kubepods root or QoS group */
	       TOP, /* first component of the path */
	       SECOND, /* second component, and nothing above says otherwise */
	       IN_USER, /* below user-N.slice */
	       IN_JOB, /* below a Slurm job or its root */
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
	QOS_BURSTABLE = 1 << 6,
	QOS_BESTEFFORT = 1 << 7,
	KUBE_ROOT = 1 << 8,
	USER = 1 << 9,
	JOB = 1 << 10,
	STEP = 1 << 11,
	TASK = 1 << 12,
	NAMESPACE = 1 << 13,
};

/* Order matters: the first row that matches wins. More special rows stand above more general ones. */
static const struct row rows[] = {
	/* Monitors: processes beside a container, not in it. */
	{ "crio-conmon-%C.scope", ANYWHERE, CGNAME_OTHER, CGLEVEL_OTHER, CGRUNTIME_CRIO, MONITOR },
	{ "libpod-conmon-%C.scope", ANYWHERE, CGNAME_OTHER, CGLEVEL_OTHER, CGRUNTIME_PODMAN,
	  MONITOR },
	{ "lxc.monitor.%S", ANYWHERE, CGNAME_OTHER, CGLEVEL_OTHER, CGRUNTIME_NONE, MONITOR },
	/* kubelet, systemd driver. */
	{ "cri-containerd-%C.scope", IN_POD, CGNAME_K8S, CGLEVEL_CONTAINER, CGRUNTIME_CONTAINERD,
	  CONTAINER },
	{ "crio-%C.scope", IN_POD, CGNAME_K8S, CGLEVEL_CONTAINER, CGRUNTIME_CRIO, CONTAINER },
	{ "docker-%C.scope", IN_POD, CGNAME_K8S, CGLEVEL_CONTAINER, CGRUNTIME_DOCKER, CONTAINER },
	{ "%Skubepods-burstable-pod%U.slice:cri-containerd:%C", ANYWHERE, CGNAME_K8S,
	  CGLEVEL_CONTAINER, CGRUNTIME_CONTAINERD, CONTAINER | POD | QOS_BURSTABLE },
	{ "kubepods-burstable-pod%U.slice:cri-containerd:%C", ANYWHERE, CGNAME_K8S,
	  CGLEVEL_CONTAINER, CGRUNTIME_CONTAINERD, CONTAINER | POD | QOS_BURSTABLE },
	{ "kubepods-besteffort-pod%U.slice:cri-containerd:%C", ANYWHERE, CGNAME_K8S,
	  CGLEVEL_CONTAINER, CGRUNTIME_CONTAINERD, CONTAINER | POD | QOS_BESTEFFORT },
	{ "kubepods-pod%U.slice:cri-containerd:%C", ANYWHERE, CGNAME_K8S, CGLEVEL_CONTAINER,
	  CGRUNTIME_CONTAINERD, CONTAINER | POD },
	{ "kubepods-burstable-pod%U.slice", IN_KUBEPODS, CGNAME_K8S, CGLEVEL_K8S_POD, 0,
	  POD | QOS_BURSTABLE },
	{ "kubepods-besteffort-pod%U.slice", IN_KUBEPODS, CGNAME_K8S, CGLEVEL_K8S_POD, 0,
	  POD | QOS_BESTEFFORT },
	{ "kubepods-pod%U.slice", IN_KUBEPODS, CGNAME_K8S, CGLEVEL_K8S_POD, 0, POD },
	{ "%S-kubepods-burstable-pod%U.slice", IN_KUBEPODS, CGNAME_K8S, CGLEVEL_K8S_POD, 0,
	  POD | QOS_BURSTABLE },
	{ "%S-kubepods-besteffort-pod%U.slice", IN_KUBEPODS, CGNAME_K8S, CGLEVEL_K8S_POD, 0,
	  POD | QOS_BESTEFFORT },
	{ "%S-kubepods-pod%U.slice", IN_KUBEPODS, CGNAME_K8S, CGLEVEL_K8S_POD, 0, POD },
	{ "kubepods-burstable.slice", IN_KUBEPODS, CGNAME_K8S, CGLEVEL_K8S_QOS, 0, QOS_BURSTABLE },
	{ "kubepods-besteffort.slice", IN_KUBEPODS, CGNAME_K8S, CGLEVEL_K8S_QOS, 0,
	  QOS_BESTEFFORT },
	{ "%S-kubepods-burstable.slice", IN_KUBEPODS, CGNAME_K8S, CGLEVEL_K8S_QOS, 0,
	  QOS_BURSTABLE },
	{ "%S-kubepods-besteffort.slice", IN_KUBEPODS, CGNAME_K8S, CGLEVEL_K8S_QOS, 0,
	  QOS_BESTEFFORT },
	{ "kubepods.slice", ANYWHERE, CGNAME_K8S, CGLEVEL_K8S_ROOT, 0, KUBE_ROOT },
	{ "%S-kubepods.slice", ANYWHERE, CGNAME_K8S, CGLEVEL_K8S_ROOT, 0, KUBE_ROOT },
	/* kubelet, cgroupfs driver. */
	{ "crio-%C", IN_POD, CGNAME_K8S, CGLEVEL_CONTAINER, CGRUNTIME_CRIO, CONTAINER },
	{ "%C", IN_POD, CGNAME_K8S, CGLEVEL_CONTAINER, CGRUNTIME_NONE, CONTAINER },
	{ "pod%U", IN_KUBEPODS, CGNAME_K8S, CGLEVEL_K8S_POD, 0, POD },
	{ "burstable", IN_KUBEPODS, CGNAME_K8S, CGLEVEL_K8S_QOS, 0, QOS_BURSTABLE },
	{ "besteffort", IN_KUBEPODS, CGNAME_K8S, CGLEVEL_K8S_QOS, 0, QOS_BESTEFFORT },
	{ "kubepods", ANYWHERE, CGNAME_K8S, CGLEVEL_K8S_ROOT, 0, KUBE_ROOT },
	/* podman before docker: its names are the more special ones. */
	{ "libpod-payload-%C", ANYWHERE, CGNAME_PODMAN, CGLEVEL_CONTAINER, CGRUNTIME_PODMAN,
	  CONTAINER },
	{ "libpod-%C.scope", ANYWHERE, CGNAME_PODMAN, CGLEVEL_CONTAINER, CGRUNTIME_PODMAN,
	  CONTAINER },
	{ "libpod-%C", BELOW, CGNAME_PODMAN, CGLEVEL_CONTAINER, CGRUNTIME_PODMAN, CONTAINER },
	/* docker, containerd, nerdctl. */
	{ "docker-%C.scope", ANYWHERE, CGNAME_DOCKER, CGLEVEL_CONTAINER, CGRUNTIME_DOCKER,
	  CONTAINER },
	{ "cri-containerd-%C.scope", ANYWHERE, CGNAME_CONTAINERD, CGLEVEL_CONTAINER,
	  CGRUNTIME_CONTAINERD, CONTAINER | NEEDS_FILE },
	{ "crio-%C.scope", ANYWHERE, CGNAME_OTHER, CGLEVEL_CONTAINER, CGRUNTIME_CRIO,
	  CONTAINER | NEEDS_FILE },
	{ "nerdctl-%N.scope", ANYWHERE, CGNAME_CONTAINERD, CGLEVEL_CONTAINER, CGRUNTIME_CONTAINERD,
	  CONTAINER },
	/* LXC, machines. */
	{ "lxc.payload.%S", ANYWHERE, CGNAME_LXC, CGLEVEL_MACHINE, 0, MACHINE },
	{ "machine-qemu\\x2d%D\\x2d%S.scope", ANYWHERE, CGNAME_MACHINE, CGLEVEL_MACHINE, 0,
	  MACHINE | UNIT },
	{ "machine-lxc\\x2d%D\\x2d%S.scope", ANYWHERE, CGNAME_LXC, CGLEVEL_MACHINE, 0,
	  MACHINE | UNIT },
	{ "machine-libpod_pod_%S.slice", ANYWHERE, CGNAME_PODMAN, CGLEVEL_SYSTEMD_SLICE, 0, UNIT },
	{ "machine-%S.scope", ANYWHERE, CGNAME_MACHINE, CGLEVEL_MACHINE, 0, MACHINE | UNIT },
	{ "systemd-nspawn@%S.service", ANYWHERE, CGNAME_MACHINE, CGLEVEL_MACHINE, 0,
	  MACHINE | UNIT },
	/* Slurm. */
	{ "job_%D", IN_JOB, CGNAME_JOB, CGLEVEL_JOB, 0, JOB },
	{ "step_%S", IN_JOB, CGNAME_JOB, CGLEVEL_JOB, 0, STEP },
	{ "task_%S", IN_JOB, CGNAME_JOB, CGLEVEL_JOB, 0, TASK },
	{ "uid_%D", IN_JOB, CGNAME_JOB, CGLEVEL_JOB, 0, USER },
	{ "slurmstepd.scope", ANYWHERE, CGNAME_JOB, CGLEVEL_JOB, 0, 0 },
	{ "%S_slurmstepd.scope", ANYWHERE, CGNAME_JOB, CGLEVEL_JOB, 0, 0 },
	{ "slurm", TOP, CGNAME_JOB, CGLEVEL_JOB, 0, 0 },
	{ "slurm_%S", TOP, CGNAME_JOB, CGLEVEL_JOB, 0, 0 },
	/* systemd. */
	{ "session-%S.scope", IN_USER, CGNAME_SESSION, CGLEVEL_SYSTEMD_SCOPE, 0, UNIT },
	{ "user@%D.service", ANYWHERE, CGNAME_SESSION, CGLEVEL_USER, 0, UNIT | USER },
	{ "user-%D.slice", ANYWHERE, CGNAME_SESSION, CGLEVEL_USER, 0, UNIT | USER },
	{ "%S.service", ANYWHERE, CGNAME_SYSTEMD, CGLEVEL_SYSTEMD_SERVICE, 0, UNIT },
	{ "%S.scope", ANYWHERE, CGNAME_SYSTEMD, CGLEVEL_SYSTEMD_SCOPE, 0, UNIT },
	{ "%S.slice", ANYWHERE, CGNAME_SYSTEMD, CGLEVEL_SYSTEMD_SLICE, 0, UNIT },
	{ "%S.socket", ANYWHERE, CGNAME_SYSTEMD, CGLEVEL_SYSTEMD_SERVICE, 0, UNIT },
	{ "%S.mount", ANYWHERE, CGNAME_SYSTEMD, CGLEVEL_SYSTEMD_SERVICE, 0, UNIT },
	/* Bare ids: only when a runtime file says so. "/docker/C", a custom parent "P/C", containerd's "/NAMESPACE/NAME". */
	{ "%C", ANYWHERE, CGNAME_DOCKER, CGLEVEL_CONTAINER, CGRUNTIME_NONE,
	  CONTAINER | NEEDS_FILE },
	{ "%N", SECOND, CGNAME_CONTAINERD, CGLEVEL_CONTAINER, CGRUNTIME_CONTAINERD,
	  CONTAINER | NEEDS_FILE | NAMESPACE },
};

/* --- context --- */

struct path {
	const char *text;
	struct span parts[COMPONENTS_MAX]; /* from the root */
	size_t n;
};

static bool part_is(const struct path *p, size_t i, const char *pattern)
{
	struct captures c = {};

	return match(pattern, p->parts[i], &c);
}

static bool is_pod(const struct path *p, size_t i)
{
	return part_is(p, i, "pod%U") || part_is(p, i, "kubepods-pod%U.slice") ||
	       part_is(p, i, "kubepods-burstable-pod%U.slice") ||
	       part_is(p, i, "kubepods-besteffort-pod%U.slice") ||
	       part_is(p, i, "%S-kubepods-pod%U.slice") ||
	       part_is(p, i, "%S-kubepods-burstable-pod%U.slice") ||
	       part_is(p, i, "%S-kubepods-besteffort-pod%U.slice");
}

static bool is_kubepods(const struct path *p, size_t i)
{
	return part_is(p, i, "kubepods") || part_is(p, i, "kubepods.slice") ||
	       part_is(p, i, "%S-kubepods.slice");
}

static bool below(const struct path *p, size_t i, bool (*test)(const struct path *, size_t))
{
	while (i-- > 0)
		if (test(p, i))
			return true;
	return false;
}

static bool is_user_slice(const struct path *p, size_t i)
{
	return part_is(p, i, "user-%D.slice");
}

static bool is_slurm(const struct path *p, size_t i)
{
	return part_is(p, i, "slurmstepd.scope") || part_is(p, i, "%S_slurmstepd.scope") ||
	       (i == 0 && (part_is(p, i, "slurm") || part_is(p, i, "slurm_%S")));
}

/* "/NAMESPACE/NAME" of containerd: the namespace is a plain name, not a unit and not one of ours. */
static bool is_plain_namespace(const struct path *p)
{
	static const char *const taken[] = { "docker",	     "kubepods",      "lxc",
					     "lxc.payload",  "libpod_parent", "init.scope",
					     "slurm",	     "system.slice",  "user.slice",
					     "machine.slice" };

	for (size_t i = 0; i < ARRAY_SIZE(taken); i++)
		if (strlen(taken[i]) == p->parts[0].len &&
		    memcmp(taken[i], p->parts[0].p, p->parts[0].len) == 0)
			return false;
	return name_run(p->parts[0]) == p->parts[0].len &&
	       !memchr(p->parts[0].p, '.', p->parts[0].len);
}

static bool holds(const struct path *p, size_t i, enum context context)
{
	switch (context) {
	case ANYWHERE:
		return true;
	case IN_POD:
		return i > 0 && is_pod(p, i - 1) && below(p, i - 1, is_kubepods);
	case IN_KUBEPODS:
		return below(p, i, is_kubepods);
	case TOP:
		return i == 0;
	case SECOND:
		return i == 1 && p->n == 2 && is_plain_namespace(p);
	case IN_USER:
		return below(p, i, is_user_slice);
	case IN_JOB:
		return below(p, i, is_slurm);
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

static void set_qos(struct cgname *r, const char *qos)
{
	(void)snprintf(r->qos, sizeof(r->qos), "%s", qos);
}

static void take_container(struct cgname *r, const struct path *p, size_t i, const struct row *row,
			   const struct captures *c)
{
	struct span whole = { p->text, (size_t)(p->parts[i].p + p->parts[i].len - p->text) };

	if (r->container) {
		if (!r->outer_container_id.length)
			r->outer_container_id = text_of(p, c->id);
		return;
	}
	r->container = true;
	r->kind = row->kind;
	r->runtime = row->runtime;
	r->needs_runtime_file = row->flags & NEEDS_FILE;
	r->container_id = text_of(p, c->id);
	r->container_path = text_of(p, whole);
	if (row->flags & NAMESPACE)
		r->namespace = text_of(p, p->parts[0]);
}

static void take_row(struct cgname *r, const struct path *p, size_t i, const struct row *row,
		     const struct captures *c)
{
	if (row->flags & CONTAINER)
		take_container(r, p, i, row, c);
	if (row->flags & MONITOR)
		r->monitor = true;
	/* A unit inside a container belongs to the container, one around it is told too: the innermost wins. */
	if (row->flags & UNIT && !r->unit.length && !r->container)
		r->unit = text_of(p, p->parts[i]);
	if (row->flags & MACHINE && !r->machine.length)
		r->machine = text_of(p, c->text);
	if (row->flags & POD && !r->pod_uid[0]) {
		set_uid(r->pod_uid, c->uid);
		set_qos(r, "Guaranteed"); /* a QoS group above says otherwise */
	}
	if (row->flags & QOS_BURSTABLE)
		set_qos(r, "Burstable");
	if (row->flags & QOS_BESTEFFORT)
		set_qos(r, "BestEffort");
	if (row->flags & USER && r->uid == UINT32_MAX)
		r->uid = number_of(c->number);
	if (row->flags & USER && part_is(p, i, "user@%D.service"))
		r->rootless = true;
	if (row->flags & JOB)
		r->job = text_of(p, c->number);
	if (row->flags & STEP)
		r->step = text_of(p, c->text);
	if (row->flags & TASK)
		r->task = text_of(p, c->text);
}

static const struct row *find_row(const struct path *p, size_t i, struct captures *ret)
{
	for (size_t k = 0; k < ARRAY_SIZE(rows); k++) {
		*ret = (struct captures){};
		if (match(rows[k].pattern, p->parts[i], ret) && holds(p, i, rows[k].context))
			return &rows[k];
	}
	return NULL;
}

static bool split(const char *path, size_t len, struct path *ret)
{
	ret->text = path;
	ret->n = 0;
	if (len == 0 || len > PATH_BYTES_MAX || path[0] != '/')
		return false;
	for (size_t i = 1; i < len;) {
		const char *end = memchr(path + i, '/', len - i);
		size_t n = end ? (size_t)(end - path) - i : len - i;

		if (n > 0) {
			if (ret->n == COMPONENTS_MAX)
				return false;
			ret->parts[ret->n++] = (struct span){ path + i, n };
		}
		i += n + 1;
	}
	return true;
}

/* LXC's older forms need two components: "/lxc/NAME", "/lxc.payload/NAME". */
static bool take_lxc(struct cgname *r, const struct path *p)
{
	if (p->n < 2 || (!part_is(p, 0, "lxc") && !part_is(p, 0, "lxc.payload")))
		return false;
	r->kind = CGNAME_LXC;
	r->level = p->n == 2 ? CGLEVEL_MACHINE : CGLEVEL_OTHER;
	r->machine = text_of(p, p->parts[1]);
	return true;
}

void cgname_parse(const char *path, size_t len, struct cgname *ret)
{
	struct path p;
	struct cgname r = { .kind = CGNAME_OTHER, .level = CGLEVEL_OTHER, .uid = UINT32_MAX };
	bool leaf = true;

	if (!split(path, len, &p)) {
		*ret = r;
		return;
	}
	if (p.n == 0) {
		r.kind = CGNAME_NONE;
		r.level = CGLEVEL_ROOT;
		*ret = r;
		return;
	}
	if (take_lxc(&r, &p)) {
		*ret = r;
		return;
	}
	for (size_t i = p.n; i-- > 0; leaf = false) {
		struct captures c;
		const struct row *row = find_row(&p, i, &c);

		if (!row)
			continue;
		if (leaf)
			r.level = row->level;
		if (r.kind == CGNAME_OTHER && !r.monitor)
			r.kind = row->kind;
		take_row(&r, &p, i, row, &c);
	}
	if (r.container && r.level == CGLEVEL_OTHER && !r.monitor &&
	    r.container_path.length == len) /* its own leaf by a row without a level */
		r.level = CGLEVEL_CONTAINER;
	if (r.monitor) {
		r.container = false;
		r.kind = CGNAME_OTHER;
	}
	if (r.qos[0] && !r.pod_uid[0] && r.level != CGLEVEL_K8S_QOS)
		r.qos[0] = '\0';
	*ret = r;
}

size_t cgname_unescape(const char *s, size_t len, char *buf, size_t size)
{
	size_t n = 0;

	for (size_t i = 0; i < len && n + 1 < size; i++) {
		if (i + 3 < len && s[i] == '\\' && s[i + 1] == 'x' && is_hex(s[i + 2]) &&
		    is_hex(s[i + 3])) {
			unsigned hi = s[i + 2] <= '9' ? (unsigned)(s[i + 2] - '0')
						      : (unsigned)(s[i + 2] - 'a' + 10);
			unsigned lo = s[i + 3] <= '9' ? (unsigned)(s[i + 3] - '0')
						      : (unsigned)(s[i + 3] - 'a' + 10);

			buf[n++] = (char)(hi << 4 | lo);
			i += 3;
		} else {
			buf[n++] = s[i];
		}
	}
	if (size)
		buf[n] = '\0';
	return n;
}

static bool all_of(const char *s, size_t len, const char *set)
{
	for (size_t i = 0; i < len; i++)
		if (!memchr(set, s[i], strlen(set)))
			return false;
	return len > 0;
}

/* Position of the last '-' in the first @len bytes, or 0. */
static size_t last_dash(const char *s, size_t len)
{
	while (len > 0 && s[len - 1] != '-')
		len--;
	return len ? len - 1 : 0;
}

size_t cgname_workload(const char *pod, size_t len, const char *node)
{
	static const char generated[] =
		"bcdfghjklmnpqrstvwxz2456789"; /* k8s.io/apimachinery/pkg/util/rand */
	size_t dash = last_dash(pod, len), hash;
	size_t node_len = node ? strlen(node) : 0;

	if (node_len && len > node_len + 1 && pod[len - node_len - 1] == '-' &&
	    memcmp(pod + len - node_len, node, node_len) == 0)
		return len - node_len - 1;
	if (dash == 0)
		return len;
	if (len - dash - 1 == 5 && all_of(pod + dash + 1, 5, generated)) {
		hash = last_dash(pod, dash);
		if (hash > 0 && dash - hash - 1 >= 6 && dash - hash - 1 <= 10 &&
		    all_of(pod + hash + 1, dash - hash - 1, generated))
			return hash;
		return dash;
	}
	if (all_of(pod + dash + 1, len - dash - 1, "0123456789"))
		return dash;
	return len;
}
