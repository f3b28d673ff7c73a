/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "sys/hook.h"

/* A full ring. @exe: this program, which becomes the hogs. */
void run_spill(const struct hook_env *env, const char *exe);
