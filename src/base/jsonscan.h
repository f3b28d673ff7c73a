/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Incremental JSON scanner (RFC 8259)
 *
 * Takes a document in pieces of any size and calls back per token. No tree is built: memory is this struct, however long
 * the document is. Strict: no trailing comma, no bare control byte, valid UTF-8, whole surrogate pairs, nothing behind the
 * value. Duplicate keys are reported twice; who cares has to look.
 */
#define JSON_SCAN_DEPTH_MAX 64
#define JSON_SCAN_TEXT_MAX 1024

enum json_token {
	JSON_OBJECT_BEGIN,
	JSON_OBJECT_END,
	JSON_ARRAY_BEGIN,
	JSON_ARRAY_END,
	JSON_KEY,
	JSON_STRING,
	JSON_NUMBER, /* as written */
	JSON_TRUE,
	JSON_FALSE,
	JSON_NULL,
};

/*
 * @text: of keys, strings and numbers, NUL-terminated (a string may hold more NULs); else "". @cut: it was longer than
 * JSON_SCAN_TEXT_MAX bytes, and is checked but not kept to its end. Returns 0, or -errno to stop.
 */
typedef int (*json_scan_fn)(void *ctx, enum json_token token, const char *text, size_t len,
			    bool cut);

struct json_scan {
	json_scan_fn fn;
	void *ctx;
	int error; /* the first one stays */
	uint8_t state; /* enum state of jsonscan.c */
	bool key; /* the string that is read is one */
	unsigned depth;
	uint64_t objects; /* bit n: level n is an object, else an array */
	char text[JSON_SCAN_TEXT_MAX + 1];
	size_t len;
	bool cut;
	char sequence[4]; /* one character of UTF-8 */
	uint8_t sequence_len, sequence_want;
	uint32_t unit, high; /* of \u escapes */
	uint8_t digits;
	const char *literal; /* what has to follow */
};

void json_scan_init(struct json_scan *s, json_scan_fn fn, void *ctx);
/* 0; -EBADMSG: no JSON; -E2BIG: too deep; or what the callback returned. Errors stick. */
int json_scan_feed(struct json_scan *s, const char *data, size_t len);
int json_scan_end(struct json_scan *s); /* -EBADMSG when the document is not complete */
