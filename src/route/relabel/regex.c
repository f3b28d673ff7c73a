/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compiled expressions: a fast path, or PCRE2 with JIT
 *
 * Limits hold for each match; where one is met and no group is wanted, pcre2_dfa_match() decides, which cannot explode. The text that PCRE2
 * gets was written by the emitter, never by a person.
 */

#define PCRE2_CODE_UNIT_WIDTH 8
#include <errno.h>
#include <pcre2.h>
#include "base/macro.h"
#include "route/relabel/regex.h"

#define MATCH_LIMIT 100000
#define DEPTH_LIMIT 10000
#define HEAP_LIMIT_KIB 4096
#define JIT_STACK_MIN (32 * 1024)
#define JIT_STACK_MAX (512 * 1024)
#define DFA_WORKSPACE (64 * 1024) /* ints */
#define PARENS_MAX 8192

struct regex {
	struct regex_fast fast;
	pcre2_code *code; /* NULL: the fast path is all */
	bool jit;
	unsigned flags, n_captures;
	char **names; /* 1..n_captures; NULL without a name */
	bool *unsure; /* 1..n_captures */
};

struct regex_scratch {
	pcre2_match_data *data;
	unsigned pairs; /* that data has room for */
	pcre2_match_context *context;
	pcre2_jit_stack *stack;
	int *dfa; /* made when first needed */
	size_t len; /* of the text of the last match by a fast path */
};

struct regex *regex_free(struct regex *r)
{
	if (!r)
		return NULL;
	regex_fast_done(&r->fast);
	pcre2_code_free(r->code);
	for (unsigned i = 0; r->names && i <= r->n_captures; i++)
		free(r->names[i]);
	free(r->names);
	free(r->unsure);
	free(r);
	return NULL;
}

/* --- what a group holds --- */

static bool nullable(const struct regex_node *n)
{
	switch (n->op) {
	case REGEX_LITERAL:
	case REGEX_CLASS:
	case REGEX_ANY:
	case REGEX_ANY_NOT_NL:
		return false;
	case REGEX_REPEAT:
		return n->min == 0 || nullable(n->child);
	case REGEX_CONCAT:
		for (const struct regex_node *c = n->child; c; c = c->next)
			if (!nullable(c))
				return false;
		return true;
	case REGEX_ALTERNATE:
		for (const struct regex_node *c = n->child; c; c = c->next)
			if (nullable(c))
				return true;
		return false;
	case REGEX_CAPTURE:
		return nullable(n->child);
	default:
		return true;
	}
}

static void find_unsure(const struct regex_node *n, bool inside, bool *unsure)
{
	if (n->op == REGEX_REPEAT && (n->max < 0 || n->max > 1) && nullable(n->child))
		inside = true;
	if (n->op == REGEX_CAPTURE)
		unsure[n->capture] = inside;
	for (const struct regex_node *c = n->child; c; c = c->next)
		find_unsure(c, inside, unsure);
}

static int keep_captures(struct regex *r, const struct regex_tree *t)
{
	r->n_captures = t->n_captures;
	r->names = calloc(t->n_captures + 1, sizeof(*r->names));
	r->unsure = calloc(t->n_captures + 1, sizeof(*r->unsure));
	if (!r->names || !r->unsure)
		return -ENOMEM;
	for (unsigned i = 1; i <= t->n_captures; i++) {
		if (!t->names[i])
			continue;
		r->names[i] = strdup(t->names[i]);
		if (!r->names[i])
			return -ENOMEM;
	}
	find_unsure(t->root, false, r->unsure);
	return 0;
}

/* --- compile --- */

