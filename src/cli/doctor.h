/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <jansson.h>
#include "base/strbuf.h"

json_t *doctor_facts(void); /* of the running host; absent where they cannot be read */
/* @capabilities: array as in hooks.json. Pure: tested with golden files. */
void doctor_render(const json_t *facts, const json_t *capabilities, int status, struct strbuf *b);
/* Tracepoints and functions whose name matches the glob; exit status. */
int doctor_list_hooks(const char *pattern);
