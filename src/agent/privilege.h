/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Dropping what only the start needs (OOM-621)
 *
 * Capabilities belong to threads, so every thread of the process is told to drop CAP_BPF and CAP_PERFMON; threads that are made
 * later inherit what is left. They cannot be had back.
 */

/*
 * @fn runs in a child that has dropped them already: does what the agent does every second still work? Before v5.19
 * (c8644cd0efe7) the maps of loaded programs could not be read any more where kernel.unprivileged_bpf_disabled is set.
 * 0; -EPERM when @fn failed, and then nothing was dropped; -ETIMEDOUT when a thread did not answer; else -errno.
 */
int privilege_drop_bpf(int (*fn)(void *ctx), void *ctx);
