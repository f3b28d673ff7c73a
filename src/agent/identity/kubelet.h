/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "agent/identity/config.h"
#include "agent/module.h"

/*
 * What the kubelet of this node knows about its pods, asked by a worker and kept until it says something else (OOM-407)
 *
 * All of it runs on the loop thread but the request itself. Every function takes NULL for "off".
 */
struct kubelet;
/* @label_keys: NULL-terminated, borrowed. Asks at once. 0 or -errno. */
int kubelet_new(struct agent *a, const struct kubelet_config *c, const char *const *label_keys,
		struct kubelet **ret);
struct kubelet *
kubelet_free(struct kubelet *k); /* after the workers, or before the first loop turn */
DEFINE_CLEANUP(struct kubelet *, kubelet_free);
void kubelet_reload(struct kubelet *k, const struct kubelet_config *c); /* refresh alone */
/* Completes @i from the last answer; a pod that it does not know is asked for soon. */
void kubelet_identity(struct kubelet *k, struct identity *i);
uint64_t kubelet_errors(const struct kubelet *k, enum oci_error reason);
