/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/strbuf.h"

/* Foreign text may hold any byte. These are the only ways by which it leaves the program. */

/* Length of the valid UTF-8 sequence at @s (1..4; no surrogates, no overlong forms), 0 when invalid. */
size_t utf8_sequence(const char *s, size_t len);
bool utf8_valid(const char *s, size_t len);

/* JSON string contents without the quotes. Invalid bytes become U+FFFD; returns true when any was replaced. */
bool text_add_json(struct strbuf *b, const char *s, size_t len);
/* For terminals: control bytes and C1 as \xNN, \n \t \e as such; bidirectional overrides escaped; invalid UTF-8 as \xNN. */
void text_add_terminal(struct strbuf *b, const char *s, size_t len);
/* Prometheus label value: \\ \" \n escaped, invalid UTF-8 to U+FFFD, cut at @max bytes on a character boundary. */
void text_add_label(struct strbuf *b, const char *s, size_t len, size_t max);

/* For people: "2.43 GiB", "61 MiB", "20 KiB", "512 B". */
void text_add_bytes(struct strbuf *b, uint64_t bytes);
/* "1h28m", "3m34s", "121 ms", "0.4 ms". */
void text_add_duration(struct strbuf *b, uint64_t us);
