/* SPDX-License-Identifier: Apache-2.0 */
/* Rules of a stream aggregation file: keys that are known, what each may hold, and what of them concerns sharding. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "base/arena.h"
#include "base/macro.h"
#include "base/parse.h"
#include "base/time.h"
#include "config/config.h"
#include "route/config-internal.h"
#include "route/rules-file.h"

struct file_rule {
	const char *name, *interval, *dedup_interval, *staleness_interval, *grace;
	struct config_strings match, by, without, outputs, drop_input_labels;
	bool enable_windows, no_align, flush, keep_names, ignore_old;
	uint64_t ignore_first_intervals;
	struct config_list input, output;
};

/* Go's notation, with d and w, as microseconds; what check_duration() let through. */
static uint64_t duration_us(const char *text)
{
	static const struct {
		const char *unit;
		double us;
	} units[] = { { "ns", 1e-3 }, { "us", 1 },	{ "µs", 1 },
		      { "ms", 1e3 },  { "s", 1e6 },	{ "m", 6e7 },
		      { "h", 3.6e9 }, { "d", 8.64e10 }, { "w", 6.048e11 } };
	double sum = 0;

	while (*text) {
		char *end;
		double n = strtod(text, &end);
		size_t i = 0;

		while (i < ARRAY_SIZE(units) &&
		       strncmp(end, units[i].unit, strlen(units[i].unit)) != 0)
			i++;
		if (end == text || i == ARRAY_SIZE(units))
			break;
		sum += n * units[i].us;
		text = end + strlen(units[i].unit);
	}
	return (uint64_t)CLAMP(sum, 1e6, 1e15);
}

/* Go's notation, with d and w. A fraction ("1.5h") and ns count as any: only whether it is one matters here. */
static int check_duration(const void *value, char *why, size_t why_size)
{
	const char *text = *(const char *const *)value, *p = text;

	while (*p) {
		size_t digits = strspn(p, "0123456789."), unit;

		p += digits;
		unit = strspn(p, "nuµmshdw");
		if (!digits || !unit)
			break;
		p += unit;
	}
	if (!*p)
		return 0;
	(void)snprintf(why, why_size, "'%s' is not a duration such as 30s or 1m30s", text);
	return -EINVAL;
}

static int check_interval(const void *value, char *why, size_t why_size)
{
	const char *text = *(const char *const *)value;
	uint64_t us;

	if (check_duration(value, why, why_size) < 0)
		return -EINVAL;
	if (!*text || (parse_duration(text, &us) == 0 && us < US_PER_SEC)) {
		(void)snprintf(why, why_size, "'%s' is below 1s", text);
		return -EINVAL;
	}
	return 0;
}

#define TEXT_ROW(key_, member, check_, flags_, help_)                                         \
	CONFIG_ROW(key_, struct file_rule, member, CONFIG_STRING, .def = "", .check = check_, \
		   .flags = flags_, .help = help_)
#define BOOL_ROW(key_, member, help_) \
	CONFIG_ROW(key_, struct file_rule, member, CONFIG_BOOL, .def = "false", .help = help_)
#define LIST_ROW(key_, member, help_) \
	CONFIG_ROW(key_, struct file_rule, member, CONFIG_STRINGS, .max_items = 64, .help = help_)
#define RELABEL_ROW(key_, member, help_)                                                    \
	CONFIG_ROW(key_, struct file_rule, member, CONFIG_LIST, .rows = route_relabel_rows, \
		   .item_size = sizeof(struct relabel_rule_config), .max_items = 1000,      \
		   .help = help_)

static const struct config_row rule_rows[] = {
	TEXT_ROW("name", name, NULL, 0, "Name for messages."),
	CONFIG_ROW("match", struct file_rule, match, CONFIG_STRINGS, .max_items = 256,
		   .flags = CONFIG_ONE_OR_MANY, .help = "Selectors, any of them."),
	CONFIG_ROW("interval", struct file_rule, interval, CONFIG_STRING, .def = "1m",
		   .check = check_interval, .flags = CONFIG_REQUIRED,
		   .help = "Length of a window."),
	TEXT_ROW("dedup_interval", dedup_interval, check_duration, 0, "Deduplication."),
	TEXT_ROW("staleness_interval", staleness_interval, check_duration, 0,
		 "How long a silent series is remembered."),
	TEXT_ROW("ignore_first_sample_interval", grace, check_duration, 0, "Grace after a start."),
	BOOL_ROW("enable_windows", enable_windows, "Windows."),
	BOOL_ROW("no_align_flush_to_interval", no_align, "Windows begin at the start."),
	BOOL_ROW("flush_on_shutdown", flush, "Incomplete windows leave at stop."),
	LIST_ROW("by", by, "Labels that groups have."),
	LIST_ROW("without", without, "Labels that groups do not have."),
	CONFIG_ROW("outputs", struct file_rule, outputs, CONFIG_STRINGS, .max_items = 64,
		   .flags = CONFIG_REQUIRED, .help = "What is computed."),
	BOOL_ROW("keep_metric_names", keep_names, "Results keep the name."),
	BOOL_ROW("ignore_old_samples", ignore_old, "Late samples do not count."),
	CONFIG_ROW("ignore_first_intervals", struct file_rule, ignore_first_intervals, CONFIG_U64,
		   .def = "0", .help = "Windows left out after a start."),
	LIST_ROW("drop_input_labels", drop_input_labels, "Labels removed before grouping."),
	RELABEL_ROW("input_relabel_configs", input, "Relabelling before grouping."),
	RELABEL_ROW("output_relabel_configs", output, "Relabelling of results."),
	{},
};

