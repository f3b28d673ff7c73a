/* SPDX-License-Identifier: Apache-2.0 */
/* Relabelling: the vectors confirmed against Prometheus 3.5, every action, default, and error at load. */
#include <errno.h>
#include <stdio.h>
#include "base/strbuf.h"
#include "config/config.h"
#include "route/relabel/relabel.h"
#include "route/relabel/selector.h"
#include "test.h"

struct row {
	const char *in, *src; /* src: "a,b", NULL = not given */
	const char *regex, *target, *replacement, *action;
	uint64_t modulus;
	const char *out; /* series text; "drop", "empty" */
	const char *condition, *separator;
	enum relabel_dialect dialect;
};

struct holder {
	struct relabel_source s;
	const char *names[8], *condition[1];
	char text[200];
};

static void fill(struct holder *h, const struct row *r)
{
	*h = (struct holder){ .s = { .separator = r->separator,
				     .regex = r->regex,
				     .target_label = r->target,
				     .replacement = r->replacement,
				     .action = r->action,
				     .modulus = r->modulus,
				     .modulus_given = r->modulus != 0,
				     .line = 7,
				     .column = 5,
				     .regex_line = 8,
				     .regex_column = 12,
				     .action_line = 9,
				     .action_column = 13 } };
	h->s.source_labels = h->names;
	h->s.conditions = h->condition;
	if (r->condition)
		h->condition[h->s.n_conditions++] = r->condition;
	if (!r->src)
		return;
	(void)snprintf(h->text, sizeof(h->text), "%s", r->src);
	for (char *at = h->text, *part; (part = strsep(&at, ","));)
		h->names[h->s.n_source_labels++] = part;
}

static struct relabel *compile(const struct relabel_source *s, size_t n,
			       enum relabel_dialect dialect)
{
	struct diags *d = calloc(1, sizeof(*d));
	struct relabel *r = NULL;
	char line[400];

	if (relabel_compile(s, n, dialect, false, "f", "relabel_configs", d, &r) < 0)
		fail_msg("%s", diag_format(&d->items[0], line, sizeof(line)));
	free(d);
	return r;
}

static const char *show(enum relabel_result result, const struct rw_label *labels, size_t n,
			struct strbuf *b)
{
	static const char *const dropped[] = {
		[RELABEL_DROP] = "drop", [RELABEL_DROP_EMPTY] = "empty", [RELABEL_DROP_LIMIT] = "limit"
	};

	if (result > RELABEL_CHANGED)
		return dropped[result];
	strbuf_clear(b);
	for (size_t i = 0; i < n; i++) {
		strbuf_addf(b, "%s%.*s=", i ? "," : "", (int)labels[i].name_len, labels[i].name);
		strbuf_add(b, labels[i].value, labels[i].value_len);
	}
	return strbuf_str(b);
}

static const char *applied(const struct relabel *r, struct relabel_context *c,
			   const struct rw_label *in, struct strbuf *b)
{
	const struct rw_label *out = NULL;
	size_t n = 0;
	enum relabel_result result = relabel_apply(r, c, in, 1, &out, &n);

	return show(result, out, n, b);
}

/* "a=foo,b=bar"; ';' and other signs may stand in values, commas may not. */
static size_t labels_of(char *text, struct rw_label *ret)
{
	size_t n = 0;

	for (char *part; (part = strsep(&text, ","));) {
		char *value = strchr(part, '=');

		if (!value)
			continue;
		*value++ = 0;
		if (*value)
			ret[n++] = (struct rw_label){ part, value, (uint32_t)strlen(part),
						      (uint32_t)strlen(value) };
	}
	return n;
}

