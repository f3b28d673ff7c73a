/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A fuzz target is one file small file fuzz_NAME.c, whose first lines name the sources (fuzz-sources) and libraries (fuzz-libs) that it
 * needs beyond the base room. `make fuzz` links it with libFuzzer; the ordinary build links corpus.c, which runs corpus/NAME as a test.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
