/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <jansson.h>
#include "base/strbuf.h"
#include "http/client.h"

/* Protection, ring and losses of the agent at @url; NULL when it does not answer. */
json_t *doctor_agent(const char *url, const struct http_client_options *options);
json_t *doctor_agent_parse(const char *metrics); /* its text exposition */
json_t *doctor_facts(void); /* of the running host; absent where they cannot be read */
/* @capabilities: array as in hooks.json. Pure: tested with golden files. */
void doctor_render(const json_t *facts, const json_t *agent, const json_t *capabilities, int status,
		   struct strbuf *b);
/* Tracepoints and functions whose name matches the glob; exit status. */
int doctor_list_hooks(const char *pattern);
