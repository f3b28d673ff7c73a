/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include "base/hash.h"
#include "test.h"

struct item {
	struct hash_node node;
	unsigned key;
};

static bool is_key(const struct hash_node *n, const void *key)
{
	return container_of(n, struct item, node)->key == *(const unsigned *)key;
}

static struct item *find(const struct hash *h, unsigned key, uint64_t hash)
{
	struct hash_node *n = hash_find(h, hash, is_key, &key);

	return n ? container_of(n, struct item, node) : NULL;
}

static void test_values(void **state)
{
	unsigned char text[64];

	for (unsigned i = 0; i < sizeof(text); i++)
		text[i] = (unsigned char)i;
	assert_int_equal(hash_bytes(text, 20), hash_bytes(text, 20));
	for (unsigned len = 0; len < sizeof(text); len++)
		for (unsigned other = 0; other < len; other++)
			assert_true(hash_bytes(text, len) != hash_bytes(text, other));
	/* The length counts: no run of NULs is like another. */
	memset(text, 0, sizeof(text));
	assert_true(hash_bytes(text, 8) != hash_bytes(text, 9));
	assert_true(hash_u64(1) != hash_u64(2));
}

/* With good values, and with all in one bucket. */
static void test_insert_find_remove(void **state)
{
	for (unsigned same = 0; same < 2; same++) {
		struct item items[500] = {};
		struct hash h;

		assert_int_equal(hash_init(&h, ARRAY_SIZE(items)), 0);
		for (unsigned i = 0; i < ARRAY_SIZE(items); i++) {
			items[i].key = i;
			assert_int_equal(hash_insert(&h, &items[i].node, same ? 7 : hash_u64(i)),
					 0);
		}
		assert_true(hash_full(&h));
		for (unsigned i = 0; i < ARRAY_SIZE(items); i += 2)
			hash_remove(&h, &items[i].node);
		assert_int_equal(h.count, ARRAY_SIZE(items) / 2);
		hash_remove(&h, &items[0].node); /* once is enough */
		assert_int_equal(h.count, ARRAY_SIZE(items) / 2);
		for (unsigned i = 0; i < ARRAY_SIZE(items); i++)
			assert_ptr_equal(find(&h, i, same ? 7 : hash_u64(i)),
					 i % 2 ? &items[i] : NULL);
		hash_done(&h);
		assert_null(find(&h, 1, 7));
	}
}

static void test_limit(void **state)
{
	struct item a = { .key = 1 }, b = { .key = 2 }, c = { .key = 3 };
	struct hash h;

	assert_int_equal(hash_init(&h, 2), 0);
	assert_int_equal(hash_insert(&h, &a.node, 1), 0);
	assert_int_equal(hash_insert(&h, &b.node, 2), 0);
	assert_int_equal(hash_insert(&h, &c.node, 3), -ENOSPC);
	assert_null(find(&h, 3, 3));
	hash_remove(&h, h.oldest);
	assert_int_equal(hash_insert(&h, &c.node, 3), 0);
	hash_done(&h);
	assert_int_equal(hash_init(&h, 0), 0);
	assert_int_equal(hash_insert(&h, &a.node, 1), -ENOSPC);
	hash_done(&h);
}

static void assert_order(const struct hash *h, const char *want)
{
	char got[32] = "", back[32] = "";
	size_t n = 0, len = strlen(want);

	for (struct hash_node *x = h->oldest; x; x = x->newer)
		got[n++] = (char)('0' + container_of(x, struct item, node)->key);
	assert_string_equal(got, want);
	n = len;
	for (struct hash_node *x = h->newest; x; x = x->older)
		back[--n] = (char)('0' + container_of(x, struct item, node)->key);
	assert_string_equal(back, want);
}

static void test_age(void **state)
{
	struct item items[4];
	struct hash h;

	assert_int_equal(hash_init(&h, 8), 0);
	assert_order(&h, "");
	for (unsigned i = 0; i < 4; i++) {
		items[i].key = i;
		assert_int_equal(hash_insert(&h, &items[i].node, i), 0);
	}
	assert_order(&h, "0123");
	hash_touch(&h, &items[3].node);
	assert_order(&h, "0123");
	hash_touch(&h, &items[0].node);
	assert_order(&h, "1230");
	hash_touch(&h, &items[2].node);
	assert_order(&h, "1302");
	hash_remove(&h, &items[3].node);
	assert_order(&h, "102");
	hash_remove(&h, &items[1].node);
	hash_remove(&h, &items[2].node);
	assert_order(&h, "0");
	hash_touch(&h, &items[0].node);
	hash_remove(&h, &items[0].node);
	assert_order(&h, "");
	hash_done(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_insert_find_remove),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_age),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
