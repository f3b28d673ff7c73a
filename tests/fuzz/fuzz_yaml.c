/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz-sources: src/config/?*.c src/agent/identity/config.c src/agent/events-config.c src/agent/oom/rows.c src/event/redact.c */
/* fuzz-libs: -lyaml -lpcre2-8 */
#include <assert.h>
#include "agent/events-config.h"
#include "agent/identity/config.h"
#include "agent/oom/rows.h"
#include "fuzz.h"

static const struct config_section sections[] = {
	{ "oom", oom_config_rows, sizeof(struct oom_config) },
	{ "identity", identity_config_rows, sizeof(struct identity_config) },
	{ "events", events_config_rows, sizeof(struct events_config) },
	{},
};

static void same(void *ctx, const char *key, const char *before, const char *after, bool reloadable)
{
	assert(!"what was written is read as another value");
}

/* Any file: a configuration or diagnostics; and what is written from a configuration is the same configuration. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(config_freep) struct config *c = NULL, *again = NULL;
	_cleanup_(strbuf_done) struct strbuf out = STRBUF_INIT;
	struct diags d = {};

	if (config_parse((const char *)data, size, "fuzz.yaml", sections, &d, &c) < 0) {
		assert(!c && d.total > 0 && d.n <= sizeof(d.items) / sizeof(*d.items));
		return 0;
	}
	config_write_yaml(c, &out);
	assert(config_parse(strbuf_str(&out), out.len, "again.yaml", sections, &d, &again) == 0);
	config_diff(c, again, same, NULL);
	return 0;
}
