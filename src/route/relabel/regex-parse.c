/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parser of Go's regular expressions
 *
 * One pass with a stack, as parse.go of regexp/syntax does it with its Perl flags: what is on the stack since the last parenthesis or bar
 * is a concatenation in the making, a bar closes it, a parenthesis closes the alternation. What Go refuses is refused here, with the
 * offset; in addition nesting deeper than REGEX_DEPTH_MAX and sources longer than REGEX_SOURCE_MAX.
 */

#include <errno.h>
#include "base/macro.h"
#include "base/text.h"
#include "route/relabel/regex-tree.h"

/* An open group: the branches that are closed, and the last one that is being read. */
struct level {
	struct regex_node *branches, *last_branch;
	struct regex_node *items, *last, **last_link; /* what points to the last */
	size_t n_branches;
	unsigned capture; /* 0: none */
	bool fold, multiline, dot_nl, lazy; /* flags to go back to */
	const char *open;
};

struct parser {
	struct regex_reader r;
	struct level stack[REGEX_DEPTH_MAX + 1];
	size_t depth;
	bool multiline, dot_nl, lazy; /* with r.fold the flags m s U i */
	unsigned n_captures;
	const char *names[REGEX_SOURCE_MAX / 2];
	bool repeated; /* what was read last was a repeat: no other may follow */
};

static struct regex_node *node_new(struct parser *p, enum regex_op op)
{
	struct regex_node *n = arena_alloc(p->r.arena, sizeof(*n));

	if (n)
		n->op = op;
	p->r.no_memory |= !n;
	return n;
}

static bool push(struct parser *p, struct regex_node *n)
{
	struct level *l = &p->stack[p->depth];

	if (!n)
		return false;
	l->last_link = l->last ? &l->last->next : &l->items;
	*l->last_link = l->last = n;
	return true;
}

static bool push_op(struct parser *p, enum regex_op op)
{
	return push(p, node_new(p, op));
}

static bool push_literal(struct parser *p, uint32_t c)
{
	struct regex_node *n = node_new(p, REGEX_LITERAL);

	if (!n)
		return false;
	n->c = c;
	n->fold = p->r.fold;
	return push(p, n);
}

static bool push_class(struct parser *p, struct regex_class *c)
{
	struct regex_node *n = node_new(p, REGEX_CLASS);

	if (!n)
		return false;
	n->class = c;
	return push(p, n);
}

/* --- groups --- */

static bool close_branch(struct parser *p)
{
	struct level *l = &p->stack[p->depth];
	struct regex_node *branch = l->items;

	if (!branch || branch->next) {
		branch = node_new(p, branch ? REGEX_CONCAT : REGEX_EMPTY);
		if (!branch)
			return false;
		branch->child = l->items;
	}
	if (l->last_branch)
		l->last_branch->next = branch;
	else
		l->branches = branch;
	l->last_branch = branch;
	l->n_branches++;
	l->items = l->last = NULL;
	return true;
}

static struct regex_node *close_group(struct parser *p)
{
	struct level *l = &p->stack[p->depth];
	struct regex_node *n;

	if (!close_branch(p))
		return NULL;
	n = l->branches;
	if (l->n_branches > 1) {
		n = node_new(p, REGEX_ALTERNATE);
		if (!n)
			return NULL;
		n->child = l->branches;
	}
	if (l->capture) {
		struct regex_node *capture = node_new(p, REGEX_CAPTURE);

		if (!capture)
			return NULL;
		capture->capture = l->capture;
		capture->child = n;
		n = capture;
	}
	return n;
}

static bool open_group(struct parser *p, const char *open, unsigned capture)
{
	if (p->depth == REGEX_DEPTH_MAX) {
		regex_fail(&p->r, open, "groups are nested more than 250 deep");
		return false;
	}
	p->stack[++p->depth] = (struct level){
		.capture = capture,
		.fold = p->r.fold,
		.multiline = p->multiline,
		.dot_nl = p->dot_nl,
		.lazy = p->lazy,
		.open = open,
	};
	return true;
}

