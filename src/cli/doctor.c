/* SPDX-License-Identifier: Apache-2.0 */
/*
 * telamon doctor: what this host allows, which variant is live, why not a better one
 *
 * Reads what the agent wrote to hooks.json; without it, or with --probe, it tries by itself: loads and unloads, attaches nothing.
 */

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include "agent/oom/hooks.h"
#include "base/fs.h"
#include "base/text.h"
#include "cli/cli.h"
#include "cli/doctor.h"
#include "sys/bpf.h"
#include "sys/cgroup.h"
#include "sys/cgtrack.h"

enum { DOCTOR_OK = 0, DOCTOR_DEGRADED = 1, DOCTOR_USAGE = 2, DOCTOR_BLIND = 3 };
#define HOOKS_JSON "/run/telamon/hooks.json"
#define STATES_MAX 64

static int read_hooks(const char *path, json_t **ret)
{
	_cleanup_(freep) char *text = NULL;
	json_error_t error;
	size_t len;
	int r = fs_read_at(AT_FDCWD, path, 4 << 20, &text, &len);

	if (r < 0)
		return r;
	*ret = json_loadb(text, len, JSON_REJECT_DUPLICATES, &error);
	if (!*ret) {
		(void)fprintf(stderr, "%s:%d:%d: %s\n", path, error.line, error.column, error.text);
		return -EBADMSG;
	}
	if (!json_is_array(json_object_get(*ret, "capabilities"))) {
		(void)fprintf(stderr, "%s: there is no list 'capabilities'\n", path);
		json_decref(*ret);
		*ret = NULL;
		return -EBADMSG;
	}
	return 0;
}

/* The very tables and the very loader of the agent. */
static int probe_hooks(json_t **ret)
{
	_cleanup_(hook_env_freep) struct hook_env *env = NULL;
	_cleanup_strbuf_ struct strbuf json = STRBUF_INIT;
	struct hook_state states[STATES_MAX];
	struct cgroup_layout layout;
	json_error_t error;
	size_t n = 0;
	int r;

	bpf_log_to_debug();
	(void)bpf_memlock_raise();
	r = hook_env_new(NULL, &env);
	if (r < 0)
		return r;
	if (cgroup_layout_init("/", &layout) >= 0)
		env->cgroup_v2_memory = layout.mode == CGROUP_MODE_V2;
	cgroup_layout_done(&layout);
	r = oom_hooks_probe(env, states);
	if (r < 0)
		return r;
	n = _OOM_CAP_MAX;
	cgtrack_probe(env, &states[n++]);
	hook_states_write_json(states, n, &json);
	*ret = json_loadb(strbuf_str(&json), json.len, 0, &error);
	return *ret ? 0 : -EBADMSG;
}

static bool in_list(const char *list, const char *name)
{
	size_t len = strlen(name);

	while (list && *list) {
		size_t n = strcspn(list, ",");

		if (n == len && strncmp(list, name, n) == 0)
			return true;
		list += n;
		list += *list == ',';
	}
	return !list;
}

struct options {
	const char *module, *format, *hooks, *url, *http_config;
	bool probe, fix;
};

static json_t *select_modules(const json_t *all, const char *modules)
{
	json_t *kept = json_array(), *state;
	size_t i;

	json_array_foreach (json_object_get(all, "capabilities"), i, state)
		if (in_list(modules, cli_text(state, "module")))
			(void)json_array_append(kept, state);
	return kept;
}

static void print_fixes(const json_t *capabilities)
{
	bool eperm = false, no_capability = false, no_file = false, no_btf = false;
	json_t *state, *variant;
	size_t i, k;

	json_array_foreach (capabilities, i, state) {
		json_array_foreach (json_object_get(state, "variants"), k, variant) {
			const char *reason = cli_text(variant, "reason");

			eperm |= streq(reason, "eperm");
			no_btf |= streq(reason, "no_btf");
			no_capability |= streq(reason, "no_capability");
			no_file |= streq(reason, "no_file") &&
				   strstr(cli_text(variant, "target"), "/");
		}
	}
	printf("what would help\n");
	if (eperm)
		printf("  trampolines are refused by this kernel: a kernel that allows fentry gives exact scope and message\n");
	if (no_capability)
		printf("  give the agent CAP_BPF, CAP_PERFMON and CAP_SYSLOG (see the unit file)\n");
	if (no_file)
		printf("  mount tracefs: mount -t tracefs tracefs /sys/kernel/tracing\n");
	if (no_btf)
		printf("  a kernel with BTF (CONFIG_DEBUG_INFO_BTF) lets the better programs load\n");
	if (!eperm && !no_capability && !no_file && !no_btf)
		printf("  nothing that a command could do\n");
}

