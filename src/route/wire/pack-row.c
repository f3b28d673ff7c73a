/* SPDX-License-Identifier: Apache-2.0 */
/* Elements of a row for every processor. */
#define PACK_ADD rw_pack_add_plain
#include "route/wire/pack-row.h"
