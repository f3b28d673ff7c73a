/* SPDX-License-Identifier: Apache-2.0 */
/* What the commands share: options, events from the agent or its journal, text for terminals. */

#include <errno.h>
#include <getopt.h>
#include <string.h>
#include <unistd.h>
#include "base/parse.h"
#include "base/text.h"
#include "base/time.h"
#include "cli/cli.h"
#include "event/stream.h"

#define OPTIONS_MAX 32
#define LINE_MAX_BYTES (1 << 20)

/* --- options --- */

static void print_options(const char *usage, const struct cli_option *options)
{
	printf("Usage: %s\n", usage);
	if (options->name)
		printf("\nOptions:\n");
	for (; options->name; options++) {
		char left[64];

		(void)snprintf(left, sizeof(left), "--%s%s", options->name,
			       options->type == OPTION_TEXT ? " VALUE" : "");
		printf("  %-28s %s\n", left, options->help);
	}
}

int cli_parse(const char *usage, const struct cli_option *options, int argc, char **argv)
{
	struct option table[OPTIONS_MAX] = {};
	int n = 0;

	for (; options[n].name && n < OPTIONS_MAX - 2; n++)
		table[n] = (struct option){ options[n].name,
					    options[n].type == OPTION_TEXT ? required_argument
									   : no_argument,
					    NULL, 256 + n };
	table[n] = (struct option){ "help", no_argument, NULL, 'h' };
	optind = 1;
	for (;;) {
		int c = getopt_long(argc, argv, "h", table, NULL);

		if (c == -1)
			break;
		if (c == 'h') {
			print_options(usage, options);
			return -2;
		}
		if (c < 256) {
			(void)fprintf(stderr, "Usage: %s\n", usage);
			return -1;
		}
		if (options[c - 256].type == OPTION_FLAG)
			*(bool *)options[c - 256].value = true;
		else
			*(const char **)options[c - 256].value = optarg;
	}
	for (int i = optind; i < argc; i++)
		argv[i - optind] = argv[i];
	return argc - optind;
}

/* --- events --- */

void cli_add_parameter(struct strbuf *query, const char *name, const char *value)
{
	if (!value || !*value)
		return;
	strbuf_addf(query, "%s%s=", query->len ? "&" : "", name);
	for (; *value; value++) {
		bool plain = (*value >= '0' && *value <= '9') ||
			     ((*value | 32) >= 'a' && (*value | 32) <= 'z') ||
			     strchr("-_.~", *value);

		if (plain)
			strbuf_addch(query, *value);
		else
			strbuf_addf(query, "%%%02X", (unsigned char)*value);
	}
}

struct lines {
	struct strbuf buffer;
	cli_event_fn fn;
	void *ctx;
	int n;
	bool stop, sse, connected;
	char last_id[64], said[128]; /* said: what was no event, such as the reason of a refusal */
};

static void keep_said(struct lines *l, const char *line, size_t len)
{
	if (len && !l->said[0])
		(void)snprintf(l->said, sizeof(l->said), "%.*s", (int)MIN(len, sizeof(l->said) - 1),
			       line);
}

static void take_line(struct lines *l, const char *line, size_t len)
{
	json_error_t error;
	json_t *event;

	if (l->sse) {
		if (len > 4 && memcmp(line, "id: ", 4) == 0)
			(void)snprintf(l->last_id, sizeof(l->last_id), "%.*s",
				       (int)MIN(len - 4, sizeof(l->last_id) - 1), line + 4);
		if (len <= 6 || memcmp(line, "data: ", 6) != 0) {
			keep_said(l, line, len);
			return;
		}
		line += 6;
		len -= 6;
	}
	event = json_loadb(line, len, 0, &error);
	if (!event) /* an integer beyond 2^63 is no reason to say nothing */
		event = json_loadb(line, len, JSON_DECODE_INT_AS_REAL, &error);
	if (!json_is_object(event)) {
		json_decref(event);
		keep_said(l, line, len);
		return;
	}
	l->n++;
	l->stop = l->fn(l->ctx, event) != 0;
	json_decref(event);
}

