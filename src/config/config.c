/* SPDX-License-Identifier: Apache-2.0 */
/*
 * YAML to structs by row tables
 *
 * Two passes of libyaml. The first walks the events and refuses what a configuration never needs and an attacker
 * likes: aliases, several documents, deep nesting. The second loads the document; nodes carry their marks, so that every
 * error tells line and column. All errors are collected before the load fails.
 */

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>
#include "base/fs.h"
#include "config/internal.h"

#define TEXT_MAX (1 << 20)
#define DEPTH_MAX 16
#define KEY_MAX 256

struct reader {
	const char *file;
	struct diags *diags;
	struct config *config;
	yaml_document_t *document;
};

static void complain(struct reader *r, const yaml_mark_t *m, const char *path, const char *text)
{
	diags_add(r->diags, r->file, (unsigned)m->line + 1, (unsigned)m->column + 1, "%s%s%s", path,
		  *path ? ": " : "", text);
}

/* --- the first pass --- */

static bool event_is_sound(struct reader *r, const yaml_event_t *e, unsigned *documents,
			   unsigned *depth)
{
	switch (e->type) {
	case YAML_ALIAS_EVENT:
		complain(r, &e->start_mark, "", "aliases are not taken");
		return false;
	case YAML_DOCUMENT_START_EVENT:
		if (++*documents > 1) {
			complain(r, &e->start_mark, "", "only one document is taken");
			return false;
		}
		return true;
	case YAML_MAPPING_START_EVENT:
	case YAML_SEQUENCE_START_EVENT:
		if (++*depth > DEPTH_MAX) {
			complain(r, &e->start_mark, "", "nested too deeply");
			return false;
		}
		return true;
	case YAML_MAPPING_END_EVENT:
	case YAML_SEQUENCE_END_EVENT:
		--*depth;
		return true;
	default:
		return true;
	}
}

static void complain_parser(struct reader *r, const yaml_parser_t *p)
{
	yaml_mark_t m = p->problem_mark;

	if (p->error == YAML_READER_ERROR)
		diags_add(r->diags, r->file, 0, 0, "%s at byte %zu", p->problem, p->problem_offset);
	else
		complain(r, &m, "", p->problem ? p->problem : "cannot be parsed");
}

static int check_events(struct reader *r, const char *text, size_t len)
{
	yaml_parser_t p;
	unsigned documents = 0, depth = 0;
	bool done = false, ok = true;

	if (!yaml_parser_initialize(&p))
		return -ENOMEM;
	yaml_parser_set_input_string(&p, (const unsigned char *)text, len);
	while (ok && !done) {
		yaml_event_t e;

		if (!yaml_parser_parse(&p, &e)) {
			complain_parser(r, &p);
			ok = false;
			break;
		}
		ok = event_is_sound(r, &e, &documents, &depth);
		done = e.type == YAML_STREAM_END_EVENT;
		yaml_event_delete(&e);
	}
	yaml_parser_delete(&p);
	return ok ? 0 : -EINVAL;
}

/* --- the second pass --- */

static bool is_null(const yaml_node_t *n)
{
	const char *s = (const char *)n->data.scalar.value;

	return n->type == YAML_SCALAR_NODE && n->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
	       (streq(s, "") || streq(s, "~") || streq(s, "null"));
}

/* Scalars with a NUL inside would be cut silently. */
static const char *scalar(struct reader *r, const yaml_node_t *n, const char *path)
{
	if (n->type != YAML_SCALAR_NODE) {
		complain(r, &n->start_mark, path,
			 n->type == YAML_MAPPING_NODE ? "a map stands where one value belongs"
						      : "a list stands where one value belongs");
		return NULL;
	}
	if (strlen((const char *)n->data.scalar.value) != n->data.scalar.length) {
		complain(r, &n->start_mark, path, "holds a NUL byte");
		return NULL;
	}
	return (const char *)n->data.scalar.value;
}

static unsigned edit_distance(const char *a, const char *b)
{
	unsigned row[64];
	size_t n = strlen(b);

	if (n >= ARRAY_SIZE(row) || strlen(a) >= ARRAY_SIZE(row))
		return 99;
	for (unsigned j = 0; j <= n; j++)
		row[j] = j;
	for (unsigned i = 1; a[i - 1]; i++) {
		unsigned diagonal = row[0];

		row[0] = i;
		for (unsigned j = 1; j <= n; j++) {
			unsigned above = row[j];
			unsigned change = diagonal + (a[i - 1] != b[j - 1]);

			row[j] = MIN(MIN(above, row[j - 1]) + 1, change);
			diagonal = above;
		}
	}
	return row[n];
}

