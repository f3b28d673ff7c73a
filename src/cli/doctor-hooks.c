/* SPDX-License-Identifier: Apache-2.0 */
/*
 * telamon doctor hooks PATTERN: what this kernel offers
 *
 * Tracepoints, functions and kfuncs of the kernel's BTF. Whether one can be attached to is asked of the kernel: an empty program
 * for it is loaded and dropped again; nothing is attached.
 */

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <errno.h>
#include <fnmatch.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>
#include "cli/cli.h"
#include "cli/doctor.h"
#include "sys/bpf.h"
#include "sys/probe.h"

#define TRIALS_MAX 512 /* "*" matches some 60,000 functions */

struct listing {
	struct hook_env *env;
	const struct btf *btf;
	const char *pattern;
	uint32_t *kfuncs; /* ids of functions, sorted */
	size_t n_kfuncs;
	unsigned shown;
};

static int compare_ids(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* Since pahole 1.26 each kfunc carries a tag; in older BTF they look like any function. */
static int find_kfuncs(struct listing *l)
{
	uint32_t n = btf__type_cnt(l->btf);
	size_t found = 0;

	l->kfuncs = calloc(n, sizeof(*l->kfuncs));
	if (!l->kfuncs)
		return -ENOMEM;
	for (uint32_t id = 1; id < n; id++) {
		const struct btf_type *t = btf__type_by_id(l->btf, id);

		if (btf_is_decl_tag(t) &&
		    streq(btf__name_by_offset(l->btf, t->name_off), "bpf_kfunc"))
			l->kfuncs[found++] = t->type;
	}
	l->n_kfuncs = found;
	qsort(l->kfuncs, found, sizeof(*l->kfuncs), compare_ids);
	return 0;
}

/* 0, or -errno of the kernel's answer to an empty program. */
static int try_load(uint32_t id, bool tracepoint)
{
	static const struct bpf_insn insns[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	LIBBPF_OPTS(bpf_prog_load_opts, o,
		    .expected_attach_type = tracepoint ? BPF_TRACE_RAW_TP : BPF_TRACE_FENTRY,
		    .attach_btf_id = id);
	int fd = bpf_prog_load(BPF_PROG_TYPE_TRACING, "telamon_try", "GPL", insns,
			       ARRAY_SIZE(insns), &o);

	if (fd < 0)
		return -errno;
	(void)close(fd);
	return 0;
}

/* In the words of hook_reason_name(), which the reports use too. */
static const char *reason_of(const struct listing *l, int error)
{
	bool allowed = l->env->caps & (1ULL << CAP_SYS_ADMIN) ||
		       (l->env->caps & (1ULL << CAP_BPF) && l->env->caps & (1ULL << CAP_PERFMON));

	if (error == -EPERM)
		return hook_reason_name(allowed ? HOOK_EPERM : HOOK_NO_CAPABILITY);
	return hook_reason_name(error == -EINVAL ? HOOK_EINVAL : HOOK_LOAD_FAILED);
}

static void show(struct listing *l, uint32_t id, const char *name, bool tracepoint)
{
	_cleanup_strbuf_ struct strbuf shape = STRBUF_INIT;
	const char *kind = tracepoint ? "tracepoint" : "function";
	int r;

	if (probe_prototype(l->env, name, tracepoint, &shape) < 0)
		return;
	if (bsearch(&id, l->kfuncs, l->n_kfuncs, sizeof(id), compare_ids))
		kind = "kfunc";
	printf("%-10s %s(%s)  ", kind, name, strbuf_str(&shape));
	if (l->shown++ >= TRIALS_MAX) {
		printf("not tried\n");
		return;
	}
	r = try_load(id, tracepoint);
	printf("%s%s\n", r < 0 ? "not attachable: " : "attachable", r < 0 ? reason_of(l, r) : "");
}

static void show_all(struct listing *l)
{
	for (uint32_t id = 1; id < btf__type_cnt(l->btf); id++) {
		const struct btf_type *t = btf__type_by_id(l->btf, id);
		const char *name = btf__name_by_offset(l->btf, t->name_off);
		bool tracepoint = btf_is_typedef(t) && strncmp(name, "btf_trace_", 10) == 0;

		if (!tracepoint && !btf_is_func(t))
			continue;
		name += tracepoint ? 10 : 0;
		if (fnmatch(l->pattern, name, 0) == 0)
			show(l, id, name, tracepoint);
	}
}

int doctor_list_hooks(const char *pattern)
{
	_cleanup_(hook_env_freep) struct hook_env *env = NULL;
	struct listing l = { .pattern = pattern };

	bpf_log_to_debug();
	(void)bpf_memlock_raise();
	if (hook_env_new(NULL, &env) < 0 || !(l.btf = hook_env_btf(env))) {
		(void)fprintf(stderr, "telamon doctor: this kernel has no BTF\n");
		return CLI_UNREACHABLE;
	}
	l.env = env;
	if (find_kfuncs(&l) < 0)
		return CLI_UNREACHABLE;
	show_all(&l);
	free(l.kfuncs);
	if (l.shown)
		return CLI_OK;
	(void)fprintf(stderr, "Nothing in this kernel's BTF matches '%s'.\n", pattern);
	return CLI_NONE;
}
