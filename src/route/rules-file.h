/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "route/shard/rules.h"

/*
 * Aggregation rules of receivers, in a file as vmagent takes it (GW-SH-5): a YAML list of rules
 *
 * Every key that VictoriaMetrics knows is known; another one is an error with its place. @errors, @warnings: all of the file.
 */
int rules_file_load(const char *path, const struct shard_key_options *o, struct diags *errors,
		    struct diags *warnings, struct shard_rules **ret);
int rules_file_parse(const char *text, size_t len, const char *name,
		     const struct shard_key_options *o, struct diags *errors,
		     struct diags *warnings, struct shard_rules **ret);