static int compile_pcre2(struct regex *r, const struct regex_tree *t, char *why, size_t why_size)
{
	struct strbuf text _cleanup_strbuf_ = STRBUF_INIT;
	uint32_t options = PCRE2_UTF | PCRE2_DOTALL | PCRE2_DOLLAR_ENDONLY | PCRE2_ALT_CIRCUMFLEX |
			   PCRE2_NO_UTF_CHECK;
	bool captures = r->flags & REGEX_CAPTURES;
	pcre2_compile_context *context;
	PCRE2_SIZE at;
	int error;

	if (regex_emit(t, captures, &text) < 0)
		return -ENOMEM;
	if (!(r->flags & REGEX_SEARCH))
		options |= PCRE2_ANCHORED | PCRE2_ENDANCHORED;
	context = pcre2_compile_context_create(NULL);
	if (!context)
		return -ENOMEM;
	(void)pcre2_set_newline(context, PCRE2_NEWLINE_LF);
	(void)pcre2_set_parens_nest_limit(context, PARENS_MAX);
	r->code = pcre2_compile((PCRE2_SPTR)text.data, text.len, options, &error, &at, context);
	pcre2_compile_context_free(context);
	if (!r->code) {
		char message[128] = "";

		(void)pcre2_get_error_message(error, (PCRE2_UCHAR *)message, sizeof(message));
		(void)snprintf(why, why_size, "not supported: %s", message);
		return -EINVAL;
	}
	/* Where memory may not be made executable, the interpreter serves. */
	r->jit = pcre2_jit_compile(r->code, PCRE2_JIT_COMPLETE) == 0;
	r->fast.path = r->jit ? "PCRE2 JIT" : "PCRE2";
	return 0;
}

/**
 * regex_compile() - from Go's syntax
 * @why: with -EINVAL a sentence that names the offset
 *
 * Return: 0, -EINVAL, -ENOMEM.
 */
int regex_compile(const char *text, size_t len, unsigned flags, char *why, size_t why_size,
		  struct regex **ret)
{
	_cleanup_(regex_freep) struct regex *r = calloc(1, sizeof(*r));
	_cleanup_(arena_freep) struct arena *arena = NULL;
	struct regex_tree tree;
	int error = arena_new(0, &arena);

	if (!r)
		return -ENOMEM;
	r->flags = flags;
	if (error == 0)
		error = regex_parse(text, len, arena, why, why_size, &tree);
	if (error == 0)
		error = keep_captures(r, &tree);
	if (error == 0 && !(flags & REGEX_SEARCH))
		error = regex_fast_find(&tree, flags & REGEX_CAPTURES, &r->fast);
	if (error == 0 && r->fast.kind == REGEX_KIND_PCRE2)
		error = compile_pcre2(r, &tree, why, why_size);
	if (error < 0)
		return error;
	*ret = TAKE_PTR(r);
	return 0;
}

const char *regex_path(const struct regex *r)
{
	return r->fast.path;
}

unsigned regex_n_captures(const struct regex *r)
{
	return r->n_captures;
}

unsigned regex_find_name(const struct regex *r, const char *name, size_t len)
{
	for (unsigned i = 1; i <= r->n_captures; i++)
		if (r->names[i] && strlen(r->names[i]) == len &&
		    memcmp(r->names[i], name, len) == 0)
			return i;
	return 0;
}

bool regex_capture_unsure(const struct regex *r, unsigned capture)
{
	return capture <= r->n_captures && r->unsure[capture];
}

/* --- match --- */

int regex_scratch_new(struct regex_scratch **ret)
{
	_cleanup_(regex_scratch_freep) struct regex_scratch *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->pairs = 10;
	s->data = pcre2_match_data_create(s->pairs, NULL);
	s->context = pcre2_match_context_create(NULL);
	s->stack = pcre2_jit_stack_create(JIT_STACK_MIN, JIT_STACK_MAX, NULL);
	if (!s->data || !s->context)
		return -ENOMEM;
	(void)pcre2_set_match_limit(s->context, MATCH_LIMIT);
	(void)pcre2_set_depth_limit(s->context, DEPTH_LIMIT);
	(void)pcre2_set_heap_limit(s->context, HEAP_LIMIT_KIB);
	/* No JIT here: no stack for it, either. */
	if (s->stack)
		pcre2_jit_stack_assign(s->context, NULL, s->stack);
	*ret = TAKE_PTR(s);
	return 0;
}

struct regex_scratch *regex_scratch_free(struct regex_scratch *s)
{
	if (!s)
		return NULL;
	pcre2_match_data_free(s->data);
	pcre2_match_context_free(s->context);
	pcre2_jit_stack_free(s->stack);
	free(s->dfa);
	free(s);
	return NULL;
}

