/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A fuzz target is one file fuzz_NAME.c of at most 40 lines, whose first lines name the sources and libraries that it needs
 * beyond the base room. `make fuzz` links it with libFuzzer; the ordinary build links corpus.c, which runs corpus/NAME as a test.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
