/* SPDX-License-Identifier: Apache-2.0 */
/* The same for processors that have AVX2, which the headers see by the macro that the pragma sets. Called only where they have. */
#if defined(__x86_64__) && !defined(__clang__) /* clang does not set the macros by the pragma */
#pragma GCC target("avx2,bmi,bmi2,lzcnt")
#define PACK_ADD rw_pack_add_avx2
#include "route/wire/pack-row.h"

#ifndef __AVX2__
#error "made for AVX2"
#endif
#endif
