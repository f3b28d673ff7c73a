/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Structure of a whole body
 *
 * A table says what each field of each message is. Known fields of a wrong wire type are an error, as in the senders' own libraries;
 * unknown ones are skipped. Labels and samples as every sender writes them are passed over without the table.
 */

#include <errno.h>
#include "route/wire/buf.h"
#include "route/wire/text.h"
#include "route/wire/usual.h"
#include "route/wire/walk.h"

enum message {
	WRITE1,
	SERIES1,
	LABEL,
	SAMPLE1,
	EXEMPLAR1,
	METADATA1,
	REQUEST2,
	SERIES2,
	SAMPLE2,
	EXEMPLAR2,
	METADATA2,
	HISTOGRAM,
	BUCKET_SPAN,
	_MESSAGE_MAX
};

enum form {
	UNKNOWN,
	VARINT,
	FIXED64,
	TEXT,
	VARINTS, /* packed or not */
	FIXED64S,
	SYMBOL,
	MESSAGE, /* + which */
};
#define FIELDS 18

static const uint8_t forms[_MESSAGE_MAX][FIELDS] = {
	[WRITE1] = { [1] = MESSAGE + SERIES1, [3] = MESSAGE + METADATA1 },
	[SERIES1] = { [1] = MESSAGE + LABEL,
		      [2] = MESSAGE + SAMPLE1,
		      [3] = MESSAGE + EXEMPLAR1,
		      [4] = MESSAGE + HISTOGRAM },
	[LABEL] = { [1] = TEXT, [2] = TEXT },
	[SAMPLE1] = { [1] = FIXED64, [2] = VARINT },
	[EXEMPLAR1] = { [1] = MESSAGE + LABEL, [2] = FIXED64, [3] = VARINT },
	[METADATA1] = { [1] = VARINT, [2] = TEXT, [4] = TEXT, [5] = TEXT },
	[REQUEST2] = { [4] = SYMBOL, [5] = MESSAGE + SERIES2 },
	[SERIES2] = { [1] = VARINTS,
		      [2] = MESSAGE + SAMPLE2,
		      [3] = MESSAGE + HISTOGRAM,
		      [4] = MESSAGE + EXEMPLAR2,
		      [5] = MESSAGE + METADATA2,
		      [6] = VARINT },
	[SAMPLE2] = { [1] = FIXED64, [2] = VARINT, [3] = VARINT },
	[EXEMPLAR2] = { [1] = VARINTS, [2] = FIXED64, [3] = VARINT },
	[METADATA2] = { [1] = VARINT, [3] = VARINT, [4] = VARINT },
	[HISTOGRAM] = { [1] = VARINT,
			[2] = FIXED64,
			[3] = FIXED64,
			[4] = VARINT,
			[5] = FIXED64,
			[6] = VARINT,
			[7] = FIXED64,
			[8] = MESSAGE + BUCKET_SPAN,
			[9] = VARINTS,
			[10] = FIXED64S,
			[11] = MESSAGE + BUCKET_SPAN,
			[12] = VARINTS,
			[13] = FIXED64S,
			[14] = VARINT,
			[15] = VARINT,
			[16] = FIXED64S,
			[17] = VARINT },
	[BUCKET_SPAN] = { [1] = VARINT, [2] = VARINT },
};

static const uint8_t counted_as[_MESSAGE_MAX] = {
	[SERIES1] = RW_OVER_SERIES,  [SERIES2] = RW_OVER_SERIES,    [SAMPLE1] = RW_OVER_SAMPLES,
	[SAMPLE2] = RW_OVER_SAMPLES, [HISTOGRAM] = RW_OVER_SAMPLES,
};

static int check_message(struct rw_walk *w, enum message m, const uint8_t *at, const uint8_t *end);

static int count(struct rw_walk *w, enum rw_over what)
{
	if (what == RW_OVER_NONE || ++w->count[what] <= w->max[what])
		return 0;
	w->over = what;
	return -E2BIG;
}

static int check_varints(const struct rw_field *f)
{
	const uint8_t *at = f->at, *end = f->at + f->len;
	uint64_t v;

	if (f->type == RW_VARINT)
		return 0;
	if (f->type != RW_BYTES)
		return -EBADMSG;
	while (at < end)
		if (!(at = varint_get(at, end, &v)))
			return -EBADMSG;
	return 0;
}

static int add_symbol(struct rw_walk *w, const struct rw_field *f)
{
	size_t n = w->count[RW_OVER_SYMBOLS];
	int r = count(w, RW_OVER_SYMBOLS);

	if (r < 0)
		return r;
	if (!rw_array_grow(&w->symbols, &w->symbols_size, n + 1, sizeof(*w->symbols)))
		return -ENOMEM;
	w->symbols[n] = (struct rw_span){ f->at, f->len };
	return 0;
}

