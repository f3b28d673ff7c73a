/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sinks: stdout, a file, journald
 *
 * Written by the event writer's thread. A file is opened again when it was rotated away. journald gets its native protocol
 * over its datagram socket.
 */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include "base/text.h"
#include "event/internal.h"

#define STDOUT_WAIT_MS 200
#define JOURNALD_SOCKET "/run/systemd/journal/socket"

struct sink {
	struct event_sink_config config;
	char *path;
	char **types;
	int fd;
	bool socket; /* stdout is one */
	bool torn; /* a full disk or a full pipe took half a line */
	int last; /* 0 or -errno of the last write */
	_Atomic uint64_t written, errors;
};

struct sinks {
	size_t n;
	struct sink items[];
};

static const char *const type_names[_EVENT_SINK_MAX] = { "stdout", "file", "journald" };

static int copy_config(struct sink *s, const struct event_sink_config *c)
{
	s->config = *c;
	s->fd = -EBADF;
	s->path = strdup(c->path && *c->path ? c->path : JOURNALD_SOCKET);
	s->types = calloc(c->n_types + 1, sizeof(*s->types));
	if (!s->path || !s->types)
		return -ENOMEM;
	for (size_t i = 0; i < c->n_types; i++) {
		s->types[i] = strdup(c->types[i]);
		if (!s->types[i])
			return -ENOMEM;
	}
	return 0;
}

int sinks_new(const struct event_sink_config *configs, size_t n, struct sinks **ret)
{
	struct sinks *s = calloc(1, sizeof(*s) + n * sizeof(s->items[0]));
	int r = s ? 0 : -ENOMEM;

	for (size_t i = 0; r >= 0 && i < n; i++) {
		s->n++;
		r = copy_config(&s->items[i], &configs[i]);
	}
	if (r < 0) {
		sinks_free(s);
		return r;
	}
	*ret = s;
	return 0;
}

struct sinks *sinks_free(struct sinks *s)
{
	if (!s)
		return NULL;
	for (size_t i = 0; i < s->n; i++) {
		for (char **t = s->items[i].types; t && *t; t++)
			free(*t);
		free(s->items[i].types);
		free(s->items[i].path);
		if (s->items[i].fd >= 0 && s->items[i].fd != STDOUT_FILENO)
			(void)close(s->items[i].fd);
	}
	free(s);
	return NULL;
}

static bool wants(const struct sink *s, const struct event_keys *k)
{
	struct event_filter f = {};

	if (!s->types[0])
		return true;
	for (char **t = s->types; *t; t++) {
		f.type = *t;
		if (event_filter_match(&f, k))
			return true;
	}
	return false;
}

/* After a short write the next line begins with the newline that the torn one lacks. */
static int write_line(struct sink *s, int fd, const char *json, size_t len)
{
	struct iovec parts[3] = { { (void *)"\n", s->torn },
				  { (void *)json, len },
				  { (void *)"\n", 1 } };
	size_t all = len + 1 + s->torn;
	int full = s->config.type == EVENT_SINK_FILE ? -ENOSPC : -EAGAIN;
	const struct msghdr message = { .msg_iov = parts, .msg_iovlen = ARRAY_SIZE(parts) };
	ssize_t n = s->socket ? sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT)
			      : writev(fd, parts, ARRAY_SIZE(parts));

	if (n < 0)
		return -errno;
	if (n > 0)
		s->torn = (size_t)n < all && !(s->torn && n == 1);
	return (size_t)n == all ? 0 : full;
}

/*
 * The descriptor for stdout. A reader that sleeps must not hold up the journal, but O_NONBLOCK on the descriptor that we
 * were given would reach whoever shares it; a pipe or a terminal opened anew is ours alone. A file never blocks, and its
 * position is shared with the log.
 */
static void open_stdout(struct sink *s)
{
	struct stat st;

	s->fd = STDOUT_FILENO;
	if (fstat(STDOUT_FILENO, &st) < 0)
		return;
	s->socket = S_ISSOCK(st.st_mode);
	if (S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode))
		s->fd = open("/proc/self/fd/1", O_WRONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (s->fd < 0)
		s->fd = STDOUT_FILENO;
}

static int write_stdout(struct sink *s, const char *json, size_t len)
{
	int r;

	if (s->fd < 0)
		open_stdout(s);
	r = write_line(s, s->fd, json, len);
	if (r != -EAGAIN || s->last == -EAGAIN)
		return r;
	/* A slow reader gets a moment, one that does not move gets none any more. */
	(void)poll(&(struct pollfd){ .fd = s->fd, .events = POLLOUT }, 1, STDOUT_WAIT_MS);
	return write_line(s, s->fd, json, len);
}