static void complain_unknown(struct reader *r, const yaml_node_t *key, const char *path,
			     const char *nearest)
{
	char text[300];

	if (nearest)
		(void)snprintf(text, sizeof(text), "unknown key, did you mean '%s'?", nearest);
	else
		(void)snprintf(text, sizeof(text), "unknown key");
	complain(r, &key->start_mark, path, text);
}

static void join(char *ret, const char *prefix, const char *key)
{
	(void)snprintf(ret, KEY_MAX, "%s%s%s", prefix, *prefix ? "." : "", key);
}

static int read_map(struct reader *r, const yaml_node_t *node, const struct config_row *rows,
		    const char *path, void *object);

static int read_strings(struct reader *r, const yaml_node_t *node, const struct config_row *row,
			const char *path, struct config_strings *ret)
{
	const yaml_node_item_t *first = node->data.sequence.items.start;
	size_t n = (size_t)(node->data.sequence.items.top - first);
	const char **items = arena_alloc(r->config->arena, (n + 1) * sizeof(*items));
	size_t errors = r->diags->total;

	if (!items)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		const yaml_node_t *item = yaml_document_get_node(r->document, first[i]);
		const char *text = scalar(r, item, path);

		if (!text)
			continue;
		items[i] = arena_strdup(r->config->arena, text);
		if (!items[i])
			return -ENOMEM;
		if (row->check) {
			char why[256] = "";

			if (row->check(items[i], why, sizeof(why)) < 0)
				complain(r, &item->start_mark, path, why);
		}
	}
	if (r->diags->total != errors)
		return 0;
	*ret = (struct config_strings){ items, n };
	return 0;
}

/* A value that may be a list, written as one. */
static int read_one(struct reader *r, const yaml_node_t *node, const struct config_row *row,
		    const char *path, struct config_strings *ret)
{
	const char *text = scalar(r, node, path), **items;
	char why[256] = "";

	if (!text)
		return 0;
	items = arena_alloc(r->config->arena, 2 * sizeof(*items));
	if (!items)
		return -ENOMEM;
	items[0] = arena_strdup(r->config->arena, text);
	if (!items[0])
		return -ENOMEM;
	if (row->check && row->check(items[0], why, sizeof(why)) < 0)
		complain(r, &node->start_mark, path, why);
	else
		*ret = (struct config_strings){ items, 1 };
	return 0;
}

static int read_list(struct reader *r, const yaml_node_t *node, const struct config_row *row,
		     const char *path, struct config_list *ret)
{
	const yaml_node_item_t *first = node->data.sequence.items.start;
	size_t n = (size_t)(node->data.sequence.items.top - first);
	char *items = arena_alloc(r->config->arena, (n + 1) * row->item_size);
	int e;

	if (!items)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		const yaml_node_t *item = yaml_document_get_node(r->document, first[i]);
		char name[KEY_MAX];

		(void)snprintf(name, sizeof(name), "%s[%zu]", path, i);
		if (item->type != YAML_MAPPING_NODE) {
			complain(r, &item->start_mark, name, "is not a map");
			continue;
		}
		e = config_set_defaults(row->rows, r->config->arena, items + i * row->item_size);
		if (e >= 0)
			e = read_map(r, item, row->rows, name, items + i * row->item_size);
		if (e < 0)
			return e;
	}
	*ret = (struct config_list){ items, n };
	return 0;
}

static int read_sequence(struct reader *r, const yaml_node_t *node, const struct config_row *row,
			 const char *path, void *member)
{
	size_t n;
	char why[96];

	if (node->type == YAML_SCALAR_NODE && row->flags & CONFIG_ONE_OR_MANY)
		return read_one(r, node, row, path, member);
	if (node->type != YAML_SEQUENCE_NODE) {
		complain(r, &node->start_mark, path, "is not a list");
		return 0;
	}
	n = (size_t)(node->data.sequence.items.top - node->data.sequence.items.start);
	if (row->max_items && n > row->max_items) {
		(void)snprintf(why, sizeof(why), "has %zu items, at most %zu are taken", n,
			       row->max_items);
		complain(r, &node->start_mark, path, why);
		return 0;
	}
	return row->type == CONFIG_STRINGS ? read_strings(r, node, row, path, member)
					   : read_list(r, node, row, path, member);
}