static int check_field(struct rw_walk *w, unsigned form, const struct rw_field *f)
{
	bool right;

	switch (form) {
	case UNKNOWN:
		return 0;
	case VARINT:
		right = f->type == RW_VARINT;
		break;
	case FIXED64:
		right = f->type == RW_FIXED64;
		break;
	case TEXT:
		right = f->type == RW_BYTES;
		break;
	case VARINTS:
		return check_varints(f);
	case FIXED64S:
		right = f->type == RW_FIXED64 || (f->type == RW_BYTES && f->len % 8 == 0);
		break;
	case SYMBOL:
		return f->type == RW_BYTES ? add_symbol(w, f) : -EBADMSG;
	default:
		if (f->type != RW_BYTES)
			return -EBADMSG;
		w->has_metadata |= form == MESSAGE + METADATA1;
		return check_message(w, form - MESSAGE, f->at, f->at + f->len);
	}
	return right ? 0 : -EBADMSG;
}

/* A name that does not sort behind the one before by its key alone. */
static __attribute__((noinline)) bool ascends(const uint8_t *last, const uint8_t *at)
{
	return at[3] && (!last || rw_name_compare(last + 4, last[3], at + 4, at[3]) < 0);
}

static bool is_named(const uint8_t *at, const uint8_t *end)
{
	for (; at < end; at += at[1] + 2)
		if (at[3] == 8 && memcmp(at + 4, "__name__", 8) == 0)
			return true;
	return false;
}

/*
 * Labels `0A n 0A name 12 value` of one-byte lengths at the start of a series: behind them. Structure and meaning in one look, because both wait for the
 * same bytes. It is the loop over nearly all bytes that come in. That lengths and text are below 0x80, and that the last label ends in the series, is
 * seen for all labels together; where they are not, nothing of it holds, and the table starts anew.
 */
static __attribute__((noinline)) const uint8_t *
usual_labels(struct rw_walk *w, const uint8_t *start, const uint8_t *end)
{
	const uint8_t *at = start, *last = NULL, *stop = MIN(end, w->usual_end);
	struct rw_label *x = w->labels, *most = x + w->labels_max;
	bool good = true;
	uint64_t last_key = 0;

	for (; at < stop && x < most; x++) {
		uint64_t head = rw_load64(at), key;
		uint32_t len = head >> 8 & 0xff, name_len = head >> 24 & 0xff;
		uint32_t value_len = len - 4 - name_len;

		if ((head & 0xff00ff) != 0x0a000a || at[4 + name_len] != 0x12 ||
		    at[5 + name_len] != value_len || !value_len)
			break;
		key = rw_name_key(at + 4, name_len);
		if (key <= last_key && !ascends(last, at))
			good = false;
		last_key = key;
		last = at;
		*x = (struct rw_label){ (const char *)at + 4, (const char *)at + 6 + name_len,
					name_len, value_len };
		at += len + 2;
	}
	if (at > end || !rw_ascii(start, (size_t)(at - start)))
		at = start;
	good = good && at > start && (size_t)(at - start) <= w->limits->series_bytes &&
	       (!w->limits->require_metric_name || is_named(start, at));
	w->n_labels = good ? (uint32_t)(x - w->labels) : 0;
	w->labels_end = at;
	return at;
}

static int check_message(struct rw_walk *w, enum message m, const uint8_t *at, const uint8_t *end)
{
	int r = count(w, counted_as[m]);

	if (m == SERIES1)
		at = usual_labels(w, at, end);
	while (r == 0 && at < end) {
		struct rw_field f;

		if ((m == SERIES1 || m == SERIES2) && usual_sample(at, end)) {
			r = count(w, RW_OVER_SAMPLES);
			at += usual_sample(at, end);
			continue;
		}
		at = rw_field_get(at, end, &f);
		if (!at)
			return -EBADMSG;
		r = check_field(w, f.number < FIELDS ? forms[m][f.number] : UNKNOWN, &f);
	}
	return r;
}

void rw_walk_begin(struct rw_walk *w, const uint8_t *body, size_t len)
{
	memset(w->count, 0, sizeof(w->count));
	w->over = RW_OVER_NONE;
	w->has_metadata = false;
	w->usual_end = len > USUAL_LABEL_MAX ? body + len - USUAL_LABEL_MAX : body;
	w->labels_max = 0; /* lengths are not looked at where a limit could be below a byte */
	if (w->limits->name_bytes >= INT8_MAX && w->limits->value_bytes >= INT8_MAX)
		w->labels_max = MIN(w->limits->labels, (uint32_t)RW_USUAL_LABELS);
}

int rw_walk_series1(struct rw_walk *w, const uint8_t *at, const uint8_t *end)
{
	return check_message(w, SERIES1, at, end);
}

int rw_walk_metadata1(struct rw_walk *w, const uint8_t *at, const uint8_t *end)
{
	w->has_metadata = true;
	return check_message(w, METADATA1, at, end);
}

int rw_walk(struct rw_walk *w, enum rw_version version, const uint8_t *body, size_t len)
{
	rw_walk_begin(w, body, len);
	return check_message(w, version == RW1 ? WRITE1 : REQUEST2, body, body + len);
}
