/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdint.h>

/*
 * Quantities of Kubernetes: 128974848, 129e6, 129M, 123Mi, 100m. Exact; a fraction of the unit rounds up, as the kubelet
 * itself does. 0; -EINVAL for another form; -ERANGE when negative, above 2^63-1, or with more digits than are kept.
 */
int quantity_parse(const char *s, uint64_t *ret);