static int read_value(struct reader *r, const yaml_node_t *node, const struct config_row *row,
		      const char *path, void *member)
{
	const char *text;
	char why[256] = "";
	int e;

	switch (row->type) {
	case CONFIG_ANY:
		*(bool *)member = true;
		return 0;
	case CONFIG_GONE:
		complain(r, &node->start_mark, path, row->help);
		return 0;
	case CONFIG_MAP:
		if (node->type == YAML_MAPPING_NODE)
			return read_map(r, node, row->rows, path, member);
		complain(r, &node->start_mark, path, "is not a map");
		return 0;
	case CONFIG_STRINGS:
	case CONFIG_LIST:
		return read_sequence(r, node, row, path, member);
	default:
		text = scalar(r, node, path);
		if (!text)
			return 0;
		e = config_value_parse(row, text, r->config->arena, member, why, sizeof(why));
		if (e == -ENOMEM)
			return e;
		if (e < 0)
			complain(r, &node->start_mark, path, why);
		return 0;
	}
}

static int read_pair(struct reader *r, const yaml_node_t *key, const yaml_node_t *node,
		     const struct config_row *row, const char *path, struct config_pairs *ret)
{
	struct arena *arena = r->config->arena;
	const char *name = scalar(r, key, path), *text = scalar(r, node, path);
	struct config_pair *items;

	if (!name || !text)
		return 0;
	for (size_t i = 0; i < ret->n; i++)
		if (streq(ret->items[i].key, name)) {
			complain(r, &key->start_mark, path, "stands twice");
			return 0;
		}
	if (row->max_items && ret->n == row->max_items) {
		complain(r, &key->start_mark, path, "is one too many");
		return 0;
	}
	items = arena_alloc(arena, (ret->n + 1) * sizeof(*items));
	if (!items)
		return -ENOMEM;
	if (ret->n)
		memcpy(items, ret->items, ret->n * sizeof(*items));
	items[ret->n] = (struct config_pair){ arena_strdup(arena, name), arena_strdup(arena, text),
					      (unsigned)node->start_mark.line + 1,
					      (unsigned)node->start_mark.column + 1 };
	if (!items[ret->n].key || !items[ret->n].value)
		return -ENOMEM;
	ret->items = items;
	ret->n++;
	return 0;
}

static const struct config_row *find_row(const struct config_row *rows, const char *key,
					 const char **ret_nearest)
{
	unsigned best = 3;

	*ret_nearest = NULL;
	if (rows->key && streq(rows->key, "*"))
		return rows;
	for (const struct config_row *row = rows; row->key; row++) {
		unsigned distance;

		if (streq(row->key, key))
			return row;
		distance = edit_distance(key, row->key);
		if (distance < best) {
			best = distance;
			*ret_nearest = row->key;
		}
	}
	return NULL;
}

static void complain_missing(struct reader *r, const yaml_node_t *node,
			     const struct config_row *rows, const char *path, uint64_t seen)
{
	for (size_t i = 0; rows[i].key && i < 64; i++) {
		char full[KEY_MAX];

		if (!(rows[i].flags & CONFIG_REQUIRED) || seen & (1ULL << i))
			continue;
		join(full, path, rows[i].key);
		complain(r, &node->start_mark, full, "is required");
	}
}

static int read_member(struct reader *r, const yaml_node_t *node, const struct config_row *row,
		       const char *path, void *member)
{
	/* A map is no value of its own: only what stands in it is. */
	int e = row->type == CONFIG_MAP
			? 0
			: config_add_place(r->config, member, (unsigned)node->start_mark.line + 1,
					   (unsigned)node->start_mark.column + 1);

	return e < 0 ? e : read_value(r, node, row, path, member);
}

