/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include "route/wire/series.h"
#include "route/wire/snappy.h"

/* What a sender says of its body (GW-RX-1, 2). NULL = header absent. False: 415. */
bool headers_version(const char *content_type, enum rw_version *ret);
/* Retry-After in seconds by the fill of a queue (0..1, 1 = full or its disk is): 1 up to a half, 30 when full. */
unsigned headers_retry_after(double fill);
bool headers_encoding(const char *content_encoding, enum rw_encoding *ret);