static int on_data(void *ctx, const char *data, size_t len)
{
	struct lines *l = ctx;
	size_t start = 0;

	l->connected = true;
	strbuf_add(&l->buffer, data, len);
	if (l->buffer.error || l->buffer.len > LINE_MAX_BYTES)
		return -1;
	for (;;) {
		char *newline = memchr(l->buffer.data + start, '\n', l->buffer.len - start);
		size_t end;

		if (!newline)
			break;
		end = (size_t)(newline - l->buffer.data);
		take_line(l, l->buffer.data + start, end - start);
		start = end + 1;
		if (l->stop)
			return -1;
	}
	memmove(l->buffer.data, l->buffer.data + start, l->buffer.len - start);
	strbuf_truncate(&l->buffer, l->buffer.len - start);
	return 0;
}

static int load_client(const struct cli_source *s, struct http_client_options *o,
		       struct http_client_config **config, char *why, size_t why_size)
{
	*config = NULL;
	if (!s->http_config)
		return 0;
	return http_client_config_load(s->http_config, why, why_size, config, o);
}

/* What the agent says is foreign text. */
static void refused(struct cli_source *s, int status, const struct lines *l)
{
	struct strbuf b;

	strbuf_init_fixed(&b, s->why, sizeof(s->why));
	strbuf_addf(&b, "the agent answers %d: ", status);
	text_add_terminal(&b, l->said, strlen(l->said));
}

static int query_agent(struct cli_source *s, const char *query, struct lines *l)
{
	struct http_client_options o = { .timeout_ms = 30000 };
	_cleanup_(http_client_config_freep) struct http_client_config *config = NULL;
	_cleanup_strbuf_ struct strbuf url = STRBUF_INIT;
	int r = load_client(s, &o, &config, s->why, sizeof(s->why));

	if (r < 0)
		return r;
	strbuf_addf(&url, "%s/api/v1/events?%s", s->url ? s->url : CLI_URL, query);
	r = http_client_get(strbuf_str(&url), &o, NULL, on_data, l, s->why, sizeof(s->why));
	if (l->stop)
		return l->n;
	if (r < 0)
		return r == -EINVAL ? -EPROTO : r; /* -EINVAL means a bad parameter */
	if (r != 200) {
		refused(s, r, l);
		return r == 400 ? -EINVAL : -EPROTO;
	}
	return l->n;
}

static int on_row(void *ctx, const char *id, const char *name, const char *json, size_t len)
{
	struct lines *l = ctx;

	(void)id, (void)name;
	take_line(l, json, len);
	return l->stop;
}

/* The value of one parameter out of our own query, decoded. */
static const char *parameter(const char *query, const char *name, char *buf, size_t size)
{
	size_t len = strlen(name), n = 0;

	for (const char *p = query; *p;) {
		if (strncmp(p, name, len) == 0 && p[len] == '=') {
			for (p += len + 1; *p && *p != '&' && n + 1 < size; p++) {
				uint64_t byte;

				if (*p == '%' && parse_hex64(p + 1, 2, &byte) == 0) {
					buf[n++] = (char)byte;
					p += 2;
				} else {
					buf[n++] = *p;
				}
			}
			buf[n] = '\0';
			return buf;
		}
		p += strcspn(p, "&");
		p += *p == '&';
	}
	return NULL;
}

struct parameters {
	const char *query;
	char text[12][512];
	size_t n;
};

static const char *get_parameter(void *ctx, const char *name)
{
	struct parameters *p = ctx;

	if (p->n == ARRAY_SIZE(p->text))
		return NULL;
	return parameter(p->query, name, p->text[p->n++], sizeof(p->text[0]));
}

static int query_journal(struct cli_source *s, const char *query, struct lines *l)
{
	_cleanup_(journal_freep) struct journal *j = NULL;
	struct parameters p = { .query = query };
	struct event_filter f;
	int r = event_filter_read(get_parameter, &p, &f, s->why, sizeof(s->why));

	if (r < 0)
		return r;
	r = journal_open_readonly(s->journal ? s->journal : CLI_JOURNAL, s->why, sizeof(s->why),
				  &j);
	if (r < 0)
		return r == -EINVAL ? -EIO : r; /* -EINVAL means a bad parameter */
	r = journal_query(j, &f, on_row, l);
	if (r < 0)
		(void)snprintf(s->why, sizeof(s->why), "journal '%s': %s",
			       s->journal ? s->journal : CLI_JOURNAL, strerror(-r));
	return r;
}

