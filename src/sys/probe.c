/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What this kernel allows: BTF, tracefs, lockdown, capabilities, and cheap probes on them
 *
 * A probe answers from facts alone, before anything is loaded. Prototypes are compared by the names of their parameter
 * types: back-ports make version numbers worthless, and a tracepoint whose shape is not known is refused, never guessed.
 */

#include <bpf/btf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "base/fs.h"
#include "base/parse.h"
#include "base/strbuf.h"
#include "sys/probe.h"
#include "sys/tracefs.h"

static enum lockdown read_lockdown(void)
{
	char text[128];

	if (fs_read_into(AT_FDCWD, "/sys/kernel/security/lockdown", text, sizeof(text)) < 0)
		return LOCKDOWN_UNKNOWN;
	if (strstr(text, "[confidentiality]"))
		return LOCKDOWN_CONFIDENTIALITY;
	if (strstr(text, "[integrity]"))
		return LOCKDOWN_INTEGRITY;
	return LOCKDOWN_NONE;
}

static uint64_t read_caps(void)
{
	char text[4096];
	const char *line;
	uint64_t caps = 0;

	if (fs_read_into(AT_FDCWD, "/proc/self/status", text, sizeof(text)) < 0)
		return 0;
	line = strstr(text, "\nCapEff:");
	if (line) {
		line += strlen("\nCapEff:");
		line += strspn(line, " \t");
		(void)parse_hex64(line, strcspn(line, "\n"), &caps);
	}
	return caps;
}

int hook_env_new(const char *btf_path, struct hook_env **ret)
{
	struct hook_env *e = calloc(1, sizeof(*e));

	if (!e)
		return -ENOMEM;
	(void)snprintf(e->btf_path, sizeof(e->btf_path), "%s",
		       btf_path ? btf_path : "/sys/kernel/btf/vmlinux");
	e->no_btf = access(e->btf_path, R_OK) < 0;
	e->lockdown = read_lockdown();
	e->caps = read_caps();
	e->tracefs_fd =
		tracefs_open_events(e->caps & (1ULL << CAP_SYS_ADMIN), &e->tracefs_detached);
	*ret = e;
	return 0;
}

struct hook_env *hook_env_free(struct hook_env *e)
{
	if (!e)
		return NULL;
	btf__free(e->btf);
	if (e->tracefs_fd >= 0)
		(void)close(e->tracefs_fd);
	free(e);
	return NULL;
}

/* A cache behind a const object: the facts do not change, only whether they are in memory. */
const struct btf *hook_env_btf(const struct hook_env *e)
{
	struct hook_env *cache = (struct hook_env *)e;

	if (!cache->btf && !cache->no_btf) {
		cache->btf = btf__parse(cache->btf_path, NULL);
		cache->no_btf = !cache->btf;
	}
	return cache->btf;
}

void hook_env_drop_btf(const struct hook_env *e)
{
	struct hook_env *cache = (struct hook_env *)e;

	btf__free(cache->btf);
	cache->btf = NULL;
}

/* --- prototypes --- */

static void add_type(const struct btf *btf, uint32_t id, struct strbuf *out)
{
	static const char *const tags[] = { [BTF_KIND_STRUCT] = "struct ",
					    [BTF_KIND_UNION] = "union ",
					    [BTF_KIND_ENUM] = "enum ",
					    [BTF_KIND_FWD] = "struct " };
	const struct btf_type *t = btf__type_by_id(btf, id);
	unsigned kind = t ? btf_kind(t) : BTF_KIND_UNKN;

	switch (kind) {
	case BTF_KIND_PTR:
		add_type(btf, t->type, out);
		strbuf_addstr(out, out->len && out->data[out->len - 1] == '*' ? "*" : " *");
		return;
	case BTF_KIND_CONST:
		strbuf_addstr(out, "const ");
		add_type(btf, t->type, out);
		return;
	case BTF_KIND_VOLATILE:
	case BTF_KIND_RESTRICT:
	case BTF_KIND_TYPE_TAG:
		add_type(btf, t->type, out);
		return;
	case BTF_KIND_UNKN:
		strbuf_addstr(out, "void");
		return;
	case BTF_KIND_FUNC_PROTO:
		strbuf_addstr(out, "fn");
		return;
	default:
		if (kind < ARRAY_SIZE(tags) && tags[kind])
			strbuf_addstr(out, tags[kind]);
		strbuf_addstr(out, btf__name_by_offset(btf, t->name_off));
	}
}

static const struct btf_type *find_proto(const struct btf *btf, const char *name, bool tracepoint)
{
	const struct btf_type *t;
	char full[128];
	int id;

	if (!tracepoint) {
		id = btf__find_by_name_kind(btf, name, BTF_KIND_FUNC);
		return id < 0 ? NULL
			      : btf__type_by_id(btf, btf__type_by_id(btf, (uint32_t)id)->type);
	}
	(void)snprintf(full, sizeof(full), "btf_trace_%s", name);
	id = btf__find_by_name_kind(btf, full, BTF_KIND_TYPEDEF);
	if (id < 0)
		return NULL;
	t = btf__type_by_id(btf, btf__type_by_id(btf, (uint32_t)id)->type);
	return t && btf_is_ptr(t) ? btf__type_by_id(btf, t->type) : NULL;
}

int probe_prototype(const struct hook_env *e, const char *name, bool tracepoint, struct strbuf *ret)
{
	const struct btf *btf = hook_env_btf(e);
	const struct btf_type *proto = btf ? find_proto(btf, name, tracepoint) : NULL;
	const struct btf_param *p;

	if (!proto || !btf_is_func_proto(proto))
		return -ENOENT;
	p = btf_params(proto);
	/* The first parameter of a tracepoint's callback is its private data. */
	for (int i = tracepoint; i < btf_vlen(proto); i++) {
		if (i > tracepoint)
			strbuf_addstr(ret, ", ");
		add_type(btf, p[i].type, ret);
	}
	return ret->error;
}