static int read_map(struct reader *r, const yaml_node_t *node, const struct config_row *rows,
		    const char *path, void *object)
{
	uint64_t seen = 0;

	for (const yaml_node_pair_t *p = node->data.mapping.pairs.start;
	     p < node->data.mapping.pairs.top; p++) {
		const yaml_node_t *key = yaml_document_get_node(r->document, p->key);
		const yaml_node_t *value = yaml_document_get_node(r->document, p->value);
		const char *name = scalar(r, key, path), *nearest;
		const struct config_row *row;
		char full[KEY_MAX];
		int e;

		if (!name)
			continue;
		join(full, path, name);
		row = find_row(rows, name, &nearest);
		if (!row) {
			complain_unknown(r, key, full, nearest);
			continue;
		}
		if (row->type == CONFIG_PAIRS) {
			e = read_pair(r, key, value, row, full,
				      (void *)((char *)object + row->offset));
			if (e < 0)
				return e;
			continue;
		}
		if (seen & (1ULL << (row - rows))) {
			complain(r, &key->start_mark, full, "stands twice");
			continue;
		}
		seen |= 1ULL << (row - rows);
		if (is_null(value) && row->type != CONFIG_STRING)
			continue; /* "oom:" alone keeps the defaults */
		e = read_member(r, value, row, full, (char *)object + row->offset);
		if (e < 0)
			return e;
	}
	complain_missing(r, node, rows, path, seen);
	return 0;
}

#define ROOT_KEYS_MAX 64

/* Keys of the file itself: sections are rows of type map, so that unknown and double ones are told the same way. */
struct root {
	struct config_row rows[ROOT_KEYS_MAX + 1];
	void *objects[ROOT_KEYS_MAX];
	size_t n;
};

static void add_root_row(struct root *root, struct config_row row, void *object)
{
	assert(root->n < ROOT_KEYS_MAX);
	root->rows[root->n] = row;
	root->objects[root->n++] = object;
}

static void list_root_rows(const struct config *c, struct root *root)
{
	for (size_t i = 0; c->sections[i].name; i++) {
		const struct config_section *s = &c->sections[i];

		if (*s->name)
			add_root_row(root,
				     (struct config_row){
					     .key = s->name, .type = CONFIG_MAP, .rows = s->rows },
				     c->values[i]);
		else
			for (const struct config_row *row = s->rows; row->key; row++)
				add_root_row(root, *row, c->values[i]);
	}
}

static int read_root_key(struct reader *r, const struct root *root, const yaml_node_t *key,
			 const yaml_node_t *value, uint64_t *seen)
{
	const char *name = scalar(r, key, ""), *nearest;
	const struct config_row *row;
	size_t at;

	if (!name)
		return 0;
	row = find_row(root->rows, name, &nearest);
	if (!row) {
		complain_unknown(r, key, name, nearest);
		return 0;
	}
	at = (size_t)(row - root->rows);
	if (*seen & (1ULL << at))
		complain(r, &key->start_mark, name, "stands twice");
	*seen |= 1ULL << at;
	if (is_null(value))
		return 0;
	return read_member(r, value, row, name, (char *)root->objects[at] + row->offset);
}

static int read_root(struct reader *r, const yaml_node_t *node)
{
	struct root root = {};
	uint64_t seen = 0;

	if (!node || is_null(node))
		return 0; /* an empty file: defaults */
	list_root_rows(r->config, &root);
	/* A file that is a list itself: its only row has no key. */
	if (node->type == YAML_SEQUENCE_NODE && root.n == 1 && !*root.rows[0].key)
		return read_member(r, node, &root.rows[0], "", root.objects[0]);
	if (node->type != YAML_MAPPING_NODE) {
		complain(r, &node->start_mark, "", "the file is not a map of sections");
		return 0;
	}
	for (const yaml_node_pair_t *p = node->data.mapping.pairs.start;
	     p < node->data.mapping.pairs.top; p++) {
		int e = read_root_key(r, &root, yaml_document_get_node(r->document, p->key),
				      yaml_document_get_node(r->document, p->value), &seen);

		if (e < 0)
			return e;
	}
	return 0;
}

static int read_document(struct reader *r, const char *text, size_t len)
{
	yaml_parser_t p;
	yaml_document_t document;
	int e;

	if (!yaml_parser_initialize(&p))
		return -ENOMEM;
	yaml_parser_set_input_string(&p, (const unsigned char *)text, len);
	if (!yaml_parser_load(&p, &document)) {
		complain_parser(r, &p);
		yaml_parser_delete(&p);
		return -EINVAL;
	}
	r->document = &document;
	e = read_root(r, yaml_document_get_root_node(&document));
	yaml_document_delete(&document);
	yaml_parser_delete(&p);
	return e;
}

/* --- defaults --- */

