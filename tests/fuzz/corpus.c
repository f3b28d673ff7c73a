/* SPDX-License-Identifier: Apache-2.0 */
/* Every file of the corpus, whole and cut short, through the target. Prints one TAP line a file. */
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include "base/cleanup.h"
#include "base/fs.h"
#include "fuzz.h"

#define INPUT_MAX (1 << 20)
#define CUTS_MAX 512

int main(void)
{
	_cleanup_(closedirp) DIR *d = opendir(CORPUS);
	const struct dirent *entry;
	unsigned n = 0;

	if (!d) {
		printf("not ok 1 - %s\n", CORPUS);
		return 1;
	}
	while ((entry = readdir(d))) {
		_cleanup_(freep) char *text = NULL;
		size_t len;

		if (entry->d_name[0] == '.')
			continue;
		if (fs_read_at(dirfd(d), entry->d_name, INPUT_MAX, &text, &len) < 0) {
			printf("not ok %u - %s\n", ++n, entry->d_name);
			return 1;
		}
		(void)LLVMFuzzerTestOneInput((const uint8_t *)text, len);
		for (size_t cut = 0; cut < len && cut < CUTS_MAX; cut++)
			(void)LLVMFuzzerTestOneInput((const uint8_t *)text, cut);
		printf("ok %u - %s\n", ++n, entry->d_name);
	}
	printf("1..%u\n", n);
	return n ? 0 : 1;
}
