/* SPDX-License-Identifier: Apache-2.0 */
/* What the commands that look at a gateway begin with: its file, or itself. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "cli/route.h"
#include "route/snapshot.h"

#define ANSWER_MAX (64 << 20)

int route_open(const char *path, struct diags *warnings, struct snapshot **ret)
{
	struct diags *errors = calloc(1, sizeof(*errors));
	struct route_config *config = NULL;
	char why[512] = "";
	int r = errors ? route_config_load(path, errors, &config) : -ENOMEM;

	if (r < 0) {
		if (errors)
			route_print_diags(errors, "");
		if (!errors || !errors->total)
			(void)fprintf(stderr, "telamon route: '%s': %s\n", path, strerror(-r));
		free(errors);
		return r;
	}
	free(errors);
	if (warnings)
		*warnings = config->warnings;
	r = snapshot_new(config, NULL, warnings ? warnings : &config->warnings, why, sizeof(why),
			 ret);
	if (r < 0) {
		(void)fprintf(stderr, "%s: %s\n", path, *why ? why : strerror(-r));
		route_config_free(config);
	}
	return r;
}

static int on_data(void *ctx, const char *data, size_t len)
{
	strbuf_add(ctx, data, len);
	return 0;
}

json_t *route_get_json(const char *server, const char *path)
{
	const struct http_client_options o = { .timeout_ms = 30000, .body_max = ANSWER_MAX };
	_cleanup_strbuf_ struct strbuf url = STRBUF_INIT, body = STRBUF_INIT;
	size_t len = strlen(server);
	char why[512] = "";
	json_error_t error;
	json_t *ret;
	int r;

	while (len && server[len - 1] == '/')
		len--;
	strbuf_add(&url, server, len);
	strbuf_addstr(&url, path);
	r = http_client_get(strbuf_str(&url), &o, NULL, on_data, &body, why, sizeof(why));
	if (r != 200) {
		if (r < 0)
			(void)fprintf(stderr, "telamon route: %s\n", *why ? why : strerror(-r));
		else
			(void)fprintf(stderr, "telamon route: %s answers %d: %.300s\n",
				      strbuf_str(&url), r, strbuf_str(&body));
		return NULL;
	}
	ret = json_loadb(strbuf_str(&body), body.len, 0, &error);
	if (!ret)
		(void)fprintf(stderr, "telamon route: %s does not answer JSON: %s\n",
			      strbuf_str(&url), error.text);
	return ret;
}
