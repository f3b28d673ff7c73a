/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/cleanup.h"
#include "base/strbuf.h"
#include "http/client.h"

/* Exit statuses that all commands share. */
enum cli_status { CLI_OK = 0, CLI_NONE = 1, CLI_USAGE = 2, CLI_UNREACHABLE = 3 };

#define CLI_URL "http://127.0.0.1:9102"
#define CLI_JOURNAL "/var/lib/telamon/journal.db"

struct cli_command {
	const char *name;
	const char *help; /* one line of `telamon --help` */
	int (*run)(int argc,
		   char **argv); /* argv[0] is the command's name; returns the exit status */
	bool hidden;
};

int cli_oom(int argc, char **argv);
int cli_events(int argc, char **argv);
int cli_doctor(int argc, char **argv);
int cli_lab(int argc, char **argv);
int cli_route(int argc, char **argv);
int cli_hog(int argc, char **argv); /* the process that `lab oom` sends to its death */

/* --- options: one row feeds parser and help --- */

enum cli_option_type { OPTION_FLAG, OPTION_TEXT };
struct cli_option {
	const char *name; /* without dashes */
	enum cli_option_type type;
	void *value; /* bool * or const char ** */
	const char *help;
};
/* Positional arguments are moved to the front of argv; their number is returned, or -1 after a message on stderr, -2 after --help. */
int cli_parse(const char *usage, const struct cli_option *options, int argc, char **argv);

/* --- where events come from: the agent, or the journal when it is down --- */

struct cli_source {
	const char *url, *journal, *http_config;
	char why[512];
};
typedef int (*cli_event_fn)(void *ctx, const json_t *event); /* non-zero stops */
/* @query: "type=oom&limit=10". Number of events, or -errno with the reason in source->why. */
int cli_query(struct cli_source *s, const char *query, cli_event_fn fn, void *ctx);
/* Follows /events until it is stopped; reconnects with Last-Event-ID. */
int cli_follow(struct cli_source *s, const char *query, cli_event_fn fn, void *ctx);
void cli_add_parameter(struct strbuf *query, const char *name,
		       const char *value); /* encoded; nothing for NULL */

/* --- text for people --- */

bool cli_colours(void);
const char *cli_colour(const char *code); /* "" unless stdout is a terminal */
#define WIDTH_MIN 40
uint32_t cli_width(void); /* columns of the terminal; 0 unless stdout is one */
/* Lines that are longer than @width columns are broken at spaces, and go on below the first text behind their label. 0: never. */
void cli_wrap(struct strbuf *b, uint32_t width);
void cli_print(struct strbuf *b); /* to stdout, then empties it */
const char *cli_text(const json_t *event, const char *key); /* "" when absent */
bool cli_number(const json_t *event, const char *key, double *ret);
void cli_add_text(struct strbuf *b, const json_t *event,
		  const char *key); /* escaped for terminals */
void cli_add_padded(struct strbuf *b, const json_t *event, const char *key,
		    size_t width); /* likewise, filled up with spaces */
void cli_add_moment(struct strbuf *b, const json_t *event); /* its timestamp, in milliseconds */
void cli_add_size(struct strbuf *b, const json_t *event, const char *key); /* "2.43 GiB", or "?" */
