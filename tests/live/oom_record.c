/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records of real kills, as they come out of the ring, for tests/fixtures/rings
 *
 *   oom_record [--tracepoint] FILE COMMAND [ARG]...
 *
 * Runs the command (`telamon lab oom --no-agent --scenario group`) and writes every record to FILE, each padded to 8 bytes, and
 * the kernel symbols of their stacks to FILE.symbols in the form of /proc/kallsyms. Ancestors above this program are left out:
 * who started it is of no interest to a test. Needs root.
 */

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "agent/oom/hooks.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "base/macro.h"
#include "sys/bpf.h"
#include "sys/cgroup.h"

#define FRAMES_MAX 512
#define NAME_MAX_BYTES 128

/* The symbol that holds a frame, and the next one, where it ends. */
struct frame {
	uint64_t address, at, next;
	char name[NAME_MAX_BYTES], next_name[NAME_MAX_BYTES];
};

struct recorder {
	FILE *file;
	unsigned n_records;
	struct frame frames[FRAMES_MAX];
	size_t n_frames;
};

static void add_frame(struct recorder *r, uint64_t address)
{
	for (size_t i = 0; i < r->n_frames; i++)
		if (r->frames[i].address == address)
			return;
	if (r->n_frames < FRAMES_MAX)
		r->frames[r->n_frames++] = (struct frame){ address, 0, UINT64_MAX, "", "" };
}

static void cut_ancestors(struct oom_victim *v)
{
	for (uint32_t i = 0; i < v->n_ancestors; i++)
		if (v->ancestors[i].pid == (uint32_t)getpid()) {
			memset(&v->ancestors[i], 0, (v->n_ancestors - i) * sizeof(v->ancestors[i]));
			v->n_ancestors = i;
		}
}

static void on_record(void *ctx, const struct record_head *head, bool spilled)
{
	static const char zeros[8];
	static struct oom_victim v;
	struct recorder *r = ctx;

	(void)spilled;
	if (head->type == OOM_RECORD_VICTIM) {
		memcpy(&v, head, MIN((size_t)head->size, sizeof(v)));
		cut_ancestors(&v);
		for (uint32_t i = 0; i < MIN(v.n_stack, (uint32_t)OOM_STACK_MAX); i++)
			add_frame(r, v.stack[i]);
		head = &v.head;
	}
	(void)fwrite(head, head->size, 1, r->file);
	(void)fwrite(zeros, -head->size % sizeof(zeros), 1, r->file);
	r->n_records++;
}

static void add_symbol(struct recorder *r, uint64_t address, const char *name)
{
	for (size_t i = 0; i < r->n_frames; i++) {
		struct frame *f = &r->frames[i];

		if (address <= f->address && address > f->at) {
			f->at = address;
			(void)snprintf(f->name, sizeof(f->name), "%s", name);
		} else if (address > f->address && address < f->next) {
			f->next = address;
			(void)snprintf(f->next_name, sizeof(f->next_name), "%s", name);
		}
	}
}

static int compare(const void *a, const void *b)
{
	const struct frame *x = a, *y = b;

	return x->at < y->at ? -1 : x->at > y->at;
}

static int write_symbols(struct recorder *r, const char *path)
{
	_cleanup_(fclosep) FILE *in = fopen("/proc/kallsyms", "re");
	_cleanup_(fclosep) FILE *out = fopen(path, "we");
	char line[512], name[NAME_MAX_BYTES];
	uint64_t address, last = 0;

	if (!in || !out)
		return -errno;
	while (fgets(line, sizeof(line), in))
		/* Programs come and go, and their addresses are of no use to anybody. */
		if (!strstr(line, "[bpf]") &&
		    sscanf(line, "%" SCNx64 " %*c %127s", &address, name) == 2)
			add_symbol(r, address, name);
	qsort(r->frames, r->n_frames, sizeof(r->frames[0]), compare);
	for (size_t i = 0; i < r->n_frames; i++) {
		const struct frame *f = &r->frames[i];

		if (f->at > last)
			fprintf(out, "%016" PRIx64 " t %s\n", f->at, f->name);
		if (f->next != UINT64_MAX && f->next > last &&
		    (i + 1 == r->n_frames || f->next < r->frames[i + 1].at))
			fprintf(out, "%016" PRIx64 " t %s\n", f->next, f->next_name);
		last = MAX(last, f->next == UINT64_MAX ? f->at : MAX(f->at, f->next));
	}
	return 0;
}

/* Reads until the command has ended and nothing came for a while. */
static void record(struct oom_hooks *h, pid_t command)
{
	struct pollfd p = { .fd = oom_hooks_fd(h), .events = POLLIN };
	bool running = true;

	while (poll(&p, 1, 1500) > 0 || running) {
		(void)oom_hooks_consume(h);
		running = running && waitpid(command, NULL, WNOHANG) == 0;
	}
}

int main(int argc, char **argv)
{
	const struct oom_hooks_options o = { .ring_bytes = 1 << 20,
					     .spill_entries = 1024,
					     .args_entries = 8192,
					     .victims = 1024,
					     .user_stack = true,
					     .args_bytes = 256 };
	static struct recorder r;
	const struct oom_hooks_sink sink = { on_record, &r };
	_cleanup_(hook_env_freep) struct hook_env *env = NULL;
	_cleanup_(oom_hooks_freep) struct oom_hooks *h = NULL;
	struct cgroup_layout layout;
	char symbols[512];
	pid_t command;

	bool tracepoint = argc > 1 && streq(argv[1], "--tracepoint");

	argc -= tracepoint;
	argv += tracepoint;
	if (argc < 3)
		return 2;
	log_setup(LOG_LEVEL_WARN, LOG_FORMAT_LOGFMT);
	bpf_log_to_debug();
	(void)bpf_memlock_raise();
	r.file = fopen(argv[1], "we");
	if (!r.file || hook_env_new(NULL, &env) < 0)
		return 1;
	env->tracepoint_tier = tracepoint;
	if (cgroup_layout_init("/", &layout) >= 0) {
		env->cgroup_v2_memory = layout.mode == CGROUP_MODE_V2;
		cgroup_layout_done(&layout);
	}
	if (oom_hooks_new(&o, env, &sink, &h) < 0 || oom_hooks_fd(h) < 0)
		return 1;
	command = fork();
	if (command == 0) {
		execv(argv[2], argv + 2);
		_exit(127);
	}
	record(h, command);
	(void)snprintf(symbols, sizeof(symbols), "%s.symbols", argv[1]);
	if (fclose(r.file) != 0 || write_symbols(&r, symbols) < 0)
		return 1;
	printf("%u records\n", r.n_records);
	return r.n_records ? 0 : 1;
}
