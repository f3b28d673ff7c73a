/* SPDX-License-Identifier: Apache-2.0 */
/*
 * telamon lab oom: real OOM kills in cgroups of its own
 *
 * Never the host's memory: the limit is small, swap is off in the cgroup, hogs have oom_score_adj 1000, an alarm, and die with us.
 * Everything is removed on every way out, leftovers of labs that were killed at the next start.
 */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include "base/fs.h"
#include "base/parse.h"
#include "base/text.h"
#include "cli/lab.h"

enum { LAB_OK = 0, LAB_WRONG = 1, LAB_USAGE = 2, LAB_CANNOT = 3, LAB_BYSTANDER = 4 };
#define LIMIT_MIN (16ULL << 20)
#define LIMIT_MAX (1ULL << 30)

static struct lab *current; /* for the signal handler: what must be removed */

static void clean_up(struct lab *l)
{
	lab_bystander_stop(l);
	if (l->base[0] && !l->keep)
		lab_cgroup_remove(l, "");
	cgroup_layout_done(&l->layout);
}

/* Not async-signal-safe by the letter; the process does nothing else any more, and the next lab removes what is left. */
static void on_signal(int signal_number)
{
	if (current)
		clean_up(current);
	_exit(128 + signal_number);
}

static int refuse(const char *why)
{
	(void)fprintf(stderr, "telamon lab: %s\n", why);
	return LAB_CANNOT;
}

static uint64_t available_memory(void)
{
	char text[4096];
	const char *p;
	uint64_t kib = 0;

	if (fs_read_into(AT_FDCWD, "/proc/meminfo", text, sizeof(text)) < 0)
		return 0;
	p = strstr(text, "MemAvailable:");
	if (p) {
		char digits[24];
		size_t n;

		p += strlen("MemAvailable:");
		p += strspn(p, " ");
		n = MIN(strspn(p, "0123456789"), sizeof(digits) - 1);
		memcpy(digits, p, n);
		digits[n] = '\0';
		(void)parse_u64(digits, &kib);
	}
	return kib * 1024;
}

struct arguments {
	const char *scenario, *limit, *step, *interval, *timeout, *parallel, *format;
};

static int bad(const char *option, const char *value, const char *want)
{
	(void)fprintf(stderr, "telamon lab: --%s: '%s' is not %s\n", option, value, want);
	return LAB_USAGE;
}

static int parse_arguments(const struct arguments *a, struct lab *l)
{
	uint64_t us;

	if (parse_size(a->limit, &l->limit) < 0 || l->limit < LIMIT_MIN || l->limit > LIMIT_MAX)
		return bad("limit", a->limit, "a size of 16MiB..1GiB");
	if (parse_size(a->step, &l->step) < 0 || l->step < 4096)
		return bad("step", a->step, "a size of at least 4KiB");
	if (parse_duration(a->interval, &l->interval_us) < 0 || l->interval_us > 10000000)
		return bad("interval", a->interval, "a duration up to 10s");
	if (parse_duration(a->timeout, &us) < 0 || us < 1000000 || us > 600000000)
		return bad("timeout", a->timeout, "a duration of 1s..10m");
	l->timeout_s = (unsigned)(us / 1000000);
	if (parse_u32(a->parallel, &l->parallel) < 0 || l->parallel == 0 || l->parallel > 64)
		return bad("parallel", a->parallel, "a number of 1..64");
	if (!streq(a->format, "text") && !streq(a->format, "json"))
		return bad("format", a->format, "text or json");
	l->json = streq(a->format, "json");
	return 0;
}

static bool is_wanted(const char *list, const char *name)
{
	size_t len = strlen(name);

	if (streq(list, "all"))
		return true;
	while (*list) {
		size_t n = strcspn(list, ",");

		if (n == len && strncmp(list, name, n) == 0)
			return true;
		list += n;
		list += *list == ',';
	}
	return false;
}

static int check_names(const char *list)
{
	while (*list && !streq(list, "all")) {
		size_t n = strcspn(list, ",");
		bool known = false;

		for (const struct scenario *s = lab_scenarios; s->name; s++)
			known |= strlen(s->name) == n && strncmp(list, s->name, n) == 0;
		if (!known) {
			(void)fprintf(stderr,
				      "telamon lab: there is no scenario '%.*s'; there are all",
				      (int)n, list);
			for (const struct scenario *s = lab_scenarios; s->name; s++)
				(void)fprintf(stderr, " %s", s->name);
			(void)fprintf(stderr, "\n");
			return LAB_USAGE;
		}
		list += n;
		list += *list == ',';
	}
	return 0;
}

static int count_any(void *ctx, const json_t *event)
{
	(void)ctx, (void)event;
	return 0;
}

