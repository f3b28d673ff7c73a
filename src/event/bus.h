/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stddef.h>
#include "base/cleanup.h"

/*
 * The bus where modules meet, on the loop thread: publish calls the subscribers one after the other.
 * Payload types stand in event/payload.h, one per name. Nothing is queued or allocated.
 */
enum bus_topic {
	BUS_OOM_KILL, /* struct bus_oom_kill: stage 1 */
	BUS_IDENTITY_ADD, /* struct identity * (sys/identity.h) */
	BUS_IDENTITY_REMOVE,
	BUS_MEMORY_FORECAST,
	_BUS_TOPIC_MAX,
};
typedef void (*bus_fn)(void *ctx, enum bus_topic topic, const void *payload);
struct bus;
int bus_new(struct bus **ret);
struct bus *bus_free(struct bus *b);
DEFINE_CLEANUP(struct bus *, bus_free);
int bus_subscribe(struct bus *b, enum bus_topic topic, bus_fn fn,
		  void *ctx); /* -ENOSPC beyond 16 a topic */
void bus_unsubscribe(struct bus *b, bus_fn fn, void *ctx);
void bus_publish(struct bus *b, enum bus_topic topic, const void *payload);