static bool rotated(const struct sink *s)
{
	struct stat open_file, named;

	return fstat(s->fd, &open_file) < 0 || stat(s->path, &named) < 0 ||
	       open_file.st_ino != named.st_ino || open_file.st_dev != named.st_dev;
}

static int write_file(struct sink *s, const char *json, size_t len)
{
	if (s->fd >= 0 && rotated(s)) {
		(void)close(s->fd);
		s->fd = -EBADF;
		s->torn = false;
	}
	if (s->fd < 0)
		s->fd = open(s->path,
			     O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK,
			     0640);
	if (s->fd < 0)
		return -errno;
	return write_line(s, s->fd, json, len);
}

/* syslog priority of an OpenTelemetry severity */
static char priority(int severity)
{
	return severity >= SEVERITY_FATAL    ? '2'
	       : severity >= SEVERITY_ERROR  ? '3'
	       : severity >= SEVERITY_WARN   ? '4'
	       : severity >= SEVERITY_NOTICE ? '5'
					     : '6';
}

static int write_journald(struct sink *s, const struct event_keys *k, const char *json, size_t len)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct msghdr message = { .msg_name = &address, .msg_namelen = sizeof(address) };
	char memory[512];
	struct strbuf head;
	struct iovec parts[3];

	if (s->fd < 0)
		s->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (s->fd < 0)
		return -errno;
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", s->path);
	/*
	 * JSON holds no newline, so the plain form "FIELD=value\n" carries it. A workload's name is foreign text: escaped, it
	 * cannot begin a field of its own.
	 */
	strbuf_init_fixed(&head, memory, sizeof(memory));
	strbuf_addf(&head, "SYSLOG_IDENTIFIER=telamon\nPRIORITY=%c\nTELAMON_EVENT=%s\nMESSAGE=%s",
		    priority(k->severity), k->name, k->name);
	if (k->workload && *k->workload) {
		strbuf_addstr(&head, " in ");
		text_add_terminal(&head, k->workload, MIN(strlen(k->workload), (size_t)64));
	}
	strbuf_addstr(&head, "\nTELAMON_JSON=");
	if (head.error)
		return -EMSGSIZE;
	parts[0] = (struct iovec){ head.data, head.len };
	parts[1] = (struct iovec){ (void *)json, len };
	parts[2] = (struct iovec){ (void *)"\n", 1 };
	message.msg_iov = parts;
	message.msg_iovlen = 3;
	return sendmsg(s->fd, &message, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

void sinks_write(struct sinks *s, const struct event_keys *k, const char *json, size_t len)
{
	for (size_t i = 0; i < s->n; i++) {
		struct sink *sink = &s->items[i];

		if (!wants(sink, k))
			continue;
		if (sink->config.type == EVENT_SINK_STDOUT)
			sink->last = write_stdout(sink, json, len);
		else if (sink->config.type == EVENT_SINK_FILE)
			sink->last = write_file(sink, json, len);
		else
			sink->last = write_journald(sink, k, json, len);
		if (sink->last < 0)
			sink->errors++;
		else
			sink->written++;
	}
}

void sinks_stats(const struct sinks *s, struct event_stream_stats *ret)
{
	for (size_t i = 0; i < s->n; i++) {
		ret->sink_written[s->items[i].config.type] += s->items[i].written;
		ret->sink_errors[s->items[i].config.type] += s->items[i].errors;
	}
}

size_t sinks_describe(const struct sinks *s, struct strbuf *out, const char *name)
{
	struct event_keys k = { .name = name };

	for (size_t i = 0; i < s->n; i++) {
		const struct sink *sink = &s->items[i];

		strbuf_addf(out, "{\"destination\":\"%s\"", type_names[sink->config.type]);
		if (sink->config.type != EVENT_SINK_STDOUT) {
			strbuf_addstr(out, ",\"path\":\"");
			(void)text_add_json(out, sink->path, strlen(sink->path));
			strbuf_addch(out, '"');
		}
		if (!wants(sink, &k))
			strbuf_addstr(out, ",\"result\":\"filtered\"}\n");
		else if (sink->last < 0)
			strbuf_addf(out, ",\"result\":\"failed\",\"error\":\"%s\"}\n",
				    strerror(-sink->last));
		else
			strbuf_addstr(out, ",\"result\":\"delivered\"}\n");
	}
	return s->n;
}
