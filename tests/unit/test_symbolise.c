/* SPDX-License-Identifier: Apache-2.0 */
/* Symbols of this very program, by its own build id. */
#include <elf.h>
#include <link.h>
#include <stdio.h>
#include "cli/symbolise.h"
#include "test.h"

struct self {
	char build_id[64];
	uint64_t offset; /* of marked() in the file */
};

__attribute__((noinline)) int marked(int x);
int marked(int x)
{
	return x * 3 + (int)(uintptr_t)&x;
}

static void take_note(struct self *s, const char *notes, size_t size)
{
	for (size_t at = 0; at + sizeof(ElfW(Nhdr)) < size;) {
		const ElfW(Nhdr) *n = (const void *)(notes + at);
		const unsigned char *id =
			(const unsigned char *)(n + 1) + ((n->n_namesz + 3) & ~3U);

		for (size_t i = 0; n->n_type == NT_GNU_BUILD_ID && i < n->n_descsz; i++)
			(void)snprintf(s->build_id + 2 * i, 3, "%02x", id[i]);
		at += sizeof(*n) + ((n->n_namesz + 3) & ~3U) + ((n->n_descsz + 3) & ~3U);
	}
}

static int look(struct dl_phdr_info *info, size_t size, void *ctx)
{
	struct self *s = ctx;
	uint64_t address = (uint64_t)(uintptr_t)marked - info->dlpi_addr;

	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];

		if (p->p_type == PT_NOTE)
			take_note(s, (const char *)(info->dlpi_addr + p->p_vaddr), p->p_memsz);
		if (p->p_type == PT_LOAD && address >= p->p_vaddr &&
		    address - p->p_vaddr < p->p_memsz)
			s->offset = address - p->p_vaddr + p->p_offset;
	}
	return 1; /* the program comes first */
}

static void test_own(void **state)
{
	struct strbuf b = STRBUF_INIT;
	struct self s = {};
	char frame[128];

	(void)dl_iterate_phdr(look, &s);
	if (strlen(s.build_id) != 40)
		skip(); /* linked without a build id */
	assert_true(symbolise_in_file(&b, "/proc/self/exe", s.build_id, s.offset + 1));
	assert_string_equal(strbuf_str(&b), "marked+0x1");
	strbuf_clear(&b);

	(void)snprintf(frame, sizeof(frame), "%s+0x%llx", s.build_id, (unsigned long long)s.offset);
	symbolise_frame(&b, frame, "/proc/self/exe");
	assert_string_equal(strbuf_str(&b), "marked+0x0");
	strbuf_clear(&b);

	/* The same file under another build id is another file. */
	s.build_id[0] = s.build_id[0] == '0' ? '1' : '0';
	assert_false(symbolise_in_file(&b, "/proc/self/exe", s.build_id, s.offset));
	strbuf_done(&b);
}

static void test_as_it_is(void **state)
{
	static const char *const frames[] = { "",
					      "0x1234",
					      "deadbeef+0x10",
					      "0123456789012345678901234567890123456789+0x",
					      "0123456789012345678901234567890123456789+0xzz",
					      "0123456789012345678901234567890123456789+0x10" };

	for (size_t i = 0; i < ARRAY_SIZE(frames); i++) {
		struct strbuf b = STRBUF_INIT;

		symbolise_frame(&b, frames[i], "/etc/passwd");
		assert_string_equal(strbuf_str(&b), frames[i]);
		strbuf_done(&b);
	}
	assert_false(symbolise_in_file(NULL, "/etc/passwd", "00", 0));
	assert_false(symbolise_in_file(NULL, "/nowhere", "00", 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_own),
		cmocka_unit_test(test_as_it_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
