/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Choosing hook variants by trying them
 *
 * Two passes: all probes first, with the kernel's BTF in memory, then it is dropped (it is several MiB, and libbpf reads
 * its own for each load); then real loads, best variant first, until one loads. Each load costs about 0.1 s, so all that
 * is likely to load is tried in one: when it does, everything was proven at once.
 */
#define LOG_MODULE "bpf"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "base/log.h"
#include "sys/bpf.h"
#include "sys/probe.h"

#define VERIFIER_LINES 24
#define MEMLOCK_PROBE_PAGES 1024 /* more than any usual limit of an ordinary process */

/**
 * bpf_btf_get_next_id() - in place of libbpf's own, which the dynamic linker finds after ours
 * @start_id: id before the wanted one
 * @next_id:  the id
 *
 * libbpf looks for a kfunc that vmlinux lacks in the BTF of modules. To list those takes CAP_SYS_ADMIN, and libbpf 1.1 gives up
 * the whole object when it is refused, even where the kfunc is weak: on kernels before v6.2 nothing would load with CAP_BPF and
 * CAP_PERFMON alone. We need no module, so a refusal is the end of the list. Drop when the oldest libbpf skips modules on EPERM.
 *
 * Return: 0; -ENOENT after the last and where listing is refused; else -errno, with errno set as libbpf does.
 */
int bpf_btf_get_next_id(__u32 start_id, __u32 *next_id)
{
	union bpf_attr attr = { .start_id = start_id };

	if (syscall(__NR_bpf, BPF_BTF_GET_NEXT_ID, &attr, sizeof(attr)) == 0) {
		*next_id = attr.next_id;
		return 0;
	}
	if (errno == EPERM)
		errno = ENOENT;
	return -errno;
}

static bool has_cap(const struct hook_env *e, int cap)
{
	return e->caps & (1ULL << cap);
}

static bool may_load(const struct hook_env *e)
{
	return has_cap(e, CAP_SYS_ADMIN) || (has_cap(e, CAP_BPF) && has_cap(e, CAP_PERFMON));
}

static enum hook_reason reason_of(const struct hook_env *e, const struct hook_variant *v, int error)
{
	switch (error) {
	case -EPERM:
	case -EACCES:
		if (!may_load(e))
			return HOOK_NO_CAPABILITY;
		if (error == -EACCES)
			return HOOK_LOAD_FAILED; /* the verifier said no */
		return e->lockdown == LOCKDOWN_CONFIDENTIALITY ? HOOK_LOCKDOWN : HOOK_EPERM;
	case -EINVAL:
		return e->lockdown == LOCKDOWN_CONFIDENTIALITY ? HOOK_LOCKDOWN : HOOK_EINVAL;
	case -EBUSY:
		return HOOK_BUSY;
	case -ESRCH:
	case -ENOENT:
		return v->flags & (HOOK_TRAMPOLINE | HOOK_KPROBE) ? HOOK_NO_FUNCTION
								  : HOOK_NO_TRACEPOINT;
	case -EOPNOTSUPP:
		return HOOK_LIBBPF;
	default:
		return HOOK_LOAD_FAILED;
	}
}

static bool is_disabled(const char *const *disabled, const struct hook *h,
			const struct hook_variant *v)
{
	char name[96];

	(void)snprintf(name, sizeof(name), "%s/%s", h->capability, v->name);
	for (; disabled && *disabled; disabled++)
		if (streq(*disabled, name))
			return true;
	return false;
}

static enum hook_reason probe(const struct hook *h, const struct hook_variant *v,
			      const struct hook_env *env, const char *const *disabled)
{
	if (is_disabled(disabled, h, v))
		return HOOK_DISABLED;
	if (env->tracepoint_tier && v->flags & (HOOK_TRAMPOLINE | HOOK_KPROBE))
		return HOOK_DISABLED;
	/* Helpers that read kernel memory are refused as a whole under confidentiality. */
	if (env->lockdown == LOCKDOWN_CONFIDENTIALITY && v->programs && !(v->flags & HOOK_DIRECT))
		return HOOK_LOCKDOWN;
	if (v->programs && !may_load(env))
		return HOOK_NO_CAPABILITY;
	return v->probe ? v->probe(env, v) : HOOK_OK;
}

static int enable(struct bpf_object *object, const struct hook_variant *v)
{
	int r = 0;

	for (const char *const *name = v->programs; name && *name && r >= 0; name++) {
		struct bpf_program *p = bpf_object__find_program_by_name(object, *name);

		r = p ? bpf_program__set_autoload(p, true) : -ENOENT;
	}
	return r;
}

static int trial_load(const struct hook_variant *v, const struct bpf_trial *trial)
{
	struct bpf_object *object;
	int r;

	r = trial->open(trial->ctx, &object);
	if (r < 0)
		return r;
	r = enable(object, v);
	if (r >= 0)
		r = bpf_object__load(object);
	bpf_object__close(object);
	return r;
}

/* The first variant from @from on whose probe was good, -1 = none. */
static int next_candidate(const struct hook_state *s, int from)
{
	const struct hook_variant *variants = s->hook->variants;

	for (int v = from; variants[v].name; v++)
		if ((s->reasons[v] == HOOK_OK || s->reasons[v] == HOOK_NOT_NEEDED) &&
		    !(variants[v].flags & HOOK_NONE))
			return v;
	return -1;
}

static void take(struct hook_state *s, int live)
{
	s->live = live;
	s->reasons[live] = HOOK_OK;
	for (int v = live + 1; s->hook->variants[v].name; v++)
		if (s->reasons[v] == HOOK_OK)
			s->reasons[v] = HOOK_NOT_NEEDED;
}

