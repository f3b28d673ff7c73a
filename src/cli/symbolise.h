/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdbool.h>
#include "base/strbuf.h"

/*
 * Names for frames "BUILDID+0xOFFSET" of a record's user stack
 *
 * A file is believed only when its build id is the frame's. Looked at: the victim's executable, the separate debug files of
 * the distribution, and the libraries that this program has loaded itself (the C library above all).
 * @exe: path of the executable, "" = not known. Adds "name+0x1a (file)", or the frame as it is.
 */
void symbolise_frame(struct strbuf *b, const char *frame, const char *exe);
/* Symbol at file @offset of the ELF file @path, when its build id is @build_id (hex). False when it has none. */
bool symbolise_in_file(struct strbuf *b, const char *path, const char *build_id, uint64_t offset);
