/* SPDX-License-Identifier: Apache-2.0 */
/* Records that are cut, too long, or lie about themselves: refused or bounded, never believed. */
#include "test.h"

#include <errno.h>
#include <unistd.h>
#include "agent/oom/decode.h"
#include "base/macro.h"

#define FIXED offsetof(struct oom_victim, text)

static struct oom_victim v, out;

static struct oom_victim *fresh(void)
{
	memset(&v, 0, sizeof(v));
	v.head.type = OOM_RECORD_VICTIM;
	v.head.size = FIXED + 10;
	v.tgid = v.tid = 5;
	v.kind = OOM_VICTIM_KILL;
	return &v;
}

static void test_sizes(void **state)
{
	static const struct {
		uint16_t type;
		size_t size; /* the least that is a record */
	} cases[] = {
		{ OOM_RECORD_VICTIM, FIXED },
		{ OOM_RECORD_DECISION, offsetof(struct oom_decision, text) },
		{ OOM_RECORD_ATTEMPT, sizeof(struct oom_attempt) },
		{ OOM_RECORD_INVOKE, sizeof(struct oom_invoke) },
		{ OOM_RECORD_REAPER, sizeof(struct oom_reaper) },
		{ OOM_RECORD_EXIT, sizeof(struct oom_exit) },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		fresh()->head.type = cases[i].type;
		v.head.size = (uint32_t)cases[i].size;
		memset(v.text, 0, sizeof(v.text));
		assert_int_equal(oom_decode_check(&v.head), 0);
		v.head.size--;
		assert_int_equal(oom_decode_check(&v.head), -EBADMSG);
	}
	fresh()->head.type = 0;
	assert_int_equal(oom_decode_check(&v.head), -EBADMSG);
	for (unsigned type = _OOM_RECORD_MAX; type < 70000; type += 13) {
		fresh()->head.type = (uint16_t)type;
		if (v.head.type == 0 || v.head.type >= _OOM_RECORD_MAX)
			assert_int_equal(oom_decode_check(&v.head), -EBADMSG);
	}
}

static void test_victim_refused(void **state)
{
	(void)state;
	memset(&out, 0x5a, sizeof(out));
	fresh()->head.type = OOM_RECORD_DECISION;
	assert_int_equal(oom_decode_victim(&v.head, &out), -EBADMSG);
	fresh()->head.size = FIXED - 1;
	assert_int_equal(oom_decode_victim(&v.head, &out), -EBADMSG);
	fresh()->head.size = sizeof(v) + 1;
	assert_int_equal(oom_decode_victim(&v.head, &out), -EBADMSG);
	fresh()->tgid = 0;
	assert_int_equal(oom_decode_victim(&v.head, &out), -EBADMSG);
	fresh()->kind = 0;
	assert_int_equal(oom_decode_victim(&v.head, &out), -EBADMSG);
	fresh()->kind = OOM_VICTIM_UNSURE + 1;
	assert_int_equal(oom_decode_victim(&v.head, &out), -EBADMSG);
	for (size_t i = 0; i < sizeof(out); i++)
		assert_int_equal(((uint8_t *)&out)[i], 0x5a);
}

/* Counts are cut to what is there, texts outside of the record are not known, numbers stay such that sums of them are sums. */
static void test_victim_bounded(void **state)
{
	struct oom_text *texts[] = {
		&v.path, &v.exe, &v.cwd, &v.args, &v.user_stack, &v.trigger_exe
	};
	const struct oom_text *bounded[] = { &out.path, &out.exe,	 &out.cwd,
					     &out.args, &out.user_stack, &out.trigger_exe };
	size_t len;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		fresh();
		*texts[i] = (struct oom_text){ 2, 8 }; /* to the last byte */
		assert_int_equal(oom_decode_victim(&v.head, &out), 0);
		assert_int_equal(bounded[i]->length, 8);
		texts[i]->length = 9;
		assert_int_equal(oom_decode_victim(&v.head, &out), 0);
		assert_int_equal(bounded[i]->length, 0);
		*texts[i] = (struct oom_text){ UINT16_MAX, UINT16_MAX };
		assert_int_equal(oom_decode_victim(&v.head, &out), 0);
		assert_string_equal(oom_text(&out, *bounded[i], &len), "");
		assert_int_equal(len, 0);
	}
	(void)fresh();
	v.n_levels = v.n_stack = v.n_ancestors = UINT32_MAX;
	v.adj = INT32_MIN;
	v.rss_anon = v.swap = v.total_vm = v.pgtables_bytes = OOM_UNKNOWN64 - 1;
	v.rss_file = OOM_UNKNOWN64;
	v.rss_shmem = 1ULL << 52;
	memset(v.comm, 'x', sizeof(v.comm));
	memset(v.trigger_comm, 'x', sizeof(v.trigger_comm));
	memset(v.ancestors[7].comm, 'x', sizeof(v.ancestors[7].comm));
	assert_int_equal(oom_decode_victim(&v.head, &out), 0);
	assert_int_equal(out.n_levels, OOM_LEVELS_MAX);
	assert_int_equal(out.n_stack, OOM_STACK_MAX);
	assert_int_equal(out.n_ancestors, OOM_ANCESTORS_MAX);
	assert_int_equal(out.adj, -1000);
	assert_true(out.rss_anon == OOM_UNKNOWN64 && out.swap == OOM_UNKNOWN64);
	assert_true(out.rss_file == OOM_UNKNOWN64 && out.pgtables_bytes == OOM_UNKNOWN64);
	assert_true(out.rss_shmem == 1ULL << 52);
	assert_true(oom_rss_pages(&out) == OOM_UNKNOWN64);
	assert_int_equal(strlen(out.comm), COMM_MAX - 1);
	assert_int_equal(strlen(out.trigger_comm), COMM_MAX - 1);
	assert_int_equal(strlen(out.ancestors[7].comm), COMM_MAX - 1);
}

