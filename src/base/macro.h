/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Before the poison below, which they would trip over. */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))
#define CLAMP(x, lo, hi) MIN(MAX(x, lo), hi)
#define STRINGIFY_(x) #x
#define STRINGIFY(x) STRINGIFY_(x)
#define PRINTF_LIKE(fmt, first) __attribute__((format(printf, fmt, first)))
#define streq(a, b) (strcmp((a), (b)) == 0)

/* Unbounded or unchecked functions of libc that have a bounded sibling. */
#pragma GCC poison strcpy strcat sprintf vsprintf atoi atol atoll atof strtok gets
