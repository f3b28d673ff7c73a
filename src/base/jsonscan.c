/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Incremental JSON scanner: one state per place of the grammar, one byte at a time
 *
 * Pieces may end anywhere: inside an escape, a character, a number. A number has no last byte of its own, so the byte
 * behind it is looked at twice.
 */

#include <errno.h>
#include <string.h>
#include "base/jsonscan.h"
#include "base/text.h"

enum state {
	VALUE,
	VALUE_OR_END, /* behind [ */
	KEY_OR_END, /* behind { */
	KEY, /* behind a comma in an object */
	COLON,
	COMMA_OR_END,
	DONE,
	STRING,
	SEQUENCE, /* inside a character of UTF-8 */
	ESCAPE,
	UNICODE, /* four hex digits */
	LOW_BACKSLASH, /* the second half of a surrogate pair has to follow */
	LOW_U,
	LITERAL,
	NUMBER_MINUS,
	NUMBER_ZERO,
	NUMBER_INT,
	NUMBER_POINT,
	NUMBER_FRACTION,
	NUMBER_E,
	NUMBER_E_SIGN,
	NUMBER_EXPONENT,
};

void json_scan_init(struct json_scan *s, json_scan_fn fn, void *ctx)
{
	memset(s, 0, sizeof(*s));
	s->fn = fn;
	s->ctx = ctx;
	s->state = VALUE;
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static void text_clear(struct json_scan *s)
{
	s->len = 0;
	s->cut = false;
}

/* Whole characters only, so that what is kept of a long text is valid too. */
static void text_add(struct json_scan *s, const char *bytes, size_t n)
{
	if (s->cut || n > JSON_SCAN_TEXT_MAX - s->len) {
		s->cut = true;
		return;
	}
	memcpy(s->text + s->len, bytes, n);
	s->len += n;
}

static void value_done(struct json_scan *s)
{
	s->state = s->depth ? COMMA_OR_END : DONE;
}

static int emit_text(struct json_scan *s, enum json_token token)
{
	s->text[s->len] = '\0';
	return s->fn(s->ctx, token, s->text, s->len, s->cut);
}

static int open_level(struct json_scan *s, bool object)
{
	uint64_t bit;

	if (s->depth >= JSON_SCAN_DEPTH_MAX)
		return -E2BIG;
	bit = 1ULL << s->depth++;
	s->objects = object ? s->objects | bit : s->objects & ~bit;
	s->state = object ? KEY_OR_END : VALUE_OR_END;
	return s->fn(s->ctx, object ? JSON_OBJECT_BEGIN : JSON_ARRAY_BEGIN, "", 0, false);
}

static bool in_object(const struct json_scan *s)
{
	return s->depth && s->objects >> (s->depth - 1) & 1;
}

static int close_level(struct json_scan *s, char c)
{
	bool object = in_object(s);

	if (!s->depth || c != (object ? '}' : ']'))
		return -EBADMSG;
	s->depth--;
	value_done(s);
	return s->fn(s->ctx, object ? JSON_OBJECT_END : JSON_ARRAY_END, "", 0, false);
}

/* --- strings --- */

static void string_begin(struct json_scan *s, bool key)
{
	text_clear(s);
	s->key = key;
	s->state = STRING;
}

static int string_end(struct json_scan *s)
{
	if (s->key)
		s->state = COLON;
	else
		value_done(s);
	return emit_text(s, s->key ? JSON_KEY : JSON_STRING);
}

static int sequence_begin(struct json_scan *s, char c)
{
	unsigned char lead = (unsigned char)c;

	if (lead < 0xc2 || lead > 0xf4)
		return -EBADMSG;
	s->sequence_want = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
	s->sequence[0] = c;
	s->sequence_len = 1;
	s->state = SEQUENCE;
	return 0;
}

static int on_sequence(struct json_scan *s, char c)
{
	if (((unsigned char)c & 0xc0) != 0x80)
		return -EBADMSG;
	s->sequence[s->sequence_len++] = c;
	if (s->sequence_len < s->sequence_want)
		return 0;
	if (utf8_sequence(s->sequence, s->sequence_len) != s->sequence_len)
		return -EBADMSG; /* overlong, a surrogate, beyond U+10FFFF */
	text_add(s, s->sequence, s->sequence_len);
	s->state = STRING;
	return 0;
}

static int on_string(struct json_scan *s, char c)
{
	if (c == '"')
		return string_end(s);
	if (c == '\\')
		s->state = ESCAPE;
	else if ((unsigned char)c < 0x20)
		return -EBADMSG;
	else if ((unsigned char)c >= 0x80)
		return sequence_begin(s, c);
	else
		text_add(s, &c, 1);
	return 0;
}

static int on_escape(struct json_scan *s, char c)
{
	static const char names[] = "\"\\/bfnrt", bytes[] = "\"\\/\b\f\n\r\t";
	const char *found = c ? strchr(names, c) : NULL;

	if (c == 'u') {
		s->unit = s->digits = 0;
		s->state = UNICODE;
		return 0;
	}
	if (!found)
		return -EBADMSG;
	text_add(s, &bytes[found - names], 1);
	s->state = STRING;
	return 0;
}

static void add_code_point(struct json_scan *s, uint32_t c)
{
	char out[4];
	size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
	static const unsigned char lead[] = { 0, 0, 0xc0, 0xe0, 0xf0 };

	for (size_t i = n - 1; i > 0; i--, c >>= 6)
		out[i] = (char)(0x80 | (c & 0x3f));
	out[0] = (char)(lead[n] | c);
	text_add(s, out, n);
}

static int unit_done(struct json_scan *s)
{
	bool high = s->unit >= 0xd800 && s->unit < 0xdc00;
	bool low = s->unit >= 0xdc00 && s->unit < 0xe000;

	if (s->high ? !low : low)
		return -EBADMSG; /* half a pair */
	if (high) {
		s->high = s->unit;
		s->state = LOW_BACKSLASH;
		return 0;
	}
	add_code_point(s, s->high ? 0x10000 + ((s->high - 0xd800) << 10) + (s->unit - 0xdc00)
				  : s->unit);
	s->high = 0;
	s->state = STRING;
	return 0;
}

static int on_unicode(struct json_scan *s, char c)
{
	unsigned digit;

	if (is_digit(c))
		digit = (unsigned)(c - '0');
	else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
		digit = (unsigned)((c | 0x20) - 'a') + 10;
	else
		return -EBADMSG;
	s->unit = s->unit << 4 | digit;
	return ++s->digits == 4 ? unit_done(s) : 0;
}

static int on_low_half(struct json_scan *s, char c)
{
	if (c != (s->state == LOW_BACKSLASH ? '\\' : 'u'))
		return -EBADMSG;
	s->unit = s->digits = 0;
	s->state = s->state == LOW_BACKSLASH ? LOW_U : UNICODE;
	return 0;
}

/* --- numbers and literals --- */

/* The state that @c leads to, or -1 when the number ends before it. */
static int number_next(enum state state, char c)
{
	bool digit = is_digit(c), e = c == 'e' || c == 'E';

	switch (state) {
	case NUMBER_MINUS:
		return c == '0' ? NUMBER_ZERO : digit ? NUMBER_INT : -1;
	case NUMBER_ZERO:
		return c == '.' ? NUMBER_POINT : e ? NUMBER_E : -1;
	case NUMBER_INT:
		return digit ? NUMBER_INT : c == '.' ? NUMBER_POINT : e ? NUMBER_E : -1;
	case NUMBER_POINT:
		return digit ? NUMBER_FRACTION : -1;
	case NUMBER_FRACTION:
		return digit ? NUMBER_FRACTION : e ? NUMBER_E : -1;
	case NUMBER_E:
		return digit ? NUMBER_EXPONENT : c == '+' || c == '-' ? NUMBER_E_SIGN : -1;
	default: /* NUMBER_E_SIGN, NUMBER_EXPONENT */
		return digit ? NUMBER_EXPONENT : -1;
	}
}

static int number_end(struct json_scan *s)
{
	if (s->state != NUMBER_ZERO && s->state != NUMBER_INT && s->state != NUMBER_FRACTION &&
	    s->state != NUMBER_EXPONENT)
		return -EBADMSG;
	value_done(s);
	return emit_text(s, JSON_NUMBER);
}

static void number_begin(struct json_scan *s, char c)
{
	text_clear(s);
	text_add(s, &c, 1);
	s->state = c == '-' ? NUMBER_MINUS : c == '0' ? NUMBER_ZERO : NUMBER_INT;
}

static int on_literal(struct json_scan *s, char c)
{
	enum json_token token;

	if (c != *s->literal)
		return -EBADMSG;
	if (*++s->literal)
		return 0;
	token = s->unit == 't' ? JSON_TRUE : s->unit == 'f' ? JSON_FALSE : JSON_NULL;
	value_done(s);
	return s->fn(s->ctx, token, "", 0, false);
}

/* --- between tokens --- */

static int on_value(struct json_scan *s, char c)
{
	switch (c) {
	case '{':
	case '[':
		return open_level(s, c == '{');
	case '"':
		string_begin(s, false);
		return 0;
	case 't':
	case 'f':
	case 'n':
		s->unit = (uint32_t)c;
		s->literal = (c == 't' ? "true" : c == 'f' ? "false" : "null") + 1;
		s->state = LITERAL;
		return 0;
	default:
		if (c != '-' && !is_digit(c))
			return -EBADMSG;
		number_begin(s, c);
		return 0;
	}
}

static int on_key(struct json_scan *s, char c)
{
	if (c != '"')
		return -EBADMSG;
	string_begin(s, true);
	return 0;
}

static int on_comma(struct json_scan *s, char c)
{
	if (c != ',')
		return close_level(s, c);
	s->state = in_object(s) ? KEY : VALUE;
	return 0;
}

static int between(struct json_scan *s, char c)
{
	if (is_space(c))
		return 0;
	switch ((enum state)s->state) {
	case VALUE_OR_END:
		return c == ']' ? close_level(s, c) : on_value(s, c);
	case KEY_OR_END:
		return c == '}' ? close_level(s, c) : on_key(s, c);
	case KEY:
		return on_key(s, c);
	case COLON:
		s->state = VALUE;
		return c == ':' ? 0 : -EBADMSG;
	case COMMA_OR_END:
		return on_comma(s, c);
	case VALUE:
		return on_value(s, c);
	default: /* DONE */
		return -EBADMSG;
	}
}

static int on_byte(struct json_scan *s, char c)
{
	int next;

	switch ((enum state)s->state) {
	case STRING:
		return on_string(s, c);
	case SEQUENCE:
		return on_sequence(s, c);
	case ESCAPE:
		return on_escape(s, c);
	case UNICODE:
		return on_unicode(s, c);
	case LOW_BACKSLASH:
	case LOW_U:
		return on_low_half(s, c);
	case LITERAL:
		return on_literal(s, c);
	default:
		break;
	}
	if (s->state >= NUMBER_MINUS) {
		next = number_next((enum state)s->state, c);
		if (next >= 0) {
			text_add(s, &c, 1);
			s->state = (uint8_t)next;
			return 0;
		}
		next = number_end(s);
		if (next < 0)
			return next;
	}
	return between(s, c);
}

int json_scan_feed(struct json_scan *s, const char *data, size_t len)
{
	for (size_t i = 0; i < len && !s->error; i++)
		s->error = on_byte(s, data[i]);
	return s->error;
}

int json_scan_end(struct json_scan *s)
{
	if (!s->error && s->state >= NUMBER_MINUS)
		s->error = number_end(s); /* a number alone has nothing behind it */
	if (!s->error && s->state != DONE)
		s->error = -EBADMSG;
	return s->error;
}
