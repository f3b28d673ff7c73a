/* SPDX-License-Identifier: Apache-2.0 */
/* Stacks and symbols as four kernels gave them, one real kill each (fixtures/kallsyms). */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
#include "agent/oom/stack.h"
#include "base/parse.h"
#include "sys/kallsyms.h"
#include "test.h"

#define FIXTURES TESTS_DIR "/fixtures/kallsyms/"

static const char *const kernels[] = { "5.10", "6.1", "6.12", "7.2" };

static const struct {
	const char *name;
	enum oom_scope scope;
	bool member;
} verdicts[] = {
	{ "memcg", SCOPE_MEMCG, false },
	{ "member", SCOPE_MEMCG, true },
	{ "sysrq", SCOPE_SYSRQ, false },
	{ "global", SCOPE_GLOBAL, false },
};

static int match(void *ctx, uint64_t address)
{
	return kallsyms_match(ctx, address);
}

static size_t parse_frames(const char *line, unsigned long long *ret, size_t max)
{
	const char *field;
	size_t n = 0, len;
	uint64_t v;

	while (n < max && parse_field(line, (unsigned)n + 1, &field, &len)) {
		assert_int_equal(parse_hex64(field, strcspn(field, " \n"), &v), 0);
		ret[n++] = v;
	}
	return n;
}

static void check_line(struct kallsyms *k, const char *kernel, const char *line)
{
	unsigned long long frames[16];
	size_t n = parse_frames(line, frames, ARRAY_SIZE(frames));
	struct oom_stack_verdict v = oom_stack_judge(frames, n, match, k);

	for (size_t i = 0; i < ARRAY_SIZE(verdicts); i++) {
		size_t len = strlen(verdicts[i].name);

		if (strncmp(line, verdicts[i].name, len) != 0 || line[len] != ' ')
			continue;
		if (v.scope != verdicts[i].scope || v.member != verdicts[i].member || !v.known)
			fail_msg("%s: %s: scope %d member %d known %d", kernel, verdicts[i].name,
				 v.scope, v.member, v.known);
		return;
	}
	fail_msg("%s: unknown kind in '%s'", kernel, line);
}

static void test_kernels(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(kernels); i++) {
		_cleanup_(kallsyms_freep) struct kallsyms *k = NULL;
		_cleanup_(fclosep) FILE *f = NULL;
		char path[512], line[512];
		unsigned lines = 0;

		(void)snprintf(path, sizeof(path), FIXTURES "%s", kernels[i]);
		assert_int_equal(kallsyms_read(path, oom_stack_symbols, &k), 0);
		(void)snprintf(path, sizeof(path), FIXTURES "%s.stacks", kernels[i]);
		f = fopen(path, "re");
		assert_non_null(f);
		while (fgets(line, sizeof(line), f)) {
			check_line(k, kernels[i], line);
			lines++;
		}
		assert_true(lines >= 4);
	}
}

static int write_file(char *path, const char *text)
{
	int fd = mkstemp(path);

	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		return -errno;
	(void)close(fd);
	return 0;
}

/* Clones count under the plain name; what is a longer name does not. */
static void test_clones(void **state)
{
	static const char text[] = "ffffffff81000000 t out_of_memory.part.0\n"
				   "ffffffff81000100 T out_of_memory\n"
				   "ffffffff81000200 T out_of_memory_not\n"
				   "ffffffff81000300 t moom_callback.constprop.0.isra.1\n"
				   "ffffffff81000400 D some_data\n"
				   "ffffffff81000500 t after\n"
				   "ffffffff81000600 t moom_callback.cold\n"
				   "ffffffff81000700 t after\n"
				   "ffffffff81000800 t moom_callback.llvm.1234567\n"
				   "ffffffff81000900 t after\n"
				   "ffffffff81000a00 t moom_callback.isra.0.cold\n"
				   "ffffffff81000b00 T after.moom_callback\n"
				   "ffffffffc0000000 t in_module\t[module]\n";
	char path[] = "/tmp/telamon-kallsyms-XXXXXX";
	static const char *const wanted[] = { "out_of_memory", "moom_callback", NULL };
	_cleanup_(kallsyms_freep) struct kallsyms *k = NULL;

	assert_int_equal(write_file(path, text), 0);
	assert_int_equal(kallsyms_read(path, wanted, &k), 0);
	assert_int_equal(kallsyms_match(k, 0xffffffff80ffffffULL), -ENOENT);
	assert_int_equal(kallsyms_match(k, 0xffffffff81000000ULL), 0);
	assert_int_equal(kallsyms_match(k, 0xffffffff810001ffULL), 0);
	assert_int_equal(kallsyms_match(k, 0xffffffff81000200ULL), -ENOENT);
	assert_int_equal(kallsyms_match(k, 0xffffffff81000333ULL), 1);
	assert_int_equal(kallsyms_match(k, 0xffffffff81000500ULL), -ENOENT);
	assert_int_equal(kallsyms_match(k, 0xffffffff81000600ULL), 1);
	assert_int_equal(kallsyms_match(k, 0xffffffff81000700ULL), -ENOENT);
	assert_int_equal(kallsyms_match(k, 0xffffffff810008ffULL), 1);
	assert_int_equal(kallsyms_match(k, 0xffffffff81000900ULL), -ENOENT);
	assert_int_equal(kallsyms_match(k, 0xffffffff81000a10ULL), 1);
	assert_int_equal(kallsyms_match(k, 0xffffffff81000b00ULL), -ENOENT);
	unlink(path);
}