static const struct config_row root_rows[] = {
	{ .key = "",
	  .type = CONFIG_LIST,
	  .size = sizeof(struct config_list),
	  .rows = rule_rows,
	  .item_size = sizeof(struct file_rule),
	  .max_items = 1000,
	  .help = "Rules." },
	{},
};

static const struct config_section sections[] = {
	{ "", root_rows, sizeof(struct config_list) },
	{},
};

/* --- one rule --- */

static const void *first_given(const struct config *c, const struct file_rule *f)
{
	const void *const members[] = { &f->name, &f->match,   &f->interval,
					&f->by,	  &f->without, &f->outputs };

	for (size_t i = 0; i < ARRAY_SIZE(members); i++)
		if (config_given(c, members[i], NULL))
			return members[i];
	return NULL;
}

/* Compiled for its errors alone. */
static int check_relabel(struct config *c, const struct config_list *list, const char *where,
			 struct diags *errors, const struct relabel_source **ret)
{
	const struct relabel_rule_config *rules = list->items;
	struct relabel_source *sources =
		arena_alloc(config_arena(c), (list->n + 1) * sizeof(*sources));
	struct relabel *compiled = NULL;
	int r;

	if (!sources)
		return -ENOMEM;
	for (size_t i = 0; i < list->n; i++)
		sources[i] = route_relabel_source(c, &rules[i]);
	*ret = sources;
	if (!list->n)
		return 0;
	r = relabel_compile(sources, list->n, RELABEL_VM, false, config_file(c), where, errors,
			    &compiled);
	if (r >= 0)
		relabel_unref(compiled);
	return r == -EINVAL ? 0 : r;
}

static int take_rule(struct config *c, const struct file_rule *f, size_t at, struct diags *errors,
		     struct shard_rule_source *ret)
{
	const struct relabel_source *output;
	struct config_place place = {};
	char where[64], name[32];
	int r;

	(void)snprintf(name, sizeof(name), "rule %zu", at + 1);
	if (first_given(c, f))
		(void)config_given(c, first_given(c, f), &place);
	*ret = (struct shard_rule_source){
		.name = *f->name ? f->name : arena_strdup(config_arena(c), name),
		.by = f->by.n > 0,
		.labels = f->by.n ? f->by.items : f->without.items,
		.n_labels = f->by.n ? f->by.n : f->without.n,
		.drop_input_labels = f->drop_input_labels.items,
		.n_drop = f->drop_input_labels.n,
		.match = f->match.items,
		.n_match = f->match.n,
		.n_input = f->input.n,
		.interval_us = duration_us(f->interval),
		.line = place.line,
		.column = place.column,
	};
	if (!ret->name)
		return -ENOMEM;
	if (f->by.n && f->without.n) {
		(void)snprintf(where, sizeof(where), "[%zu].without", at);
		config_complain(c, errors, &f->without, where, "stands beside by");
	}
	if (!f->outputs.n) {
		(void)snprintf(where, sizeof(where), "[%zu].outputs", at);
		config_complain(c, errors, &f->outputs, where, "there is none");
	}
	(void)snprintf(where, sizeof(where), "[%zu].input_relabel_configs", at);
	r = check_relabel(c, &f->input, where, errors, &ret->input);
	(void)snprintf(where, sizeof(where), "[%zu].output_relabel_configs", at);
	return r < 0 ? r : check_relabel(c, &f->output, where, errors, &output);
}

static int compile(struct config *c, const struct shard_key_options *o, struct diags *errors,
		   struct diags *warnings, struct shard_rules **ret)
{
	const struct config_list *list = config_section(c, "");
	const struct file_rule *rules = list->items;
	struct shard_rule_source *sources =
		arena_alloc(config_arena(c), (list->n + 1) * sizeof(*sources));
	size_t before = errors->total;
	int r = sources ? 0 : -ENOMEM;

	for (size_t i = 0; r >= 0 && i < list->n; i++)
		r = take_rule(c, &rules[i], i, errors, &sources[i]);
	if (r >= 0 && errors->total != before)
		r = -EINVAL;
	return r < 0 ? r
		     : shard_rules_new(sources, list->n, o, config_file(c), errors, warnings, ret);
}

int rules_file_parse(const char *text, size_t len, const char *name,
		     const struct shard_key_options *o, struct diags *errors,
		     struct diags *warnings, struct shard_rules **ret)
{
	_cleanup_(config_freep) struct config *c = NULL;
	int r = config_parse(text, len, name, sections, errors, &c);

	if (r < 0)
		return r;
	return compile(c, o, errors, warnings, ret);
}

int rules_file_load(const char *path, const struct shard_key_options *o, struct diags *errors,
		    struct diags *warnings, struct shard_rules **ret)
{
	_cleanup_(config_freep) struct config *c = NULL;
	int r = config_load(path, sections, errors, &c);

	if (r < 0)
		return r;
	return compile(c, o, errors, warnings, ret);
}