/* The first variant from @from on whose probe was good and that loads. */
static void settle(struct hook_state *s, int from, const struct hook_env *env,
		   const struct bpf_trial *trial)
{
	int v;

	s->live = -1;
	while ((v = next_candidate(s, from)) >= 0) {
		const struct hook_variant *variant = &s->hook->variants[v];
		int r = variant->programs ? trial_load(variant, trial) : 0;

		if (r >= 0) {
			take(s, v);
			return;
		}
		s->reasons[v] = reason_of(env, variant, r);
		s->errors[v] = r;
		log_debug_errno(r, "%s: variant %s does not load", s->hook->capability,
				variant->name);
	}
}

/* The best variants of all capabilities in one object. True when they load: then they are live. */
static bool settle_together(struct hook_state *states, size_t n, const struct bpf_trial *trial)
{
	struct bpf_object *object;
	int r = trial->open(trial->ctx, &object);

	if (r < 0)
		return false;
	for (size_t i = 0; i < n && r >= 0; i++) {
		int v = next_candidate(&states[i], 0);

		if (v >= 0)
			r = enable(object, &states[i].hook->variants[v]);
	}
	if (r >= 0)
		r = bpf_object__load(object);
	bpf_object__close(object);
	if (r < 0)
		return false;
	for (size_t i = 0; i < n; i++) {
		int v = next_candidate(&states[i], 0);

		if (v >= 0)
			take(&states[i], v);
	}
	return true;
}

static void probe_all(const struct hook *const *hooks, size_t n, const struct hook_env *env,
		      const char *const *disabled, struct hook_state *states)
{
	const struct hook_variant *v;

	for (size_t i = 0; i < n; i++)
		for (v = hooks[i]->variants; v->name; v++)
			if (v->flags & (HOOK_TRAMPOLINE | HOOK_KPROBE))
				hook_env_want_symbol(env, v->target);
	for (size_t i = 0; i < n; i++) {
		states[i] = (struct hook_state){ .hook = hooks[i], .live = -1 };
		for (v = hooks[i]->variants; v->name; v++)
			states[i].reasons[v - hooks[i]->variants] =
				probe(hooks[i], v, env, disabled);
	}
	hook_env_drop_btf(env);
}

void hooks_select(const struct hook *const *hooks, size_t n, const struct hook_env *env,
		  const struct bpf_trial *trial, const char *const *disabled,
		  struct hook_state *states)
{
	probe_all(hooks, n, env, disabled, states);
	if (settle_together(states, n, trial))
		return;
	/* Functions of the kernel first: where trampolines are refused, the rest still loads in one. */
	for (size_t i = 0; i < n; i++) {
		int v = next_candidate(&states[i], 0);

		if (v >= 0 && hooks[i]->variants[v].flags & (HOOK_TRAMPOLINE | HOOK_KPROBE))
			settle(&states[i], 0, env, trial);
	}
	if (settle_together(states, n, trial))
		return;
	for (size_t i = 0; i < n; i++)
		settle(&states[i], 0, env, trial);
}

int hook_refuse(struct hook_state *s, const struct hook_env *env, const struct bpf_trial *trial,
		enum hook_reason reason)
{
	int refused = s->live;

	if (refused < 0)
		return -1;
	s->reasons[refused] = reason;
	settle(s, refused + 1, env, trial);
	return s->live;
}

int hook_next(struct hook_state *s, const struct hook_env *env, const struct bpf_trial *trial,
	      int error)
{
	bool trampoline = s->live >= 0 && s->hook->variants[s->live].flags & HOOK_TRAMPOLINE;

	if (s->live >= 0)
		s->errors[s->live] = error;
	return hook_refuse(s, env, trial,
			   error == -EPERM && trampoline ? HOOK_EPERM : HOOK_ATTACH_FAILED);
}

/* The end of a verifier's log says why; what comes before may be megabytes. */
static const char *last_lines(const char *text, unsigned lines)
{
	const char *p = text + strlen(text);

	while (p > text && lines > 0)
		if (*--p == '\n')
			lines--;
	return *p == '\n' ? p + 1 : p;
}

static int print_debug(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	_cleanup_(freep) char *text = NULL;

	/* A refused variant is expected; libbpf calls it a warning. */
	if (level == LIBBPF_DEBUG || log_level() > LOG_LEVEL_DEBUG || vasprintf(&text, fmt, ap) < 0)
		return 0;
	for (const char *line = last_lines(text, VERIFIER_LINES); *line;) {
		size_t len = strcspn(line, "\n");

		if (len)
			log_debug("libbpf: %.*s", (int)MIN(len, (size_t)1024), line);
		line += len;
		line += *line == '\n';
	}
	return 0;
}

void bpf_log_to_debug(void)
{
	(void)libbpf_set_print(print_debug);
}

/**
 * bpf_memlock_raise() - let the kernel account BPF memory where it counts against RLIMIT_MEMLOCK
 *
 * Since v5.11 (97306be45fbe) the memory cgroup pays instead. libbpf finds out when the first map is made, and raises the
 * limit where it has to; here that map is made early, so that a refusal is known before anything is tried.
 *
 * Return: 0; -EPERM when the limit is needed and cannot be raised.
 */
int bpf_memlock_raise(void)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts);
	int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "memlock_probe", 4, 4096, MEMLOCK_PROBE_PAGES,
				&opts);

	if (fd < 0)
		return -errno;
	(void)close(fd);
	return 0;
}