static bool read_close(struct parser *p)
{
	const struct level *l = &p->stack[p->depth];
	struct regex_node *n;

	if (!p->depth) {
		regex_fail(&p->r, p->r.at, "unexpected )");
		return false;
	}
	n = close_group(p);
	p->r.fold = l->fold;
	p->multiline = l->multiline;
	p->dot_nl = l->dot_nl;
	p->lazy = l->lazy;
	p->depth--;
	p->r.at++;
	return push(p, n);
}

static bool read_name(struct parser *p, const char *open, const char *name)
{
	const char *stop = memchr(name, '>', (size_t)(p->r.end - name));
	bool good = stop && stop > name;

	for (const char *c = name; good && c < stop; c++)
		good = *c == '_' || (*c >= '0' && *c <= '9') || (*c >= 'a' && *c <= 'z') ||
		       (*c >= 'A' && *c <= 'Z');
	if (!good) {
		regex_fail(&p->r, open, "bad name of a group");
		return false;
	}
	for (unsigned i = 0; i < p->n_captures; i++)
		if (p->names[i] && strlen(p->names[i]) == (size_t)(stop - name) &&
		    memcmp(p->names[i], name, (size_t)(stop - name)) == 0) {
			regex_fail(&p->r, open, "two groups of one name");
			return false;
		}
	p->names[p->n_captures] = arena_strndup(p->r.arena, name, (size_t)(stop - name));
	if (!p->names[p->n_captures])
		p->r.no_memory = true;
	p->r.at = stop + 1;
	return !p->r.no_memory && open_group(p, open, ++p->n_captures);
}

static bool set_flag(struct parser *p, char flag, bool on)
{
	switch (flag) {
	case 'i':
		p->r.fold = on;
		return true;
	case 'm':
		p->multiline = on;
		return true;
	case 's':
		p->dot_nl = on;
		return true;
	case 'U':
		p->lazy = on;
		return true;
	default:
		return false;
	}
}

/* (?flags) and (?flags:…): the flags before are those that the group goes back to. */
static bool read_flags(struct parser *p, const char *open)
{
	bool fold = p->r.fold, multiline = p->multiline, dot_nl = p->dot_nl, lazy = p->lazy;
	bool on = true, seen = false;

	for (p->r.at = open + 2; p->r.at < p->r.end; p->r.at++) {
		char c = *p->r.at;
		struct level *l;

		if (c == '-' && on) {
			on = seen = false;
		} else if (c == ':' || c == ')') {
			if (!on && !seen)
				break;
			p->r.at++;
			if (c == ')')
				return true;
			if (!open_group(p, open, 0))
				return false;
			l = &p->stack[p->depth];
			l->fold = fold;
			l->multiline = multiline;
			l->dot_nl = dot_nl;
			l->lazy = lazy;
			return true;
		} else if (!set_flag(p, c, on)) {
			break;
		} else {
			seen = true;
		}
	}
	regex_fail(&p->r, open, "this kind of group is not supported");
	return false;
}

static bool read_open(struct parser *p)
{
	const char *open = p->r.at;
	size_t left = (size_t)(p->r.end - open);

	if (left < 2 || open[1] != '?') {
		p->r.at++;
		p->names[p->n_captures] = NULL;
		return open_group(p, open, ++p->n_captures);
	}
	if (left > 4 && open[2] == 'P' && open[3] == '<')
		return read_name(p, open, open + 4);
	if (left > 3 && open[2] == '<' && open[3] != '=' && open[3] != '!')
		return read_name(p, open, open + 3);
	return read_flags(p, open);
}

/* --- repeats --- */

/* Do repeats within each other stay below REGEX_REPEAT_MAX copies? */
static bool repeat_fits(const struct regex_node *n, int left)
{
	if (n->op == REGEX_REPEAT && (n->max > 1 || n->min > 1)) {
		int times = n->max < 0 ? n->min : n->max;

		if (times > left)
			return false;
		left /= MAX(times, 1);
	} else if (n->op == REGEX_REPEAT && n->max == 0) {
		return true;
	}
	for (const struct regex_node *c = n->child; c; c = c->next)
		if (!repeat_fits(c, left))
			return false;
	return true;
}