static int prepare(struct lab *l)
{
	ssize_t n;

	if (geteuid() != 0)
		return refuse("needs root: it makes cgroups and joins them");
	if (cgroup_layout_init("/", &l->layout) < 0)
		return refuse("no cgroup hierarchy with a memory controller is mounted");
	if (l->limit > available_memory() / 10)
		return refuse(
			"the limit is more than a tenth of the available memory; take a smaller --limit");
	n = readlink("/proc/self/exe", l->exe, sizeof(l->exe) - 1);
	if (n < 0)
		return refuse("cannot find its own executable");
	l->exe[n] = '\0';
	if (!l->no_agent && cli_query(&l->source, "type=oom&limit=1", count_any, NULL) < 0) {
		(void)fprintf(
			stderr,
			"telamon lab: %s; --no-agent makes the kills without checking records\n",
			l->source.why);
		return LAB_CANNOT;
	}
	current = l; /* before there is anything to remove */
	for (size_t i = 0; i < 3; i++)
		(void)signal((const int[]){ SIGINT, SIGTERM, SIGHUP }[i], on_signal);
	(void)signal(SIGPIPE, SIG_IGN);
	if (lab_base_make(l) < 0)
		return refuse(
			"may make no cgroup with memory below the root of the hierarchy, nor in or above its own");
	/* Children of hogs come to us when the hog dies, so that they can be reaped. */
	(void)prctl(PR_SET_CHILD_SUBREAPER, 1);
	return lab_bystander_start(l) < 0 ? refuse("cannot start the bystander") : 0;
}

static void print_head(const struct lab *l)
{
	_cleanup_strbuf_ struct strbuf b = STRBUF_INIT;

	strbuf_addf(&b, "lab             cgroup %s %s%s  limit ", cgroup_mode_name(l->layout.mode),
		    l->layout.memory_root, l->base);
	text_add_bytes(&b, l->limit);
	strbuf_addstr(&b, "  step ");
	text_add_bytes(&b, l->step);
	strbuf_addf(&b, "  agent %s\n", l->no_agent ? "not asked" : l->source.url);
	cli_print(&b);
}

static void skip(struct lab *l, const struct scenario *s, const char *why)
{
	l->skipped++;
	if (l->report)
		(void)json_array_append_new(l->report, json_pack("{s:s, s:s}", "scenario", s->name,
								 "skipped", why));
	else
		printf("%-15s skipped: %s\n", s->name, why);
}

static int run_scenarios(struct lab *l, const char *list)
{
	bool alive;

	if (l->json)
		l->report = json_array();
	else
		print_head(l);
	for (const struct scenario *s = lab_scenarios; s->name; s++) {
		if (!is_wanted(list, s->name))
			continue;
		if (s->needs_v2 && !lab_on_v2(l))
			skip(l, s, "memory.oom.group needs cgroup v2");
		else
			s->run(l, s);
	}
	alive = lab_bystander_alive(l);
	if (l->json) {
		json_t *all = json_pack("{s:o, s:b, s:i, s:i, s:i}", "scenarios", l->report,
					"bystander_alive", alive, "passed", (int)l->passed,
					"failed", (int)l->failed, "skipped", (int)l->skipped);

		(void)json_dumpf(all, stdout, JSON_INDENT(1));
		printf("\n");
		json_decref(all);
	} else {
		printf("bystander       %s\npassed %u, failed %u, skipped %u\n",
		       alive ? "alive" : "DEAD", l->passed, l->failed, l->skipped);
	}
	if (!alive)
		return LAB_BYSTANDER;
	return l->failed ? LAB_WRONG : LAB_OK;
}

int cli_lab(int argc, char **argv)
{
	struct lab l = { .bystander_in = -EBADF, .bystander_out = -EBADF };
	struct arguments a = { "single", "64MiB", "10MiB", "50ms", "30s", "8", "text" };
	const struct cli_option options[] = {
		{ "scenario", OPTION_TEXT, &a.scenario, "list of scenarios, or all (single)" },
		{ "limit", OPTION_TEXT, &a.limit, "memory limit, 16MiB..1GiB (64MiB)" },
		{ "step", OPTION_TEXT, &a.step, "growth of the hog at a time (10MiB)" },
		{ "interval", OPTION_TEXT, &a.interval, "pause between two steps (50ms)" },
		{ "timeout", OPTION_TEXT, &a.timeout, "longest wait for a kill (30s)" },
		{ "parallel", OPTION_TEXT, &a.parallel, "cgroups of scenario parallel (8)" },
		{ "keep", OPTION_FLAG, &l.keep, "leave the cgroups" },
		{ "no-agent", OPTION_FLAG, &l.no_agent, "make the kills, check no records" },
		{ "url", OPTION_TEXT, &l.source.url, "agent (" CLI_URL ")" },
		{ "http.config.file", OPTION_TEXT, &l.source.http_config,
		  "TLS and user for the agent" },
		{ "format", OPTION_TEXT, &a.format, "text or json" },
		{},
	};
	int n = cli_parse("telamon lab oom [options]", options, argc, argv);
	int status;

	if (n < 0)
		return n == -2 ? LAB_OK : LAB_USAGE;
	if (n != 1 || !streq(argv[0], "oom")) {
		(void)fprintf(stderr,
			      "Usage: telamon lab oom [options]; see 'telamon lab --help'\n");
		return LAB_USAGE;
	}
	status = parse_arguments(&a, &l);
	if (!status)
		status = check_names(a.scenario);
	if (status)
		return status;
	if (!l.source.url)
		l.source.url = CLI_URL;
	status = prepare(&l);
	if (!status)
		status = run_scenarios(&l, a.scenario);
	clean_up(&l);
	return status;
}
