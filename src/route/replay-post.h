/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "route/config.h"
#include "route/wire/block.h"

/* One receiver of a replay: a blocking POST over one connection, in the version and encoding that it takes. */
struct post;
/* @node NULL: a bare URL. Strings are borrowed. 0 or -ENOMEM. */
int post_new(const char *url, const struct node_config *node, struct post **ret);
struct post *post_free(struct post *p);
DEFINE_CLEANUP(struct post *, post_free);

struct post_body {
	const void *data; /* compressed */
	size_t len;
	enum rw_version version;
	bool zstd;
	const void *tenant;
	size_t tenant_len; /* 0 = that of the node */
};
enum post_verdict { POST_DELIVERED, POST_REFUSED, POST_UNREACHABLE };
/* Tries for @patience_us. @why: the receiver's answer or what failed. Losses by conversion are added to @losses. */
enum post_verdict post_send(struct post *p, const struct post_body *b, uint64_t patience_us,
			    uint64_t losses[_RW_LOSS_MAX], char *why, size_t why_size);
