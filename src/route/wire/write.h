/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "route/wire/buf.h"
#include "route/wire/field.h"

/*
 * Messages written into a growing buffer; the first lack of memory sticks
 *
 * A message is opened with room for a length of one byte. Few need more; those are moved when they are closed.
 */
struct rw_out {
	struct rw_buf *buf;
	bool no_memory;
};

static inline bool rw_out_room(struct rw_out *o, size_t n)
{
	if (!o->no_memory && !rw_buf_room(o->buf, n))
		o->no_memory = true;
	return !o->no_memory;
}

static inline void rw_out_add(struct rw_out *o, const void *data, size_t len)
{
	if (!rw_out_room(o, len))
		return;
	if (len)
		memcpy(o->buf->data + o->buf->len, data, len);
	o->buf->len += len;
}

static inline void rw_out_varint(struct rw_out *o, uint64_t v)
{
	if (rw_out_room(o, VARINT_MAX))
		o->buf->len = (size_t)(varint_put(o->buf->data + o->buf->len, v) - o->buf->data);
}

/* Tags are of one byte: all numbers here are below 16, or written by rw_out_varint(). */
static inline void rw_out_tag(struct rw_out *o, uint32_t number, enum rw_wire type)
{
	rw_out_varint(o, RW_TAG(number, type));
}

static inline void rw_out_uint(struct rw_out *o, uint32_t number, uint64_t v)
{
	rw_out_tag(o, number, RW_VARINT);
	rw_out_varint(o, v);
}

static inline void rw_out_bytes(struct rw_out *o, uint32_t number, const void *data, size_t len)
{
	rw_out_tag(o, number, RW_BYTES);
	rw_out_varint(o, len);
	rw_out_add(o, data, len);
}

/* Returns what rw_out_close() wants. */
static inline size_t rw_out_open(struct rw_out *o, uint32_t number)
{
	rw_out_tag(o, number, RW_BYTES);
	if (rw_out_room(o, 1))
		o->buf->len++;
	return o->buf->len;
}

static inline void rw_out_close(struct rw_out *o, size_t open)
{
	size_t len = o->buf->len - open, more;

	if (o->no_memory)
		return;
	more = varint_len(len) - 1;
	if (more) {
		if (!rw_out_room(o, more))
			return;
		memmove(o->buf->data + open + more, o->buf->data + open, len);
		o->buf->len += more;
	}
	(void)varint_put(o->buf->data + open - 1, len);
}
