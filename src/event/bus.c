/* SPDX-License-Identifier: Apache-2.0 */
/* The bus: a fixed table of subscribers per topic. */

#include <errno.h>
#include <stdlib.h>
#include "event/bus.h"

#define SUBSCRIBERS_MAX 16

struct bus {
	struct {
		bus_fn fn;
		void *ctx;
	} subscribers[_BUS_TOPIC_MAX][SUBSCRIBERS_MAX];
};

int bus_new(struct bus **ret)
{
	struct bus *b = calloc(1, sizeof(*b));

	if (!b)
		return -ENOMEM;
	*ret = b;
	return 0;
}

struct bus *bus_free(struct bus *b)
{
	free(b);
	return NULL;
}

int bus_subscribe(struct bus *b, enum bus_topic topic, bus_fn fn, void *ctx)
{
	for (unsigned i = 0; i < SUBSCRIBERS_MAX; i++) {
		if (b->subscribers[topic][i].fn)
			continue;
		b->subscribers[topic][i].fn = fn;
		b->subscribers[topic][i].ctx = ctx;
		return 0;
	}
	return -ENOSPC;
}

void bus_unsubscribe(struct bus *b, bus_fn fn, void *ctx)
{
	for (unsigned t = 0; t < _BUS_TOPIC_MAX; t++)
		for (unsigned i = 0; i < SUBSCRIBERS_MAX; i++)
			if (b->subscribers[t][i].fn == fn && b->subscribers[t][i].ctx == ctx)
				b->subscribers[t][i].fn = NULL;
}

void bus_publish(struct bus *b, enum bus_topic topic, const void *payload)
{
	for (unsigned i = 0; i < SUBSCRIBERS_MAX; i++)
		if (b->subscribers[topic][i].fn)
			b->subscribers[topic][i].fn(b->subscribers[topic][i].ctx, topic, payload);
}