/* What is repeated is taken off the list and put back wrapped. */
static bool push_repeat(struct parser *p, const char *before, int min, int max)
{
	struct level *l = &p->stack[p->depth];
	struct regex_node *n, *item = l->last;
	bool lazy = p->lazy;

	if (p->r.at < p->r.end && *p->r.at == '?') {
		p->r.at++;
		lazy = !lazy;
	}
	if (p->repeated) {
		regex_fail(&p->r, before, "a repeat of a repeat");
		return false;
	}
	if (!item) {
		regex_fail(&p->r, before, "nothing to repeat");
		return false;
	}
	n = node_new(p, REGEX_REPEAT);
	if (!n)
		return false;
	*l->last_link = l->last = n;
	*n = (struct regex_node){
		.op = REGEX_REPEAT, .min = min, .max = max, .lazy = lazy, .child = item
	};
	if ((min > 1 || max > 1) && !repeat_fits(n, REGEX_REPEAT_MAX)) {
		regex_fail(&p->r, before, "more than 1000 repeats");
		return false;
	}
	p->repeated = true;
	return true;
}

/* Without leading zeros; -1 for what is too big. */
static bool read_int(const char **at, const char *end, int *ret)
{
	int v = 0;

	if (*at == end || **at < '0' || **at > '9' ||
	    (end - *at >= 2 && **at == '0' && (*at)[1] >= '0' && (*at)[1] <= '9'))
		return false;
	for (; *at < end && **at >= '0' && **at <= '9'; (*at)++)
		if (v >= 0)
			v = v > REGEX_REPEAT_MAX ? -1 : v * 10 + (**at - '0');
	*ret = v > REGEX_REPEAT_MAX ? -1 : v;
	return true;
}

/* {n} {n,} {n,m}; what has another form is text. */
static bool read_braces(struct parser *p)
{
	const char *before = p->r.at, *at = before + 1, *end = p->r.end;
	bool good, too_big;
	int min, max;

	good = read_int(&at, end, &min);
	max = min;
	if (good && at < end && *at == ',') {
		at++;
		if (at < end && *at == '}') {
			max = -1;
			too_big = false;
		} else {
			good = read_int(&at, end, &max);
			too_big = good && max < 0;
		}
	} else {
		too_big = good && max < 0;
	}
	if (!good || at == end || *at != '}') {
		p->r.at++;
		p->repeated = false;
		return push_literal(p, '{');
	}
	if (min < 0 || too_big || (max >= 0 && min > max)) {
		regex_fail(&p->r, before, "the numbers of the repeat are not 0 to 1000 in order");
		return false;
	}
	p->r.at = at + 1;
	return push_repeat(p, before, min, max);
}

/* --- the rest --- */

static bool read_quoted(struct parser *p)
{
	const char *stop;

	p->r.at += 2;
	stop = memmem(p->r.at, (size_t)(p->r.end - p->r.at), "\\E", 2);
	while (p->r.at < (stop ? stop : p->r.end)) {
		size_t len;
		uint32_t c = unicode_get(p->r.at, (size_t)(p->r.end - p->r.at), &len);

		if (!push_literal(p, c))
			return false;
		p->r.at += len;
	}
	if (stop)
		p->r.at = stop + 2;
	return true;
}