static int status_of(const json_t *capabilities, const char *modules)
{
	int status = DOCTOR_OK;
	bool kills = !in_list(modules, "oom"); /* not asked for */
	json_t *state;
	size_t i;

	json_array_foreach (capabilities, i, state) {
		const char *live = cli_text(state, "live");

		kills |= streq(cli_text(state, "capability"), "oom_kill");
		if (streq(cli_text(state, "capability"), "oom_kill") &&
		    (streq(live, "none") || streq(live, "counters")))
			return DOCTOR_BLIND;
		if (streq(live, "none"))
			status = DOCTOR_DEGRADED;
	}
	return kills ? status : DOCTOR_BLIND;
}

static json_t *ask_agent(const struct options *o)
{
	_cleanup_(http_client_config_freep) struct http_client_config *config = NULL;
	struct http_client_options options = {};
	char why[256];

	if (o->http_config &&
	    http_client_config_load(o->http_config, why, sizeof(why), &config, &options) < 0) {
		(void)fprintf(stderr, "telamon doctor: %s\n", why);
		return NULL;
	}
	return doctor_agent(o->url ? o->url : CLI_URL, &options);
}

static int run(const struct options *o)
{
	const char *path = o->hooks ? o->hooks : HOOKS_JSON;
	_cleanup_strbuf_ struct strbuf text = STRBUF_INIT;
	json_t *all = NULL, *capabilities, *facts, *agent;
	int r = o->probe ? -ENOENT : read_hooks(path, &all), status;

	if (r < 0 && o->hooks) {
		(void)fprintf(stderr, "telamon doctor: cannot read '%s': %s\n", path, strerror(-r));
		return DOCTOR_USAGE;
	}
	if (r < 0)
		r = probe_hooks(&all);
	if (r < 0) {
		(void)fprintf(stderr, "telamon doctor: cannot probe: %s\n", strerror(-r));
		return DOCTOR_BLIND;
	}
	capabilities = select_modules(all, o->module);
	if (o->module && json_array_size(capabilities) == 0) {
		(void)fprintf(stderr, "telamon doctor: --module: nothing is known of '%s'\n",
			      o->module);
		json_decref(capabilities);
		json_decref(all);
		return DOCTOR_USAGE;
	}
	/* Facts of a fixture's host are not ours. */
	facts = o->hooks ? json_object() : doctor_facts();
	agent = o->hooks && !o->url ? NULL : ask_agent(o);
	status = status_of(capabilities, o->module);
	if (o->format && streq(o->format, "json")) {
		json_t *report = json_pack("{s:i, s:O, s:O*, s:O, s:i}", "version", 1, "host",
					   facts, "agent", agent, "capabilities", capabilities,
					   "status", status);

		(void)json_dumpf(report, stdout, JSON_INDENT(1));
		printf("\n");
		json_decref(report);
	} else {
		doctor_render(facts, agent, capabilities, status, &text);
		cli_print(&text);
		if (o->fix)
			print_fixes(capabilities);
	}
	json_decref(facts);
	json_decref(agent);
	json_decref(capabilities);
	json_decref(all);
	return status;
}

int cli_doctor(int argc, char **argv)
{
	struct options o = {};
	const struct cli_option options[] = {
		{ "probe", OPTION_FLAG, &o.probe,
		  "try by itself, whatever the agent wrote (root)" },
		{ "module", OPTION_TEXT, &o.module, "list of modules" },
		{ "hooks.file", OPTION_TEXT, &o.hooks, "read this file (" HOOKS_JSON ")" },
		{ "url", OPTION_TEXT, &o.url, "agent to ask for its losses (" CLI_URL ")" },
		{ "http.config.file", OPTION_TEXT, &o.http_config,
		  "TLS and credentials for the agent" },
		{ "fix", OPTION_FLAG, &o.fix, "print what would help; nothing is done" },
		{ "format", OPTION_TEXT, &o.format, "text or json" },
		{},
	};
	int n = cli_parse("telamon doctor [hooks PATTERN] [options]", options, argc, argv);

	if (n < 0)
		return n == -2 ? DOCTOR_OK : DOCTOR_USAGE;
	if (o.format && !streq(o.format, "text") && !streq(o.format, "json")) {
		(void)fprintf(stderr, "telamon doctor: --format: '%s' is not text or json\n",
			      o.format);
		return DOCTOR_USAGE;
	}
	if (n == 2 && streq(argv[0], "hooks"))
		return doctor_list_hooks(argv[1]);
	if (n != 0) {
		(void)fprintf(stderr,
			      "telamon doctor: unexpected '%s'; see 'telamon doctor --help'\n",
			      argv[0]);
		return DOCTOR_USAGE;
	}
	return run(&o);
}