static void test_texts_of_others(void **state)
{
	static struct oom_decision d;
	static struct oom_attempt a;

	(void)state;
	d.head = (struct record_head){ .type = OOM_RECORD_DECISION,
				       .size = offsetof(struct oom_decision, text) + 4 };
	d.path = (struct oom_text){ 1, 3 };
	assert_int_equal(oom_decode_check(&d.head), 0);
	d.path.length = 4;
	assert_int_equal(oom_decode_check(&d.head), -EBADMSG);
	d.path.length = 0;
	d.head.size = sizeof(d) + 8;
	assert_int_equal(oom_decode_check(&d.head), -EBADMSG);

	a.head = (struct record_head){ .type = OOM_RECORD_ATTEMPT, .size = sizeof(a) };
	a.message = (struct oom_text){ 0, sizeof(a.text) };
	assert_int_equal(oom_decode_check(&a.head), 0);
	a.message.offset = 1;
	assert_int_equal(oom_decode_check(&a.head), -EBADMSG);
}

static void test_core(void **state)
{
	struct oom_core c = { .head = { .type = OOM_RECORD_SPILL, .size = sizeof(c), .boot_ns = 9 },
			      .tgid = 5,
			      .tid = 6,
			      .uid = 7,
			      .start_boot_ns = 8,
			      .cgroup_id = 10,
			      .rss_pages = 11,
			      .decision = 13,
			      .trigger_tgid = 12,
			      .trigger_tid = 14,
			      .role = OOM_ROLE_MEMBER,
			      .flags = 0xffff,
			      .kind = OOM_VICTIM_SHARED_MM,
			      .adj = -5 };

	(void)state;
	memset(c.comm, 'x', sizeof(c.comm));
	assert_int_equal(oom_decode_check(&c.head), 0);
	memset(&out, 0x5a, sizeof(out));
	oom_decode_core(&c, &out);
	assert_int_equal(out.tgid, 5);
	assert_int_equal(out.tid, 6);
	assert_int_equal(out.uid, 7);
	assert_int_equal(out.start_boot_ns, 8);
	assert_int_equal(out.head.boot_ns, 9);
	assert_int_equal(out.cgroup_id, 10);
	assert_int_equal(oom_rss_pages(&out), 11);
	assert_int_equal(out.trigger_tgid, 12);
	assert_int_equal(out.trigger_tid, 14);
	assert_int_equal(out.decision, 13);
	assert_int_equal(out.role, OOM_ROLE_MEMBER);
	assert_int_equal(out.flags, OOM_CORE_FLAGS); /* and none that promises what is not there */
	assert_int_equal(out.kind, OOM_VICTIM_SHARED_MM);
	assert_int_equal(out.adj, -5);
	assert_int_equal(strlen(out.comm), COMM_MAX - 1);
	assert_int_equal(out.n_levels + out.n_stack + out.n_ancestors + out.path.length, 0);
	c.kind = 0;
	assert_int_equal(oom_decode_check(&c.head), -EBADMSG);
	c.kind = OOM_VICTIM_KILL;
	c.tgid = 0;
	assert_int_equal(oom_decode_check(&c.head), -EBADMSG);
}

/* A core record is believed no more than a whole one. */
static void test_core_bounded(void **state)
{
	struct oom_core c = { .head = { .type = OOM_RECORD_SPILL, .size = sizeof(c) },
			      .tgid = 5,
			      .rss_pages = OOM_UNKNOWN64 - 1,
			      .kind = OOM_VICTIM_KILL,
			      .adj = INT16_MAX };

	(void)state;
	oom_decode_core(&c, &out);
	assert_true(out.rss_anon == OOM_UNKNOWN64);
	assert_int_equal(out.adj, 1000);
}

/* Each counter has its own bound, and of a sum all parts must be known. */
static void test_memory_bounded(void **state)
{
	__u64 *const pages[] = { &v.rss_anon, &v.rss_file, &v.rss_shmem,
				 &v.swap,     &v.total_vm, &v.pgtables_bytes };
	const __u64 *const bounded[] = { &out.rss_anon, &out.rss_file, &out.rss_shmem,
					 &out.swap,	&out.total_vm, &out.pgtables_bytes };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(pages); i++) {
		(void)fresh();
		for (size_t k = 0; k < ARRAY_SIZE(pages); k++)
			*pages[k] = 2;
		*pages[i] = OOM_UNKNOWN64 - 1;
		assert_int_equal(oom_decode_victim(&v.head, &out), 0);
		for (size_t k = 0; k < ARRAY_SIZE(bounded); k++)
			assert_true(*bounded[k] == (i == k ? OOM_UNKNOWN64 : 2));
		assert_true(oom_rss_pages(&out) == (i < 3 ? OOM_UNKNOWN64 : 6));
	}
}

/* OOM-302 */
static void test_pages(void **state)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);

	(void)state;
	assert_true(oom_pages(0) == 0);
	assert_true(oom_pages(3) == 3 * page);
	assert_true(oom_pages(OOM_UNKNOWN64) == OOM_UNKNOWN64);
	assert_true(oom_pages(INT64_MAX / page + 1) == OOM_UNKNOWN64);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes),	       cmocka_unit_test(test_victim_refused),
		cmocka_unit_test(test_victim_bounded), cmocka_unit_test(test_texts_of_others),
		cmocka_unit_test(test_core),	       cmocka_unit_test(test_core_bounded),
		cmocka_unit_test(test_memory_bounded), cmocka_unit_test(test_pages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
