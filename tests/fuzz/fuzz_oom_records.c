/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz-sources: src/agent/oom/correlate*.c src/agent/oom/decode.c src/agent/oom/followed.c src/agent/oom/limit.c src/agent/oom/log-lines.c src/sys/identity*.c src/sys/confirm.c src/sys/podlist.c src/sys/quantity.c src/sys/cgname*.c */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include "agent/oom/correlate.h"
#include "agent/oom/limit.h"
#include "fuzz.h"

/* clang-format off */
static void victim(void *ctx, struct oom_run *run, struct oom_kill *k) { assert(run->kills && k->v.tgid); }
static void snapshot(void *ctx, struct oom_run *run) { oom_limit_find(&(struct oom_limit_facts){ .cpus = 2 }, run); }
static int ready(void *ctx, struct oom_run *run) { assert(run->used && run->n_exited <= run->n_kills); return 0; }
static int aftermath(void *ctx, struct oom_run *run, const char *reason) { assert(run->kills && run->n_kills); return *reason ? 0 : -1; }
static void no_victim(void *ctx, const struct oom_invoke *r) { assert(r->marks == 0); }
static void kill_event(void *ctx, const struct oom_kill *k) { assert(k->used); }
static bool pending(void *ctx, const struct oom_run *run) { return run->seq % 2; }
static struct oom_stack_verdict judge(void *ctx, const struct oom_victim *v) { return (struct oom_stack_verdict){ v->stack[0] % _SCOPE_MAX, v->n_stack & 1, v->n_stack & 2, false }; }
static const struct correlator_options options = { .wait_us = 500000, .aftermath_us = 60000000, .victims = 64 };
static const struct correlator_calls calls = { victim, snapshot, ready, aftermath, no_victim, kill_event, kill_event, pending, judge };

/* A ring of any bytes: each record in memory of its own size, as the kernel hands them out, however it lies about the rest. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct correlator *c = NULL;
	struct record_head head = {};
	assert(correlator_new(&options, &calls, NULL, &c) == 0);
	for (; size >= sizeof(head); size -= head.size, data += head.size) {
		memcpy(&head, data, sizeof(head));
		if (head.size < sizeof(head) || head.size > size)
			break;
		void *record = memcpy(malloc(head.size), data, head.size);
		correlator_feed(c, record, head.type == OOM_RECORD_SPILL, head.boot_ns / 1000);
		correlator_run(c, head.boot_ns / 1000 + head.cpu);
		free(record);
		head.size = head.size + 7U > size ? (uint32_t)size : (head.size + 7U) & ~7U;
	}
	correlator_free(c);
	return 0;
}
