/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "test.h"

#include <jansson.h>
#include "oom_world.h"

/* Records that no kernel made, for the correlator, with a clock of our own; and what became of them. */

#define START NS_PER_SEC /* when processes of these tests began */
#define BEGIN (1000 * NS_PER_SEC) /* boot time of the first mark */
#define MS NS_PER_MSEC

static const struct correlator_options defaults = { .wait_us = 500 * US_PER_MSEC,
						    .aftermath_us = 60 * US_PER_SEC,
						    .victims = 1024 };

static inline void begin_with(struct world *w, const struct correlator_options *o)
{
	world_init(w, "single", o);
	w->coded = true;
}

static inline void begin(struct world *w)
{
	begin_with(w, &defaults);
}

/* Process @pid is killed by request of thread @trigger. */
static inline struct oom_victim *mark(uint32_t pid, uint32_t trigger, uint64_t boot_ns,
				      enum coded_stack stack)
{
	static struct oom_victim v;

	memset(&v, 0, sizeof(v));
	v.head = (struct record_head){ .type = OOM_RECORD_VICTIM,
				       .size = offsetof(struct oom_victim, text),
				       .boot_ns = boot_ns };
	v.kind = OOM_VICTIM_KILL;
	v.flags = OOM_VICTIM_SNAPSHOT | OOM_VICTIM_STACK;
	v.tgid = v.tid = pid;
	v.trigger_tgid = v.trigger_tid = trigger;
	v.start_boot_ns = START + pid;
	v.stack[0] = stack;
	v.n_levels = 1;
	v.levels[0] = (struct oom_level){ .id = 7, .usage = 100, .max = 100 };
	v.cgroup_id = 7;
	memcpy(v.text, "/c/bin/x", 8);
	v.path = (struct oom_text){ 0, 2 };
	v.exe = (struct oom_text){ 2, 6 };
	v.args = (struct oom_text){ 7, 1 };
	v.args_source = OOM_ARGS_EXEC;
	v.head.size += 8;
	return &v;
}

static inline struct oom_exit *exit_of(uint32_t pid, uint64_t boot_ns)
{
	static struct oom_exit e;

	e = (struct oom_exit){
		.head = { .type = OOM_RECORD_EXIT, .size = sizeof(e), .boot_ns = boot_ns },
		.tgid = pid,
		.start_boot_ns = START + pid
	};
	return &e;
}

static inline struct oom_decision *decision(uint64_t number, uint32_t trigger, uint32_t chosen,
					    uint64_t boot_ns)
{
	static struct oom_decision d;

	memset(&d, 0, sizeof(d));
	d.head = (struct record_head){ .type = OOM_RECORD_DECISION,
				       .size = offsetof(struct oom_decision, text),
				       .boot_ns = boot_ns };
	d.decision = number;
	d.trigger_tgid = d.trigger_tid = trigger;
	d.chosen_tgid = chosen;
	d.constraint = OOM_CONSTRAINT_MEMCG;
	d.memcg_id = 7;
	return &d;
}

/* The @n-th event (from 1) as JSON. */
static inline json_t *event(const struct world *w, unsigned n)
{
	const char *line = w->json.data;
	json_t *j;

	for (unsigned i = 1; line && i < n; i++)
		line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL;
	assert_non_null(line);
	j = json_loadb(line, strcspn(line, "\n"), 0, NULL);
	assert_non_null(j);
	return j;
}

static inline unsigned n_events(const struct world *w, const char *name)
{
	const char *p = w->json.data;
	char wanted[64];
	unsigned n = 0;

	(void)snprintf(wanted, sizeof(wanted), "\"event.name\":\"%s\"", name);
	while (p && (p = strstr(p, wanted))) {
		n++;
		p++;
	}
	return n;
}

static inline void check_text(const struct world *w, unsigned n, const char *key, const char *want)
{
	json_t *j = event(w, n);
	const char *have = json_string_value(json_object_get(j, key));

	if (!have || !streq(have, want))
		fail_msg("event %u: %s is %s, not %s", n, key, have ? have : "absent", want);
	json_decref(j);
}

static inline void check_number(const struct world *w, unsigned n, const char *key, long long want)
{
	json_t *j = event(w, n), *v = json_object_get(j, key);

	if (!json_is_integer(v) || json_integer_value(v) != want)
		fail_msg("event %u: %s is %lld, not %lld", n, key,
			 v ? (long long)json_integer_value(v) : -1, want);
	json_decref(j);
}

static inline void check_absent(const struct world *w, unsigned n, const char *key)
{
	json_t *j = event(w, n);

	assert_null(json_object_get(j, key));
	json_decref(j);
}

static inline void check_bool(const struct world *w, unsigned n, const char *key, bool want)
{
	json_t *j = event(w, n);

	assert_true(json_is_boolean(json_object_get(j, key)));
	assert_int_equal(json_is_true(json_object_get(j, key)), want);
	json_decref(j);
}
