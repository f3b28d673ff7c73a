/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdint.h>
#include "base/strbuf.h"

#define US_PER_SEC 1000000ULL
#define US_PER_MSEC 1000ULL
#define NS_PER_SEC 1000000000ULL
#define NS_PER_USEC 1000ULL
#define NS_PER_MSEC 1000000ULL

uint64_t time_mono_us(void);
uint64_t time_boot_ns(void);
uint64_t time_wall_ns(void);
/* "2026-11-22T09:31:07.482113904Z": exactly @digits (0, 3, 9) fractional digits. */
void time_add_rfc3339(struct strbuf *b, uint64_t wall_ns, unsigned digits);