static void test_refused(void **state)
{
	char zero[] = "/tmp/telamon-kallsyms-XXXXXX";
	char broken[] = "/tmp/telamon-kallsyms-XXXXXX";
	static const char *const wanted[] = { "out_of_memory", NULL };
	_cleanup_(kallsyms_freep) struct kallsyms *k = NULL;

	assert_int_equal(write_file(zero, "0000000000000000 T out_of_memory\n"), 0);
	assert_int_equal(kallsyms_read(zero, wanted, &k), -EACCES);
	assert_null(k);
	assert_int_equal(write_file(broken, "no symbols\n\nxyz T\nffffffff81000000\n"), 0);
	assert_int_equal(kallsyms_read(broken, wanted, &k), -EACCES);
	assert_int_equal(kallsyms_read("/nonexistent/kallsyms", wanted, &k), -ENOENT);
	assert_null(k);
	unlink(zero);
	unlink(broken);
}

/* A stack is a set of symbols here: what each of them says, alone and beside others. */
static int by_index(void *ctx, uint64_t address)
{
	const char *const *names = ctx;

	for (int i = 0; oom_stack_symbols[i]; i++)
		if (address && streq(names[address - 1], oom_stack_symbols[i]))
			return i;
	return -ENOENT;
}

static void test_verdicts(void **state)
{
	static const struct {
		const char *frames[6];
		enum oom_scope scope;
		bool known, member, bpf;
	} cases[] = {
		{ {}, SCOPE_UNKNOWN, false, false, false },
		{ { "do_exit", "schedule" }, SCOPE_UNKNOWN, false, false, false },
		{ { "oom_kill_process" }, SCOPE_UNKNOWN, true, false, false }, /* the rest was cut */
		{ { "oom_kill_process", "out_of_memory" }, SCOPE_UNKNOWN, true, false, false },
		{ { "out_of_memory", "mem_cgroup_out_of_memory" }, SCOPE_MEMCG, true, false, false },
		{ { "out_of_memory", "pagefault_out_of_memory" }, SCOPE_GLOBAL, true, false, false },
		{ { "out_of_memory", "mem_cgroup_out_of_memory", "mem_cgroup_oom_synchronize",
		    "pagefault_out_of_memory" },
		  SCOPE_MEMCG,
		  true,
		  false,
		  false },
		{ { "out_of_memory", "__alloc_pages_slowpath" }, SCOPE_GLOBAL, true, false, false },
		{ { "out_of_memory", "__alloc_pages_may_oom" }, SCOPE_GLOBAL, true, false, false },
		{ { "out_of_memory", "moom_callback" }, SCOPE_SYSRQ, true, false, false },
		{ { "oom_kill_memcg_member", "oom_kill_process", "out_of_memory",
		    "__alloc_pages_slowpath" },
		  SCOPE_GLOBAL,
		  true,
		  true,
		  false },
		{ { "oom_kill_memcg_member", "oom_kill_process" },
		  SCOPE_UNKNOWN,
		  true,
		  true,
		  false },
		{ { "oom_kill_process", "out_of_memory", "bpf_out_of_memory" },
		  SCOPE_UNKNOWN,
		  true,
		  false,
		  true },
		/* An allocation inside of reclaim does not make it an OOM of the host. */
		{ { "out_of_memory", "mem_cgroup_out_of_memory", "__alloc_pages_slowpath" },
		  SCOPE_MEMCG,
		  true,
		  false,
		  false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		unsigned long long frames[7] = {}; /* the last one stays 0: not known */
		size_t n = 0;
		struct oom_stack_verdict v;

		for (; n < 6 && cases[i].frames[n]; n++)
			frames[n] = n + 1;
		v = oom_stack_judge(frames, n + 1, by_index, (void *)(uintptr_t)cases[i].frames);
		if (v.scope != cases[i].scope || v.known != cases[i].known ||
		    v.member != cases[i].member || v.bpf != cases[i].bpf)
			fail_msg("case %zu: scope %d known %d member %d bpf %d", i, v.scope,
				 v.known, v.member, v.bpf);
	}
}

static void test_names(void **state)
{
	/* In the second of three; before all; a MiB behind the last one, and one byte more; past a symbol of data. */
	const uint64_t addresses[] = { 0xffffffff81000110ULL, 0xffffffff80000000ULL,
				       0xffffffff81110200ULL, 0xffffffff81110201ULL,
				       0xffffffff81000190ULL };
	char path[] = "/tmp/telamon-kallsyms-XXXXXX", names[5][64];

	/* Not in order of addresses: the kernel lists modules behind itself. */
	assert_int_equal(write_file(path,
				    "ffffffff81000100 T second\nffffffff81000000 t first\n"
				    "ffffffff81010200 t third\tmodule\n0000000000000000 t zero\n"
				    "ffffffff81000180 d data\nnonsense\n"),
			 0);
	assert_int_equal(kallsyms_names(path, addresses, 5, names), 0);
	assert_string_equal(names[2], "third");
	assert_string_equal(names[3], "");
	assert_string_equal(names[4], "second");
	assert_int_equal(kallsyms_names(path, addresses, 65, names), -EINVAL);
	assert_int_equal(kallsyms_names("/nowhere", addresses, 5, names), -ENOENT);
	assert_string_equal(names[0], "second");
	assert_string_equal(names[1], "");
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kernels), cmocka_unit_test(test_clones),
		cmocka_unit_test(test_refused), cmocka_unit_test(test_verdicts),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
