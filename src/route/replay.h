/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "route/queue/segment.h"
#include "route/snapshot.h"

/*
 * Sending what lies in segments: orphaned queues, dead letters, archives (GW-CL-4)
 *
 * Blocks go one after the other, in order, to one URL as they are, or series by series to the nodes of a destination as its tables stand now.
 * A segment gets the ending .done only when each of its blocks was delivered.
 */
struct replay_options {
	const char *directory;
	const char *url; /* or: */
	const struct snapshot *snapshot;
	const struct destination *destination;
	int64_t from_ms, until_ms; /* by timestamps of samples; INT64_MIN, INT64_MAX = all */
	uint64_t rate; /* samples per second, 0 = no limit */
	bool dry_run;
	uint64_t patience_us; /* how long an unreachable receiver is tried */
	/* One line per segment. May be NULL. */
	void (*tell)(void *ctx, const char *line);
	void *ctx;
};

struct replay_result {
	uint64_t segments, done;
	uint64_t blocks, samples; /* delivered, or with dry_run to be delivered */
	uint64_t skipped; /* blocks outside of the times, sent before, or of a kind that is not remote write */
	uint64_t refused; /* blocks that a receiver did not want */
	uint64_t damaged; /* places in segments that cannot be read */
	uint64_t samples_lost; /* by conversion to version 1 */
	char why[256]; /* of the last refusal or of the end, "" = none */
};
/* 0; -EBUSY a running gateway holds the queue; -errno of the directory; -ETIMEDOUT the receiver cannot be reached; @ret is filled as far as it got. */
int replay_run(const struct replay_options *o, struct replay_result *ret);