/* Flow form "[a, 'b c']": written by us in rows, so a bad one is a programming error. */
static int default_strings(const struct config_row *row, struct arena *arena,
			   struct config_strings *ret)
{
	static const struct config_row item = { .key = "list", .type = CONFIG_STRINGS };
	struct config_row rows[2] = { item, {} };
	struct diags diags = {};
	struct config config = { .arena = arena };
	struct reader r = { .file = row->key, .diags = &diags, .config = &config };
	_cleanup_strbuf_ struct strbuf text = STRBUF_INIT;
	struct config_section section[2] = { { "default", rows, sizeof(*ret) }, {} };
	void *values[1] = { ret };
	int e;

	if (!row->def || streq(row->def, "[]"))
		return 0;
	strbuf_addf(&text, "default: {list: %s}\n", row->def);
	if (text.error)
		return text.error;
	config.sections = section;
	config.values = values;
	e = read_document(&r, strbuf_str(&text), text.len);
	free(config.places);
	return e < 0 || diags.total ? -EINVAL : 0;
}

/* An assert fails on a default that does not parse. */
int config_set_defaults(const struct config_row *rows, struct arena *arena, void *object)
{
	for (const struct config_row *row = rows; row->key; row++) {
		void *member = (char *)object + row->offset;
		char why[256] = "";
		int r = 0;

		if (row->type == CONFIG_GONE)
			continue;
		if (row->type == CONFIG_MAP)
			r = config_set_defaults(row->rows, arena, member);
		else if (row->type == CONFIG_STRINGS)
			r = default_strings(row, arena, member);
		else if (row->def && row->type != CONFIG_LIST && row->type != CONFIG_PAIRS)
			r = config_value_parse(row, row->def, arena, member, why, sizeof(why));
		else if (row->type == CONFIG_STRING || row->type == CONFIG_PATH)
			*(const char **)member = "";
		if (r == -ENOMEM)
			return r;
		assert(r >= 0); /* a default that does not parse is ours to mend */
	}
	return 0;
}

/* --- public --- */

static int new_config(const struct config_section *sections, struct config **ret)
{
	_cleanup_(config_freep) struct config *c = calloc(1, sizeof(*c));
	size_t n = 0;
	int r;

	if (!c)
		return -ENOMEM;
	c->sections = sections;
	r = arena_new(16 * TEXT_MAX, &c->arena);
	if (r < 0)
		return r;
	while (sections[n].name)
		n++;
	c->values = arena_alloc(c->arena, (n + 1) * sizeof(*c->values));
	if (!c->values)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		c->values[i] = arena_alloc(c->arena, sections[i].size);
		if (!c->values[i])
			return -ENOMEM;
		r = config_set_defaults(sections[i].rows, c->arena, c->values[i]);
		if (r < 0)
			return r;
	}
	*ret = TAKE_PTR(c);
	return 0;
}

int config_parse(const char *text, size_t len, const char *name,
		 const struct config_section *sections, struct diags *diags, struct config **ret)
{
	_cleanup_(config_freep) struct config *c = NULL;
	struct reader reader = { .file = name, .diags = diags };
	size_t before = diags->total;
	int r;

	r = new_config(sections, &c);
	if (r < 0)
		return r;
	reader.config = c;
	c->file = arena_strdup(c->arena, name);
	if (!c->file)
		return -ENOMEM;
	if (len > TEXT_MAX) {
		diags_add(diags, name, 0, 0, "is larger than 1 MiB");
		return -EINVAL;
	}
	r = check_events(&reader, text, len);
	if (r >= 0)
		r = read_document(&reader, text, len);
	if (r < 0)
		return r;
	if (diags->total != before)
		return -EINVAL;
	config_sort_places(c);
	*ret = TAKE_PTR(c);
	return 0;
}

int config_load(const char *path, const struct config_section *sections, struct diags *diags,
		struct config **ret)
{
	_cleanup_(freep) char *text = NULL;
	size_t len;
	int r;

	if (!path)
		return new_config(sections, ret);
	r = fs_read_at(AT_FDCWD, path, TEXT_MAX, &text, &len);
	if (r < 0) {
		diags_add(diags, path, 0, 0, "%s",
			  r == -EFBIG ? "is larger than 1 MiB" : strerror(-r));
		return r;
	}
	return config_parse(text, len, path, sections, diags, ret);
}

struct config *config_free(struct config *c)
{
	if (!c)
		return NULL;
	arena_free(c->arena);
	free(c->places);
	free(c);
	return NULL;
}

const void *config_section(const struct config *c, const char *name)
{
	for (size_t i = 0; c->sections[i].name; i++)
		if (streq(c->sections[i].name, name))
			return c->values[i];
	assert(!"a section that no table names");
	return NULL;
}
