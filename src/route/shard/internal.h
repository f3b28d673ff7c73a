/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "base/arena.h"
#include "route/shard/shard.h"

/* Inside of a group key: between key.c and rules.c, which makes one per series on its stack. */
struct name {
	const char *text;
	uint32_t len;
};

struct shard_key {
	struct arena *arena;
	bool by, family;
	struct name *
		names; /* sorted by bytes, without the task label and, with family, without le vmrange quantile */
	size_t n_names;
	struct name task_label;
	uint64_t seed;
	/*
	 * Names that are not taken as they are, by their length (63 = that and more): a bit per first character. Most labels are told to be none
	 * by it. NULL: every name is looked at.
	 */
	uint64_t *special;
};
