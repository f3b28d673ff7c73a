/* SPDX-License-Identifier: Apache-2.0 */
/* Passwords and tokens out of files, read again when the file changes. */

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include "base/fs.h"
#include "route/send/internal.h"

void secret_set(struct secret *s, const char *value, const char *path)
{
	*s = (struct secret){ .value = value, .path = path };
	if (!path || !*path)
		(void)snprintf(s->text, sizeof(s->text), "%s", value ? value : "");
	else
		(void)secret_refresh(s);
}

bool secret_refresh(struct secret *s)
{
	char text[sizeof(s->text)];
	struct stat st;
	ssize_t n;

	if (!s->path || !*s->path || stat(s->path, &st) < 0)
		return false;
	if (st.st_mtim.tv_sec == s->mtime.tv_sec && st.st_mtim.tv_nsec == s->mtime.tv_nsec &&
	    st.st_size == s->size)
		return false;
	n = fs_read_into(AT_FDCWD, s->path, text, sizeof(text));
	if (n < 0)
		return false;
	/* An editor leaves a line break behind; it is not part of the secret. */
	while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == '\r'))
		text[--n] = '\0';
	s->mtime = st.st_mtim;
	s->size = st.st_size;
	if (streq(text, s->text))
		return false;
	memcpy(s->text, text, (size_t)n + 1);
	return true;
}