int cli_query(struct cli_source *s, const char *query, cli_event_fn fn, void *ctx)
{
	struct lines l = { .fn = fn, .ctx = ctx };
	char why[sizeof(s->why)];
	int r;

	/* Someone who names a journal wants that one. */
	if (s->journal && !s->url) {
		r = query_journal(s, query, &l);
	} else {
		r = query_agent(s, query, &l);
		if (r == -ECONNREFUSED && !s->url) {
			memcpy(why, s->why, sizeof(why));
			r = query_journal(s, query, &l);
			if (r < 0)
				(void)snprintf(s->why, sizeof(s->why), "%.240s; %.240s", why,
					       "and there is no journal to read instead");
		}
	}
	strbuf_done(&l.buffer);
	return r;
}

int cli_follow(struct cli_source *s, const char *query, cli_event_fn fn, void *ctx)
{
	struct http_client_options o = {};
	_cleanup_(http_client_config_freep) struct http_client_config *config = NULL;
	struct lines l = { .fn = fn, .ctx = ctx, .sse = true };
	unsigned failures = 0;
	uint64_t began_ns = time_wall_ns();
	bool again = false;
	int r = load_client(s, &o, &config, s->why, sizeof(s->why));

	while (r >= 0 && !l.stop) {
		_cleanup_strbuf_ struct strbuf url = STRBUF_INIT;
		char header[96];
		const char *headers[] = { header, NULL };
		int before = l.n;

		strbuf_addf(&url, "%s/events?%s", s->url ? s->url : CLI_URL, query);
		/* Nothing was seen before the connection broke: what happened since we began is still wanted. */
		if (again && !l.last_id[0] && !strstr(query, "since=")) {
			strbuf_addstr(&url, *query ? "&since=" : "since=");
			time_add_rfc3339(&url, began_ns, 9);
		}
		again = true;
		(void)snprintf(header, sizeof(header), "Last-Event-ID: %s", l.last_id);
		strbuf_clear(&l.buffer);
		r = http_client_get(strbuf_str(&url), &o, l.last_id[0] ? headers : NULL, on_data,
				    &l, s->why, sizeof(s->why));
		if (l.stop)
			break;
		if (r >= 300) {
			refused(s, r, &l);
			r = r == 400 ? -EINVAL : -EPROTO;
			break;
		}
		/* The agent went away: it may be back soon. At the first try it is told at once. */
		if (r < 0 && !l.connected) {
			r = r == -EINVAL ? -EPROTO : r;
			break;
		}
		failures = l.n != before ? 0 : failures + 1;
		if (failures > 30)
			break;
		r = 0;
		(void)sleep(1);
	}
	strbuf_done(&l.buffer);
	return l.stop ? l.n : r;
}

/* --- text --- */

bool cli_colours(void)
{
	return isatty(STDOUT_FILENO) && !getenv("NO_COLOR");
}

const char *cli_colour(const char *code)
{
	return cli_colours() ? code : "";
}

void cli_print(struct strbuf *b)
{
	(void)fwrite(strbuf_str(b), 1, b->len, stdout);
	strbuf_clear(b);
}

const char *cli_text(const json_t *event, const char *key)
{
	const char *s = json_string_value(json_object_get(event, key));

	return s ? s : "";
}

bool cli_number(const json_t *event, const char *key, double *ret)
{
	const json_t *v = json_object_get(event, key);

	if (!json_is_number(v))
		return false;
	*ret = json_number_value(v);
	return true;
}

void cli_add_text(struct strbuf *b, const json_t *event, const char *key)
{
	const json_t *v = json_object_get(event, key);

	if (json_is_string(v))
		text_add_terminal(b, json_string_value(v), json_string_length(v));
}

void cli_add_padded(struct strbuf *b, const json_t *event, const char *key, size_t width)
{
	size_t start = b->len;

	cli_add_text(b, event, key);
	while (b->len - start < width)
		strbuf_addch(b, ' ');
}

void cli_add_moment(struct strbuf *b, const json_t *event)
{
	const json_t *v = json_object_get(event, "timestamp");

	if (json_is_string(v))
		text_add_terminal(b, json_string_value(v), MIN(json_string_length(v), (size_t)23));
	strbuf_addch(b, 'Z');
}

void cli_add_size(struct strbuf *b, const json_t *event, const char *key)
{
	double v;

	if (cli_number(event, key, &v) && v >= 0)
		text_add_bytes(b, (uint64_t)v);
	else
		strbuf_addch(b, '?');
}
