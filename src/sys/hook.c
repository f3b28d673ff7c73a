/* SPDX-License-Identifier: Apache-2.0 */
/* Names of reasons, and the form in which hooks are told to people: hooks.json. */

#include <string.h>
#include "base/macro.h"
#include "base/text.h"
#include "sys/hook.h"

static const char *const reason_names[_HOOK_REASON_MAX] = {
	[HOOK_OK] = "ok",
	[HOOK_NO_BTF] = "no_btf",
	[HOOK_NO_TRACEPOINT] = "no_tracepoint",
	[HOOK_NO_FUNCTION] = "no_function",
	[HOOK_NO_STRUCT] = "no_struct",
	[HOOK_SHAPE_UNKNOWN] = "shape_unknown",
	[HOOK_SYMBOL_CLONE] = "symbol_clone",
	[HOOK_NO_KFUNC] = "no_kfunc",
	[HOOK_NO_FILE] = "no_file",
	[HOOK_EPERM] = "eperm",
	[HOOK_EINVAL] = "einval",
	[HOOK_LOCKDOWN] = "lockdown",
	[HOOK_NO_CAPABILITY] = "no_capability",
	[HOOK_LOAD_FAILED] = "load_failed",
	[HOOK_ATTACH_FAILED] = "attach_failed",
	[HOOK_BUSY] = "busy",
	[HOOK_LIBBPF] = "libbpf",
	[HOOK_CGROUP_V1] = "cgroup_v1",
	[HOOK_NOT_APPLICABLE] = "not_applicable",
	[HOOK_DISABLED] = "disabled",
	[HOOK_NOT_NEEDED] = "not_needed",
};

const char *hook_reason_name(enum hook_reason r)
{
	return r >= 0 && r < _HOOK_REASON_MAX ? reason_names[r] : "unknown";
}

const char *hook_live_name(const struct hook_state *s)
{
	return s->live < 0 ? "none" : s->hook->variants[s->live].name;
}

bool hook_live_is(const struct hook_state *s, const char *variant)
{
	return streq(hook_live_name(s), variant);
}

static void add_string(struct strbuf *out, const char *key, const char *value)
{
	strbuf_addf(out, "\"%s\":\"", key);
	(void)text_add_json(out, value, strlen(value));
	strbuf_addch(out, '"');
}

static void write_state(const struct hook_state *s, struct strbuf *out)
{
	const struct hook *h = s->hook;

	strbuf_addch(out, '{');
	add_string(out, "module", h->module);
	strbuf_addch(out, ',');
	add_string(out, "capability", h->capability);
	strbuf_addch(out, ',');
	add_string(out, "live", hook_live_name(s));
	strbuf_addf(out, ",\"required\":%s,", h->required ? "true" : "false");
	add_string(out, "without", h->without ? h->without : "");
	strbuf_addstr(out, ",\"variants\":[");
	for (int v = 0; h->variants[v].name; v++) {
		strbuf_addstr(out, v ? ",{" : "{");
		add_string(out, "name", h->variants[v].name);
		strbuf_addf(out, ",\"live\":%s,", v == s->live ? "true" : "false");
		add_string(out, "reason", hook_reason_name(s->reasons[v]));
		strbuf_addf(out, ",\"errno\":%d", -s->errors[v]);
		if (h->variants[v].target) {
			strbuf_addch(out, ',');
			add_string(out, "target", h->variants[v].target);
		}
		strbuf_addch(out, '}');
	}
	strbuf_addstr(out, "]}");
}

void hook_states_write_json(const struct hook_state *states, size_t n, struct strbuf *out)
{
	strbuf_addstr(out, "{\"version\":1,\"capabilities\":[");
	for (size_t i = 0; i < n; i++) {
		if (i)
			strbuf_addstr(out, ",\n");
		write_state(&states[i], out);
	}
	strbuf_addstr(out, "]}\n");
}
