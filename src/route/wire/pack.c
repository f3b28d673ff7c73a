/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows to snappy elements as they come
 *
 * Rows of a block are alike. A row is compared with the one before it: as a whole where all labels are as long as there, else label by label, each with the
 * one of its number. Of a label that differs the beginning is copied and the rest is a literal, unless the whole of it was seen in the window (a
 * small table by the last bytes). A copy that goes on at the same distance is one element, over labels and rows.
 *
 * Every copy is compared first and its source lies in the window, which holds bytes of the body as they are, so that whatever rows and labels are the
 * block is valid. Rows that are no usual ones, and what follows them for a while, are left to libsnappy: its elements do not depend on what
 * stands before them either.
 */

#include <errno.h>
#include <snappy-c.h>
#include <stdlib.h>
#include "route/wire/pack.h"
#include "route/wire/snappy-put.h"

#define HEAD VARINT_MAX /* room for the length, which is known last */
#define READ_SLACK PACK_SLACK
#define PLAIN_BYTES (64 * 1024) /* libsnappy's own block */

struct rw_pack *rw_pack_free(struct rw_pack *p)
{
	if (!p)
		return NULL;
	rw_buf_done(&p->out);
	free(p);
	return NULL;
}

struct rw_pack *rw_pack_new(void)
{
	struct rw_pack *p = calloc(1, sizeof(*p));

	if (!p || !rw_buf_room(&p->out, HEAD))
		return rw_pack_free(p);
	p->out.len = HEAD;
#if defined(__x86_64__) && !defined(__clang__) /* clang does not set the macros by the pragma */
	p->add = __builtin_cpu_supports("avx2") ? rw_pack_add_avx2 : rw_pack_add_plain;
#else
	p->add = rw_pack_add_plain;
#endif
	return p;
}

/* The window is empty. */
static void forget(struct rw_pack *p)
{
	p->written = p->run = p->run_len = p->distance = 0;
	p->known = p->plain = false;
	p->done = p->done_before = 0;
	memset(p->seen, 0, sizeof(p->seen));
}

void rw_pack_reset(struct rw_pack *p)
{
	p->out.len = HEAD;
	p->base = 0;
	forget(p);
}

static bool plain_rest(struct rw_pack *p, const struct rw_buf *data)
{
	size_t len = data->len - p->written, made = snappy_max_compressed_length(len);
	const uint8_t *elements;
	uint8_t *out;
	uint64_t claim;

	if (!len)
		return true;
	if (!rw_buf_room(&p->out, made + SNAPPY_SLACK))
		return false;
	out = p->out.data + p->out.len;
	if (snappy_compress((const char *)data->data + p->written, len, (char *)out, &made) !=
	    SNAPPY_OK)
		return false;
	elements = varint_get(out, out + made, &claim);
	memmove(out, elements, made - (size_t)(elements - out));
	p->out.len += made - (size_t)(elements - out);
	return true;
}

int rw_pack_flush(struct rw_pack *p, struct rw_buf *data)
{
	size_t room = 2 * (data->len - p->written) + SNAPPY_SLACK;

	if (p->plain) {
		if (!plain_rest(p, data))
			return -ENOMEM;
	} else {
		uint8_t *out;

		if (!rw_buf_room(&p->out, room))
			return -ENOMEM;
		out = p->out.data + p->out.len;
		if (p->run_len) {
			if (p->run > p->written)
				out = snappy_literal(out, data->data + p->written,
						     p->run - p->written);
			out = snappy_copy(out, p->run_len, p->distance);
			p->written = p->run + p->run_len;
		}
		if (data->len > p->written)
			out = snappy_literal(out, data->data + p->written, data->len - p->written);
		p->out.len = (size_t)(out - p->out.data);
	}
	p->plain = false;
	p->written = p->run = p->done = (uint32_t)data->len;
	p->run_len = p->distance = p->done_before = 0;
	return 0;
}

/* A new window. Its first row is the last of the old one, where that is known. */
static int begin_window(struct rw_pack *p, struct rw_buf *data)
{
	uint32_t row = p->row, len = p->end - p->row;
	bool known = p->known && p->end == data->len;
	int r = rw_pack_flush(p, data);

	if (r < 0)
		return r;
	p->base += known ? row : data->len;
	if (known)
		memmove(data->data, data->data + row, len);
	data->len = known ? len : 0;
	forget(p);
	p->known = known;
	p->written = p->run = p->done = (uint32_t)data->len;
	p->first -= row;
	p->row = 0;
	p->end = len;
	return 0;
}

/* Not by labels: in larger pieces, which the window is too small for. */
static int add_plain(struct rw_pack *p, struct rw_buf *data, size_t row)
{
	size_t len = data->len;
	int r = 0;

	if (!p->plain) {
		data->len = row;
		r = rw_pack_flush(p, data);
		data->len = len;
	}
	if (r < 0)
		return r;
	p->plain = true;
	p->known = false;
	if (len - p->written < PLAIN_BYTES)
		return 0;
	return begin_window(p, data);
}

int rw_pack_row(struct rw_pack *p, struct rw_buf *data, size_t row, size_t first,
		const uint8_t *content, const struct rw_label *labels, uint32_t n)
{
	if (p->plain || data->len - row > PACK_ROW_MAX || !n || n > PACK_LABELS_MAX)
		return add_plain(p, data, row);
	if (!rw_buf_room(data, READ_SLACK) ||
	    !rw_buf_room(&p->out, 2 * (data->len - p->written) + SNAPPY_SLACK))
		return -ENOMEM;
	p->add(p, data, (uint32_t)row, (uint32_t)first, content ? content : data->data + first,
	       labels, n);
	return data->len > PACK_WINDOW ? begin_window(p, data) : 0;
}

void rw_pack_cut(struct rw_pack *p, struct rw_buf *data, uint64_t bytes, size_t out_len)
{
	if (p->base + data->len == bytes)
		return;
	p->out.len = out_len;
	if (bytes < p->base) {
		p->base = bytes;
		data->len = 0;
		forget(p);
		return;
	}
	data->len = (size_t)(bytes - p->base);
	p->written = p->run = p->done = (uint32_t)data->len;
	p->run_len = p->distance = p->done_before = 0;
	p->known = p->plain = false;
}

struct rw_span rw_pack_block(struct rw_pack *p, const struct rw_buf *data)
{
	uint64_t len = p->base + data->len;
	uint8_t *at = p->out.data + HEAD - varint_len(len);

	(void)varint_put(at, len);
	return (struct rw_span){ at, (size_t)(p->out.data + p->out.len - at) };
}