/* Is @have one of the alternatives in @want, "a|b"? */
static bool shape_fits(const char *want, const char *have)
{
	size_t len = strlen(have);

	while (*want) {
		size_t n = strcspn(want, "|");

		if (n == len && strncmp(want, have, n) == 0)
			return true;
		want += n;
		want += *want == '|';
	}
	return false;
}

static enum hook_reason check_shape(const struct hook_env *e, const struct hook_variant *v,
				    bool tracepoint, enum hook_reason missing)
{
	_cleanup_strbuf_ struct strbuf have = STRBUF_INIT;

	if (!hook_env_btf(e))
		return HOOK_NO_BTF;
	if (probe_prototype(e, v->target, tracepoint, &have) < 0)
		return missing;
	if (v->shape && !shape_fits(v->shape, strbuf_str(&have)))
		return HOOK_SHAPE_UNKNOWN;
	return HOOK_OK;
}

enum hook_reason probe_btf_tracepoint(const struct hook_env *e, const struct hook_variant *v)
{
	return check_shape(e, v, true, HOOK_NO_TRACEPOINT);
}

enum hook_reason probe_raw_tracepoint(const struct hook_env *e, const struct hook_variant *v)
{
	return check_shape(e, v, true, HOOK_NO_TRACEPOINT);
}

enum hook_reason probe_tracepoint(const struct hook_env *e, const struct hook_variant *v)
{
	char path[256];

	if (e->tracefs_fd < 0)
		return HOOK_NO_FILE;
	(void)snprintf(path, sizeof(path), "%s/format", v->target);
	return faccessat(e->tracefs_fd, path, R_OK, 0) < 0 ? HOOK_NO_TRACEPOINT : HOOK_OK;
}

void hook_env_want_symbol(const struct hook_env *e, const char *name)
{
	struct hook_env *cache = (struct hook_env *)e;
	struct hook_symbol *s = &cache->symbols[cache->n_symbols];

	for (unsigned i = 0; i < e->n_symbols; i++)
		if (streq(e->symbols[i].name, name))
			return;
	if (e->n_symbols == HOOK_SYMBOLS_MAX || strlen(name) >= sizeof(s->name))
		return;
	*s = (struct hook_symbol){};
	memcpy(s->name, name, strlen(name));
	cache->n_symbols++;
	cache->symbols_counted = false;
}

static void count_line(struct hook_env *e, const char *line)
{
	const char *p = strchr(line, ' ');

	/* "ffffffff81000000 t name\n", with "\t[module]" for modules. */
	if (!p || strlen(p) < 4 || (p[1] | 32) != 't')
		return;
	p += 3;
	for (unsigned i = 0; i < e->n_symbols; i++) {
		size_t len = strlen(e->symbols[i].name);

		if (strncmp(p, e->symbols[i].name, len) != 0)
			continue;
		if (p[len] == '\n' || p[len] == '\t')
			e->symbols[i].exact++;
		else if (p[len] == '.')
			e->symbols[i].clones++;
	}
}

static void count_symbols(struct hook_env *e)
{
	_cleanup_(fclosep) FILE *f = fopen("/proc/kallsyms", "re");
	char line[512];

	for (unsigned i = 0; i < e->n_symbols; i++)
		e->symbols[i].exact = e->symbols[i].clones = 0;
	while (f && fgets(line, sizeof(line), f))
		count_line(e, line);
	e->symbols_counted = true;
}

/* Exactly one text symbol: of several, the kernel would take any; clones have other arguments. */
static enum hook_reason find_symbol(const struct hook_env *e, const char *name)
{
	struct hook_env *cache = (struct hook_env *)e;

	hook_env_want_symbol(e, name);
	if (!e->symbols_counted)
		count_symbols(cache);
	for (unsigned i = 0; i < e->n_symbols; i++) {
		const struct hook_symbol *s = &e->symbols[i];

		if (!streq(s->name, name))
			continue;
		if (s->exact == 1)
			return HOOK_OK;
		return s->exact || s->clones ? HOOK_SYMBOL_CLONE : HOOK_NO_FUNCTION;
	}
	return HOOK_NO_FUNCTION;
}

bool hook_env_has_symbol(const struct hook_env *e, const char *name)
{
	return find_symbol(e, name) != HOOK_NO_FUNCTION;
}

enum hook_reason probe_fentry(const struct hook_env *e, const struct hook_variant *v)
{
	enum hook_reason r = check_shape(e, v, false, HOOK_NO_FUNCTION);

	return r == HOOK_OK ? find_symbol(e, v->target) : r;
}

enum hook_reason probe_kprobe(const struct hook_env *e, const struct hook_variant *v)
{
	/* Kprobes are a PMU since v4.17 (e12f03d7031a), the oldest kernel of ours is newer. */
	if (access("/sys/bus/event_source/devices/kprobe/type", R_OK) < 0)
		return HOOK_NO_FUNCTION;
	return probe_fentry(e, v);
}

enum hook_reason probe_kfunc(const struct hook_env *e, const struct hook_variant *v)
{
	return check_shape(e, v, false, HOOK_NO_KFUNC);
}

enum hook_reason probe_file(const struct hook_env *e, const struct hook_variant *v)
{
	(void)e;
	if (access(v->target, R_OK) == 0)
		return HOOK_OK;
	return errno == EACCES || errno == EPERM ? HOOK_NO_CAPABILITY : HOOK_NO_FILE;
}