static bool read_backslash(struct parser *p)
{
	static const struct {
		char letter;
		enum regex_op op;
	} assertions[] = { { 'A', REGEX_BEGIN_TEXT },
			   { 'b', REGEX_WORD },
			   { 'B', REGEX_NO_WORD },
			   { 'z', REGEX_END_TEXT } };
	struct regex_class *class;
	uint32_t c;
	int found;

	for (size_t i = 0; p->r.end - p->r.at >= 2 && i < ARRAY_SIZE(assertions); i++)
		if (p->r.at[1] == assertions[i].letter) {
			p->r.at += 2;
			return push_op(p, assertions[i].op);
		}
	if (p->r.end - p->r.at >= 2 && p->r.at[1] == 'Q')
		return read_quoted(p);
	class = regex_class_new(&p->r);
	found = class ? regex_read_group(&p->r, class) : -1;
	if (found < 0)
		return false;
	if (found)
		return regex_class_done(&p->r, class) && push_class(p, class);
	return regex_read_escape(&p->r, &c) && push_literal(p, c);
}

static bool read_one(struct parser *p)
{
	const char *before = p->r.at;
	struct regex_class *class;
	size_t len;
	uint32_t c;

	if (*before == '*' || *before == '+' || *before == '?') {
		p->r.at++;
		return push_repeat(p, before, *before == '+', *before == '?' ? 1 : -1);
	}
	if (*before == '{')
		return read_braces(p);
	p->repeated = false;
	switch (*before) {
	case '(':
		return read_open(p);
	case ')':
		return read_close(p);
	case '[':
		return regex_read_class(&p->r, &class) && push_class(p, class);
	case '\\':
		return read_backslash(p);
	case '|':
		p->r.at++;
		return close_branch(p);
	case '^':
		p->r.at++;
		return push_op(p, p->multiline ? REGEX_BEGIN_LINE : REGEX_BEGIN_TEXT);
	case '$':
		p->r.at++;
		return push_op(p, p->multiline ? REGEX_END_LINE : REGEX_END_TEXT);
	case '.':
		p->r.at++;
		return push_op(p, p->dot_nl ? REGEX_ANY : REGEX_ANY_NOT_NL);
	default:
		c = unicode_get(before, (size_t)(p->r.end - before), &len);
		p->r.at += len;
		return push_literal(p, c);
	}
}

/* Depth of the tree: repeats of repeats by way of empty flags need no parenthesis. */
static bool too_deep(const struct regex_node *n, unsigned left)
{
	if (!left)
		return true;
	for (const struct regex_node *c = n->child; c; c = c->next)
		if (too_deep(c, left - 1))
			return true;
	return false;
}

static int finish(struct parser *p, struct regex_tree *ret)
{
	struct regex_tree t = { .arena = p->r.arena, .n_captures = p->n_captures };

	if (p->depth)
		regex_fail(&p->r, p->stack[p->depth].open, "missing closing )");
	if (p->r.error)
		return -EINVAL;
	t.root = close_group(p);
	t.names = arena_alloc(p->r.arena, (t.n_captures + 1) * sizeof(*t.names));
	if (!t.root || !t.names)
		return -ENOMEM;
	for (unsigned i = 0; i < t.n_captures; i++)
		t.names[i + 1] = p->names[i];
	if (too_deep(t.root, 4 * REGEX_DEPTH_MAX)) {
		regex_fail(&p->r, p->r.start, "nested too deep");
		return -EINVAL;
	}
	*ret = t;
	return 0;
}

int regex_parse(const char *text, size_t len, struct arena *arena, char *why, size_t why_size,
		struct regex_tree *ret)
{
	_cleanup_(freep) struct parser *p = calloc(1, sizeof(*p));
	bool good = true;
	int r;

	if (!p)
		return -ENOMEM;
	p->r = (struct regex_reader){ .at = text, .start = text, .end = text + len, .arena = arena };
	p->dot_nl = true;
	if (len > REGEX_SOURCE_MAX)
		regex_fail(&p->r, text, "longer than 32 KiB");
	else if (!utf8_valid(text, len))
		regex_fail(&p->r, text, "not UTF-8");
	while (!p->r.error && good && p->r.at < p->r.end)
		good = read_one(p);
	r = good || p->r.error ? finish(p, ret) : -ENOMEM;
	if (r == -EINVAL)
		(void)snprintf(why, why_size, "%s at offset %td", p->r.error, p->r.error_at - text);
	return r;
}
