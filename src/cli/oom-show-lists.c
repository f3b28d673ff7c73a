/* SPDX-License-Identifier: Apache-2.0 */
/* The long parts of an OOM record on the terminal: members of a group, other processes, stacks, what the kernel printed. */

#include <string.h>
#include "base/text.h"
#include "cli/cli.h"
#include "cli/oom-show.h"
#include "cli/symbolise.h"

#define P "telamon.oom."
#define MEMBERS_SHOWN 16
#define FRAMES_SHOWN 6

/* The chosen one stands above already. */
void oom_show_members(const json_t *e, struct strbuf *b)
{
	const json_t *members = json_object_get(e, P "members"), *v;
	double count = 0, spared = 0;
	size_t i, shown = 0;

	json_array_foreach (members, i, v) {
		double pid;

		if (!json_is_object(v) || streq(cli_text(v, "role"), "chosen"))
			continue;
		if (shown++ == MEMBERS_SHOWN)
			break;
		strbuf_addstr(b, shown == 1 ? "  members   " : ", ");
		cli_add_text(b, v, "comm");
		if (cli_number(v, "pid", &pid))
			strbuf_addf(b, "[%.0f]", pid);
		strbuf_addch(b, ' ');
		cli_add_size(b, v, "rss");
	}
	if (!shown)
		return;
	shown = MIN(shown, (size_t)MEMBERS_SHOWN);
	if (cli_number(e, P "members.count", &count) && count > (double)shown + 1)
		strbuf_addf(b, " and %.0f more", count - (double)shown - 1);
	if (cli_number(e, P "members.spared", &spared) && spared > 0)
		strbuf_addf(b, "; spared by adj -1000: %.0f", spared);
	strbuf_addch(b, '\n');
}

static void add_largest(const json_t *e, struct strbuf *b)
{
	const json_t *largest = json_object_get(e, P "largest"), *v;
	size_t i;

	json_array_foreach (largest, i, v) {
		strbuf_addstr(b, i ? ", " : "  others    ");
		cli_add_text(b, v, "comm");
		strbuf_addch(b, ' ');
		cli_add_size(b, v, "rss");
	}
	if (json_array_size(largest))
		strbuf_addch(b, '\n');
}

/* Frames of the OOM killer itself are the same each time: what led to it begins behind the last of them. */
static size_t first_caller(const json_t *stack)
{
	static const char *const killer[] = { "out_of_memory", "mem_cgroup_out_of_memory" };
	const json_t *v;
	size_t i, first = 0;

	json_array_foreach (stack, i, v)
		for (size_t k = 0; k < ARRAY_SIZE(killer); k++)
			if (json_is_string(v) && streq(json_string_value(v), killer[k]))
				first = i + 1;
	return first < json_array_size(stack) ? first : 0;
}

static void add_kernel_stack(const json_t *e, struct strbuf *b)
{
	const json_t *stack = json_object_get(e, P "stack.kernel"), *v;
	size_t i, first = first_caller(stack);

	json_array_foreach (stack, i, v) {
		if (i < first)
			continue;
		if (i == first + FRAMES_SHOWN) {
			strbuf_addstr(b, " < ...");
			break;
		}
		strbuf_addstr(b, i > first ? " < " : "  kernel    ");
		if (json_is_string(v))
			text_add_terminal(b, json_string_value(v), json_string_length(v));
	}
	if (json_array_size(stack))
		strbuf_addch(b, '\n');
}

void oom_show_stacks(const json_t *e, struct strbuf *b)
{
	const json_t *stack = json_object_get(e, P "stack.user"), *v;
	size_t i;

	add_largest(e, b);
	json_array_foreach (stack, i, v) {
		strbuf_addstr(b, i ? " < " : "  in        ");
		symbolise_frame(b, json_string_value(v) ? json_string_value(v) : "",
				cli_text(e, "process.executable.path"));
	}
	if (json_array_size(stack))
		strbuf_addch(b, '\n');
	add_kernel_stack(e, b);
}

void oom_show_kernel_text(const json_t *e, struct strbuf *b)
{
	const json_t *lines = json_object_get(e, P "kernel_log"), *v;
	const char *keys[] = { P "message", "message" };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(keys); i++) {
		if (!*cli_text(e, keys[i]))
			continue;
		strbuf_addstr(b, "  message   ");
		cli_add_text(b, e, keys[i]);
		strbuf_addch(b, '\n');
	}
	json_array_foreach (lines, i, v) {
		strbuf_addstr(b, i ? "            " : "  log       ");
		if (json_is_string(v))
			text_add_terminal(b, json_string_value(v), json_string_length(v));
		strbuf_addch(b, '\n');
	}
}
