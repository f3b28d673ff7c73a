/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* JSON Schema of an event: common fields, and those of the oom events. */
extern const char events_schema[];