static void check(const struct row *r, size_t at)
{
	_cleanup_(relabel_context_freep) struct relabel_context *c = NULL;
	_cleanup_(relabel_unrefp) struct relabel *list = NULL;
	struct strbuf b _cleanup_strbuf_ = STRBUF_INIT;
	const struct rw_label *out = NULL;
	struct rw_label labels[16];
	enum relabel_result result;
	struct holder h;
	char text[400];
	size_t n, n_out = 0;
	const char *got;

	fill(&h, r);
	list = compile(&h.s, 1, r->dialect);
	assert_int_equal(relabel_context_new(&c), 0);
	(void)snprintf(text, sizeof(text), "%s", r->in);
	n = labels_of(text, labels);
	result = relabel_apply(list, c, labels, n, &out, &n_out);
	got = show(result, out, n_out, &b);
	if (!streq(got, r->out))
		fail_msg("row %zu: %s: got %s, want %s", at, r->in, got, r->out);
	/* Unchanged is told where nothing changed, and then the very labels come back. */
	if (result <= RELABEL_CHANGED) {
		assert_int_equal(result == RELABEL_UNCHANGED, streq(r->in, r->out));
		if (result == RELABEL_UNCHANGED)
			assert_ptr_equal(out, labels);
	}
}

static void vectors(void **state)
{
	static const struct row rows[] = {
		{ "a=foo", "a", "f(.*)", "d", "ch${1}-ch${1}", .out = "a=foo,d=choo-choo" },
		{ "a=foo,b=bar", "a,b", "f(.*);(.*)r", "a", "b${1}${2}m", .out = "a=boobam,b=bar" },
		{ "a=foo", "a", "o(.*)", "x", .out = "a=foo" },
		{ "a=foo", "a", "fo", .action = "keep", .out = "drop" },
		{ "a=foo", "a", "^foo$", .action = "keep", .out = "a=foo" },
		{ "a=foo", "a", .target = "x", .action = "REPLACE", .out = "a=foo,x=foo" },
		{ "a=foo", "a", "(f)(.*)", "x", "$1x$2", .out = "a=foo,x=oo" },
		{ "a=foo", "a", "(f)(.*)", "x", "$$1-${2}", .out = "a=foo,x=$1-oo" },
		{ "a=foo", "a", "(?P<h>f)(.*)", "x", "${h}_$h-$9$", .out = "a=foo,x=f_f-$" },
		{ "a=foo", "a", "(.)(.)(.)", "x", "$3$2$1_", .out = "a=foo,x=oo" },
		{ "a=line1\nline2", "a", "line1.line2", "x", "y", .out = "a=line1\nline2,x=y" },
		{ "a=x\n", "a", "x$", "x", "y", .out = "a=x\n" },
		{ "a=x\ny", "a", "(?m)x$\n^y", "x", "y", .out = "a=x\ny,x=y" },
		{ "a=foo", "a", ".*", "a", "", .out = "empty" },
		{ "a=foo,b=1", "a", ".*", "a", "", .out = "b=1" },
		{ "a=foo,n=my-label", "a,n", "(.*);(.*)", "${2}", "$1",
		  .out = "a=foo,my-label=foo,n=my-label" },
		{ "a=foo", "a,n", "(.*);(.*)", "${2}", "$1", .out = "a=foo" },
		{ "a=foo", "a", "", "x", "y", .out = "a=foo" },
		{ "a=foo", "none", "", "x", "y", .out = "a=foo,x=y" },
		{ "a=stra\xc3\x9f"
		  "e",
		  "a", .target = "x", .action = "uppercase",
		  .out = "a=stra\xc3\x9f"
			 "e,x=STRA\xc3\x9f"
			 "E" },
		{ "a=\xc4\xb0x", "a", .target = "x", .action = "lowercase",
		  .out = "a=\xc4\xb0x,x=ix" },
		{ "a=\xce\x91\xce\xa3", "a", .target = "a", .action = "lowercase",
		  .out = "a=\xce\xb1\xcf\x83" },
		{ "a=foo,b=bar", "a,b", .target = "h", .action = "hashmod", .modulus = 1000,
		  .out = "a=foo,b=bar,h=750" },
		{ "a=up", "a", .target = "h", .action = "hashmod", .modulus = 1000,
		  .out = "a=up,h=516" },
		{ "a=up", "none", .target = "h", .action = "hashmod", .modulus = 8,
		  .out = "a=up,h=6" },
		{ "a=10.0.0.1:9100", "a", .target = "h", .action = "hashmod", .modulus = 16,
		  .out = "a=10.0.0.1:9100,h=13" },
		{ "a1=1,a2=2,b=3", NULL, "a(.)", NULL, "m_$1", "labelmap",
		  .out = "a1=1,a2=2,b=3,m_1=1,m_2=2" },
		{ "a1=1,a2=2,b=3", NULL, "a.*", .action = "labeldrop", .out = "b=3" },
		{ "a=foo,ma=1,mb=2", NULL, "m(.)", NULL, "a", "labelmap", .out = "a=2,ma=1,mb=2" },
		{ "a=a\vb", "a", "a\\sb", "x", "y", .out = "a=a\vb" },
		{ "a=\xd9\xa3", "a", "\\d", "x", "y", .out = "a=\xd9\xa3" },
		{ "a=\xe2\x84\xaa", "a", "(?i)k", "x", "y", .out = "a=\xe2\x84\xaa,x=y" },
		{ "a=foo", "a", "(?U)(f.*)(o*)", "x", "$1|$2", .out = "a=foo,x=f|oo" },
		{ "a=aaa", "a", "(a|aa)(a|aa)", "x", "$1|$2", .out = "a=aaa,x=a|aa" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		check(&rows[i], i);
}

static void actions(void **state)
{
	static const struct row rows[] = {
		/* keep, drop, equal */
		{ "a=foo", "a", "foo", .action = "drop", .out = "drop" },
		{ "a=foo", "a", "bar", .action = "drop", .out = "a=foo" },
		{ "a=1,b=1", "a", .target = "b", .action = "keepequal", .out = "a=1,b=1" },
		{ "a=1,b=2", "a", .target = "b", .action = "keepequal", .out = "drop" },
		{ "a=1,b=2,c=1-2", "a,b", .target = "c", .action = "keepequal", .separator = "-",
		  .out = "a=1,b=2,c=1-2" },
		{ "a=1,b=1", "a", .target = "b", .action = "DropEqual", .out = "drop" },
		{ "a=1,b=2", "a", .target = "b", .action = "dropequal", .out = "a=1,b=2" },
		{ "a=1", "x", .target = "y", .action = "dropequal", .out = "drop" },
		/* labels by name */
		{ "__name__=m,a=1", NULL, "a", .action = "labelkeep", .out = "a=1" },
		{ "a=1,b=2", NULL, "c", .action = "labelkeep", .out = "empty" },
		{ "a=1,b=2", NULL, "c", .action = "labeldrop", .out = "a=1,b=2" },
		{ "a=1", NULL, "a", NULL, "${2}", "labelmap", .out = "a=1" },
		/* replace */
		{ "a=foo", "a", NULL, "b", .out = "a=foo,b=foo" },
		{ "a=foo", NULL, NULL, "b", "x", .out = "a=foo,b=x" },
		{ "a=foo", "a", "(.*)", "a", .out = "a=foo" },
		{ "a=1,b=2", "a,b", "1::2", "c", "x", .separator = "::", .out = "a=1,b=2,c=x" },
		{ "a=1", "a", "1", "b", "$0$0", .out = "a=1,b=11" },
		{ "a=1", "a", "(1)", "b", "\xc3\xa4$1\xc3\xa9", .out = "a=1,b=\xc3\xa4" },
		{ "a=1", "a", "(1)", "b", "${1}\xc3\xa9$", .out = "a=1,b=1\xc3\xa9$" },
		{ "a=1", "a", "(1)", "b", "${1", .out = "a=1,b=${1" },
		{ "a=1", "a", "(1)", "b", "$01x", .out = "a=1" },
		/* hashes: xxh64 of "up" is golden */
		{ "a=up", "a", .target = "h", .action = "hashmod_xxh64", .modulus = 1,
		  .out = "a=up,h=0" },
		{ "a=foo", "a", .target = "h", .action = "hashmod_xxh64",
		  .modulus = 18446744073709551615u, .out = "a=foo,h=3728699739546630719" },
		{ "a=foo", "a", .target = "h", .action = "hashmod",
		  .modulus = 18446744073709551615u, .dialect = RELABEL_VM,
		  .out = "a=foo,h=3728699739546630719" },
		/* extras */
		{ "a=a-b-c", "a", "-", "a", ".", "replace_all", .out = "a=a.b.c" },
		{ "a=abc", "a", "", "b", "-", "replace_all", .out = "a=abc,b=-a-b-c-" },
		{ "a=xaxx", "a", "x*", "b", "-", "replace_all", .out = "a=xaxx,b=-a-" },
		{ "a=abc", "a", "(b)(c)", "b", "$2$1", "replace_all", .out = "a=abc,b=acb" },
		{ "a=abc", "a", "z", "b", "-", "replace_all", .out = "a=abc" },
		{ "a=\xc3\xa4\xc3\xb6", "a", "", "b", "-", "replace_all",
		  .out = "a=\xc3\xa4\xc3\xb6,b=-\xc3\xa4-\xc3\xb6-" },
		{ "a.b.c=1,d=2", NULL, "\\.", NULL, "_", "labelmap_all", .out = "a_b_c=1,d=2" },
		{ "a=1,b=1", "a,b", .action = "keep_if_equal", .out = "a=1,b=1" },
		{ "a=1,b=2", "a,b", .action = "keep_if_equal", .out = "drop" },
		{ "a=1,b=1", "a,b", .action = "drop_if_equal", .out = "drop" },
		{ "a=1,b=2", "a,b", .action = "drop_if_equal", .out = "a=1,b=2" },
		{ "a=b,t=abc", "a", .target = "t", .action = "keep_if_contains",
		  .out = "a=b,t=abc" },
		{ "a=x,t=abc", "a", .target = "t", .action = "keep_if_contains", .out = "drop" },
		{ "a=b,t=abc", "a,none", .target = "t", .action = "drop_if_contains",
		  .out = "drop" },
		{ "a=x,t=abc", "a", .target = "t", .action = "drop_if_contains",
		  .out = "a=x,t=abc" },
		{ "__name__=m", NULL, "m|n", .action = "keep_metrics", .out = "__name__=m" },
		{ "__name__=x", NULL, "m|n", .action = "keep_metrics", .out = "drop" },
		{ "__name__=m", NULL, "m|n", .action = "drop_metrics", .out = "drop" },
		/* if */
		{ "a=1", "a", "2", .action = "drop", .condition = "{a=\"1\"}", .out = "a=1" },
		{ "a=1", .action = "drop", .condition = "{a=\"1\"}", .out = "drop" },
		{ "a=1", .action = "drop", .condition = "{a=\"2\"}", .out = "a=1" },
		{ "a=1", .action = "keep", .condition = "{a=\"1\"}", .out = "a=1" },
		{ "a=1", .action = "keep", .condition = "{a=\"2\"}", .out = "drop" },
		{ "a=1", .action = "keep_metrics", .condition = "{a=\"2\"}", .out = "drop" },
		{ "a=1,b=2", "a", .target = "b", .action = "keepequal", .condition = "{a=\"2\"}",
		  .out = "a=1,b=2" },
		/* the dialect of VictoriaMetrics */
		{ "a=foo", "a", "^(f)oo$", "b", "{{a}}-$1-{{none}}", .dialect = RELABEL_VM,
		  .out = "a=foo,b=foo-f-" },
		{ "a=foo", "a", "(f)oo", "b", "{{a}}-$1", .out = "a=foo,b={{a}}-f" },
		{ "a=foo", "a", "foo|x$$", "b", "{{a", .dialect = RELABEL_VM,
		  .out = "a=foo,b={{a" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		check(&rows[i], i);
}

static void graphite(void **state)
{
	static const struct {
		const char *match, *name, *out;
	} rows[] = {
		{ "foo.*.*.bar", "foo.a.b.bar", "__name__=a,all=foo.a.b.bar,second=b-x" },
		{ "foo.*.*.bar", "foo.a.b.c.bar", "__name__=foo.a.b.c.bar" },
		{ "foo.*.*", "foo.a.b", "__name__=a,all=foo.a.b,second=b-x" },
		{ "*-*", "a-b", "__name__=a,all=a-b,second=b-x" },
		{ "*-*", "a", "__name__=a" },
	};
	const struct config_pair labels[] = { { .key = "__name__", .value = "$1" },
					      { .key = "second", .value = "${2}-x" },
					      { .key = "all", .value = "$0" } };

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct relabel_source s = { .action = "graphite",
					    .match = rows[i].match,
					    .graphite_labels = labels,
					    .n_graphite_labels = ARRAY_SIZE(labels) };
		_cleanup_(relabel_unrefp) struct relabel *r = compile(&s, 1, RELABEL_PROMETHEUS);
		_cleanup_(relabel_context_freep) struct relabel_context *c = NULL;
		struct strbuf b _cleanup_strbuf_ = STRBUF_INIT;
		struct rw_label in = { "__name__", rows[i].name, 8,
				       (uint32_t)strlen(rows[i].name) };

		assert_int_equal(relabel_context_new(&c), 0);
		assert_string_equal(applied(r, c, &in, &b), rows[i].out);
	}
}

/* A list of regular expressions is one with bars; rules see what those before them did. */
static void lists(void **state)
{
	const char *const regexes[] = { "foo", "b.r" }, *const a[] = { "a" }, *const x[] = { "x" };
	const struct relabel_source rules[] = {
		{ .source_labels = a,
		  .n_source_labels = 1,
		  .regexes = regexes,
		  .n_regexes = 2,
		  .target_label = "x",
		  .replacement = "1" },
		{ .source_labels = x,
		  .n_source_labels = 1,
		  .regex = "1",
		  .target_label = "a",
		  .replacement = "" },
		{ .regex = "x", .action = "labelmap", .replacement = "y" },
		{ .regex = "x", .action = "labeldrop" },
	};
	_cleanup_(relabel_unrefp) struct relabel *r = compile(rules, 4, RELABEL_PROMETHEUS);
	_cleanup_(relabel_context_freep) struct relabel_context *c = NULL;
	struct strbuf b _cleanup_strbuf_ = STRBUF_INIT;
	struct rw_label in = { "a", "bar", 1, 3 };

	assert_int_equal(relabel_context_new(&c), 0);
	assert_int_equal(relabel_count(r), 4);
	assert_string_equal(applied(r, c, &in, &b), "y=1");
	in.value = "baz";
	assert_string_equal(applied(r, c, &in, &b), "a=baz");
}

static void errors_at_load(void **state)
{
	static const struct {
		struct row row;
		const char *error;
		bool legacy;
	} cases[] = {
		{ { .action = "repalce" },
		  "f:9:13: relabel_configs[0].action: unknown action \"repalce\"; did you mean \"replace\"?" },
		{ { .action = "qwertyuiop" },
		  "f:9:13: relabel_configs[0].action: unknown action \"qwertyuiop\"" },
		{ { .src = "a" },
		  "f:7:5: relabel_configs[0].target_label: is required by the action replace" },
		{ { .action = "lowercase" },
		  "f:7:5: relabel_configs[0].target_label: is required by the action lowercase" },
		{ { .action = "uppercase", .target = "a", .replacement = "x" },
		  "f:7:5: relabel_configs[0].replacement: does not go with the action uppercase" },
		{ { .action = "keepequal", .target = "a", .regex = "x" },
		  "f:8:12: relabel_configs[0].regex: does not go with the action keepequal" },
		{ { .action = "hashmod", .target = "a" },
		  "f:7:5: relabel_configs[0].modulus: the action hashmod needs a modulus of 1 or more" },
		{ { .action = "hashmod", .modulus = 1 },
		  "f:7:5: relabel_configs[0].target_label: is required by the action hashmod" },
		{ { .action = "labeldrop", .regex = "a", .src = "b" },
		  "f:7:5: relabel_configs[0].source_labels: does not go with the action labeldrop" },
		{ { .action = "labelkeep", .regex = "a", .target = "b" },
		  "f:7:5: relabel_configs[0].target_label: does not go with the action labelkeep" },
		{ { .action = "labelmap", .regex = "a", .replacement = "" },
		  "f:7:5: relabel_configs[0].replacement: \"\" makes no label name" },
		{ { .action = "keep_if_equal", .src = "a" },
		  "f:7:5: relabel_configs[0].source_labels: the action keep_if_equal needs 2 or more" },
		{ { .action = "keep_if_contains", .src = "a" },
		  "f:7:5: relabel_configs[0].target_label: is required by the action keep_if_contains" },
		{ { .action = "keep_metrics" },
		  "f:8:12: relabel_configs[0].regex: the action keep_metrics needs a regex or an if" },
		{ { .action = "graphite" },
		  "f:7:5: relabel_configs[0].match: is required by the action graphite" },
		{ { .target = "x", .regex = "a(" },
		  "f:8:12: relabel_configs[0].regex: missing closing ) at offset 1" },
		{ { .target = "x", .regex = "a(", .action = "lowercase" },
		  "f:8:12: relabel_configs[0].regex: missing closing ) at offset 1" },
		{ { .target = "x", .regex = "(a|b*)*" },
		  "f:8:12: relabel_configs[0].regex: group 1 is used, but lies in a repeat whose body can match nothing" },
		{ { .target = "x", .condition = "{a" },
		  "f:7:5: relabel_configs[0].if: =, !=, =~ or !~ is missing at offset 2" },
		{ { .target = "my-label" },
		  "f:7:5: relabel_configs[0].target_label: \"my-label\" is no label name",
		  true },
		{ { .target = "a-${1}" },
		  "f:7:5: relabel_configs[0].target_label: \"a-${1}\" is no label name",
		  true },
		{ { .target = "a\xff" },
		  "f:7:5: relabel_configs[0].target_label: \"a\xff\" is no label name" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct diags *d = calloc(1, sizeof(*d));
		struct relabel *r = NULL;
		struct holder h;
		char line[400];

		fill(&h, &cases[i].row);
		assert_int_equal(relabel_compile(&h.s, 1, RELABEL_PROMETHEUS, cases[i].legacy, "f",
						 "relabel_configs", d, &r),
				 -EINVAL);
		assert_null(r);
		assert_string_equal(diag_format(&d->items[0], line, sizeof(line)), cases[i].error);
		free(d);
	}
}

/* Names that a rule may create: any UTF-8, or letters, digits and _ alone. What makes another name does nothing. */
static void legacy_names(void **state)
{
	const char *const a[] = { "a" };
	const struct relabel_source s = {
		.source_labels = a, .n_source_labels = 1, .target_label = "n_$1", .replacement = "1"
	};
	_cleanup_(relabel_context_freep) struct relabel_context *c = NULL;
	struct rw_label in = { "a", "x-y", 1, 3 };

	assert_int_equal(relabel_context_new(&c), 0);
	for (int legacy = 0; legacy < 2; legacy++) {
		struct diags *d = calloc(1, sizeof(*d));
		_cleanup_(relabel_unrefp) struct relabel *r = NULL;
		const struct rw_label *out;
		size_t n;

		assert_int_equal(
			relabel_compile(&s, 1, RELABEL_PROMETHEUS, legacy, "f", "r", d, &r), 0);
		free(d);
		assert_int_equal(relabel_apply(r, c, &in, 1, &out, &n),
				 legacy ? RELABEL_UNCHANGED : RELABEL_CHANGED);
		assert_int_equal(n, legacy ? 1 : 2);
	}
}

/* What a rule doubles a thousand times ends at a limit, and so does an expression that explodes. */
static void limits(void **state)
{
	const char *const a[] = { "a" };
	struct relabel_source rules[40];
	_cleanup_(relabel_context_freep) struct relabel_context *c = NULL;
	_cleanup_(relabel_unrefp) struct relabel *r = NULL, *slow = NULL;
	char text[200];
	struct rw_label in = { "a", text, 1, sizeof(text) };
	const struct rw_label *out;
	size_t n;

	memset(text, 'x', sizeof(text));
	text[198] = 'y'; /* there, but not at the end: no shortcut of the matcher finds that out */
	for (size_t i = 0; i < ARRAY_SIZE(rules); i++)
		rules[i] = (struct relabel_source){ .source_labels = a,
						    .n_source_labels = 1,
						    .target_label = "a",
						    .replacement = "$1$1" };
	assert_int_equal(relabel_context_new(&c), 0);
	r = compile(rules, ARRAY_SIZE(rules), RELABEL_PROMETHEUS);
	assert_int_equal(relabel_apply(r, c, &in, 1, &out, &n), RELABEL_DROP_LIMIT);
	rules[0].regex = "((?:x+x+)+)y";
	slow = compile(rules, 1, RELABEL_PROMETHEUS);
	assert_int_equal(relabel_apply(slow, c, &in, 1, &out, &n), RELABEL_DROP_LIMIT);
	rules[0].replacement = "plain"; /* no group: decided by the matcher that cannot explode */
	(void)relabel_unref(slow);
	slow = compile(rules, 1, RELABEL_PROMETHEUS);
	assert_int_equal(relabel_apply(slow, c, &in, 1, &out, &n), RELABEL_UNCHANGED);
}

struct told {
	size_t n;
	struct strbuf text;
};

static void tell(void *ctx, size_t rule, const char *action, const char *text, const char *path,
		 bool matched, const struct rw_label *labels, size_t n)
{
	struct told *t = ctx;

	strbuf_addf(&t->text, "%zu %s %s (%s) %s %zu\n", rule, action, text, path,
		    matched ? "yes" : "no", n);
	t->n++;
}

static void explain(void **state)
{
	const char *const job[] = { "job" };
	const struct relabel_source rules[] = {
		{ .source_labels = job,
		  .n_source_labels = 1,
		  .regex = "test|dev",
		  .action = "drop" },
		{ .source_labels = job,
		  .n_source_labels = 1,
		  .regex = "(a).*",
		  .target_label = "b" },
		{ .source_labels = job, .n_source_labels = 1, .regex = "ap.", .action = "drop" },
		{ .regex = "b", .action = "labeldrop" }, /* never reached */
	};
	_cleanup_(relabel_unrefp) struct relabel *r = compile(rules, 4, RELABEL_PROMETHEUS);
	_cleanup_(relabel_context_freep) struct relabel_context *c = NULL;
	struct rw_label in = { "job", "api", 3, 3 };
	struct told told = {};
	const struct rw_label *out;
	size_t n;

	assert_int_equal(relabel_context_new(&c), 0);
	assert_int_equal(relabel_explain(r, c, &in, 1, tell, &told, &out, &n), RELABEL_DROP);
	assert_string_equal(strbuf_str(&told.text),
			    "0 drop [job] =~ \"test|dev\" (literal set) no 1\n"
			    "1 replace [job] =~ \"(a).*\" -> b (prefix) yes 2\n"
			    "2 drop [job] =~ \"ap.\" (PCRE2 JIT) yes 2\n");
	strbuf_done(&told.text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vectors),	  cmocka_unit_test(actions),
		cmocka_unit_test(graphite),	  cmocka_unit_test(lists),
		cmocka_unit_test(errors_at_load), cmocka_unit_test(legacy_names),
		cmocka_unit_test(limits),	  cmocka_unit_test(explain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
