/* SPDX-License-Identifier: Apache-2.0 */
/* Passwords and tokens out of files, read again when the file changes. */
#define LOG_MODULE "send"

#include <fcntl.h>
#include <string.h>
#include "base/fs.h"
#include "base/log.h"
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
	struct file_id id;
	ssize_t n;

	if (!s->path || !*s->path)
		return false;
	id = file_id_of(s->path);
	if (file_id_equal(&id, &s->id) && (s->known || s->told))
		return false;
	s->id = id;
	n = fs_read_into(AT_FDCWD, s->path, text, sizeof(text));
	/* An editor leaves a line break behind; it is not part of the secret. */
	while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == '\r'))
		text[--n] = '\0';
	if (n <= 0) { /* it is just being written, or gone: the one before may still be right */
		log_warning_limited("%s: %s", s->path, n < 0 ? strerror((int)-n) : "is empty");
		s->told = true;
		s->failures++;
		return false;
	}
	s->told = false;
	s->known = true;
	if (streq(text, s->text))
		return false;
	memcpy(s->text, text, (size_t)n + 1);
	return true;
}