/* Grows once for the expression with the most groups. */
static bool make_room(struct regex_scratch *s, unsigned pairs)
{
	pcre2_match_data *more;

	if (pairs <= s->pairs)
		return true;
	more = pcre2_match_data_create(pairs, NULL);
	if (!more)
		return false;
	pcre2_match_data_free(s->data);
	s->data = more;
	s->pairs = pairs;
	return true;
}

static enum regex_result match_dfa(const struct regex *r, struct regex_scratch *s, const char *text,
				   size_t len)
{
	int found;

	if (!s->dfa)
		s->dfa = malloc(DFA_WORKSPACE * sizeof(*s->dfa));
	if (!s->dfa)
		return REGEX_LIMIT;
	found = pcre2_dfa_match(r->code, (PCRE2_SPTR)text, len, 0, PCRE2_NO_UTF_CHECK, s->data,
				s->context, s->dfa, DFA_WORKSPACE);
	if (found < 0)
		return found == PCRE2_ERROR_NOMATCH ? REGEX_NO : REGEX_LIMIT;
	/* The longest match comes first; that it must end with the text is not heeded by this matcher. */
	return pcre2_get_ovector_pointer(s->data)[1] == len ? REGEX_YES : REGEX_NO;
}

static enum regex_result match_pcre2(const struct regex *r, struct regex_scratch *s,
				     const char *text, size_t len, size_t from)
{
	int found;

	if (!make_room(s, r->flags & REGEX_CAPTURES ? r->n_captures + 1 : 1))
		return REGEX_LIMIT;
	if (r->jit)
		found = pcre2_jit_match(r->code, (PCRE2_SPTR)text, len, from, 0, s->data,
					s->context);
	else
		found = pcre2_match(r->code, (PCRE2_SPTR)text, len, from, PCRE2_NO_UTF_CHECK,
				    s->data, s->context);
	if (found >= 0)
		return REGEX_YES;
	if (found == PCRE2_ERROR_NOMATCH)
		return REGEX_NO;
	if (r->flags & (REGEX_CAPTURES | REGEX_SEARCH))
		return REGEX_LIMIT;
	return match_dfa(r, s, text, len);
}

enum regex_result regex_match(const struct regex *r, struct regex_scratch *s, const char *text,
			      size_t len)
{
	if (r->fast.kind == REGEX_KIND_PCRE2)
		return match_pcre2(r, s, text, len, 0);
	s->len = len;
	return regex_fast_match(&r->fast, text, len) ? REGEX_YES : REGEX_NO;
}

enum regex_result regex_search(const struct regex *r, struct regex_scratch *s, const char *text,
			       size_t len, size_t from)
{
	return match_pcre2(r, s, text, len, from);
}

static size_t place_of(const struct regex_fast *f, struct regex_bound b, size_t len)
{
	if (!b.behind || f->kind == REGEX_KIND_SET)
		return b.behind ? len : b.at;
	return len - (f->prefix + f->suffix - b.at);
}

bool regex_capture(const struct regex *r, const struct regex_scratch *s, unsigned capture,
		   size_t *ret_from, size_t *ret_to)
{
	const PCRE2_SIZE *pairs;

	if (r->fast.kind != REGEX_KIND_PCRE2) {
		const struct regex_bound *b;

		if (capture > r->fast.n_captures)
			return false;
		b = r->fast.bounds[capture];
		*ret_from = capture ? place_of(&r->fast, b[0], s->len) : 0;
		*ret_to = capture ? place_of(&r->fast, b[1], s->len) : s->len;
		return true;
	}
	pairs = pcre2_get_ovector_pointer(s->data);
	if (capture && !(r->flags & REGEX_CAPTURES))
		return false;
	if (capture > r->n_captures || capture >= s->pairs || pairs[2 * capture] == PCRE2_UNSET)
		return false;
	*ret_from = pairs[2 * capture];
	*ret_to = pairs[2 * capture + 1];
	return true;
}
