/* SPDX-License-Identifier: Apache-2.0 */
/* Bodies and their memory. */
#include <stdlib.h>
#include "base/macro.h"
#include "route/receive/upload.h"

#define FREE_MAX 4 /* bodies kept for the next requests of a worker */
#define FREE_BYTES_MAX (1 << 20)

struct upload *upload_new(struct route_worker *w)
{
	struct upload *u = w->free_uploads;
	struct ticket ticket = {};
	uint8_t *body = NULL;
	size_t size = 0;

	if (u) {
		w->free_uploads = u->next_free;
		w->n_free--;
		body = u->body;
		size = u->size;
		ticket.routes = u->ticket.routes;
		ticket.routes_size = u->ticket.routes_size;
	} else {
		u = malloc(sizeof(*u));
	}
	if (!u)
		return NULL;
	*u = (struct upload){ .worker = w, .body = body, .size = size, .ticket = ticket };
	return u;
}

void upload_free(struct upload *u)
{
	struct route_worker *w = u->worker;

	(void)upload_hold(u, 0);
	if (w->n_free < FREE_MAX && u->size <= FREE_BYTES_MAX) {
		u->next_free = w->free_uploads;
		w->free_uploads = u;
		w->n_free++;
		return;
	}
	free(u->ticket.routes);
	free(u->body);
	free(u);
}

void route_worker_done(struct route_worker *w)
{
	while (w->free_uploads) {
		struct upload *u = w->free_uploads;

		w->free_uploads = u->next_free;
		free(u->ticket.routes);
		free(u->body);
		free(u);
	}
	free(w->decoded);
	free(w->tenants);
}

bool upload_grow(struct upload *u, size_t need)
{
	size_t size = MAX(u->size ? u->size : (size_t)65536, need);
	uint8_t *more;

	if (need <= u->size)
		return true;
	size = MAX(size, MIN(2 * u->size, need + (need >> 2)));
	more = realloc(u->body, size);
	if (!more)
		return false;
	u->body = more;
	u->size = size;
	return true;
}

bool upload_hold(struct upload *u, uint64_t bytes)
{
	struct gateway *g = u->worker->gateway;
	uint64_t max = u->worker->snapshot->config->receive->max_inflight;
	uint64_t all = __atomic_add_fetch(&g->held_bytes, bytes - u->held, __ATOMIC_RELAXED);

	if (bytes > u->held && all > max && all > bytes) {
		__atomic_sub_fetch(&g->held_bytes, bytes - u->held, __ATOMIC_RELAXED);
		return false;
	}
	u->held = bytes;
	return true;
}
