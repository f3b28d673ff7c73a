/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Replay of segments
 *
 * One block is on the way at a time, so that order is kept. Blocks for a destination are taken apart and each series is placed by the tables as
 * they stand: that is how the queue of a node that is gone reaches those that stayed.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include "base/fs.h"
#include "base/strbuf.h"
#include "base/time.h"
#include "route/queue/queue.h"
#include "route/replay-post.h"
#include "route/replay.h"
#include "route/wire/scan.h"

#define DECODED_MAX (1ULL << 30)
#define LABELS_MAX 1152
#define KEY_BYTES (1 << 20)

struct target { /* one node */
	struct post *post;
	struct rw_block *rows[_RW_VERSION_MAX];
};

struct replay {
	const struct replay_options *o;
	struct replay_result *result;
	int dir_fd, lock_fd;
	uint64_t lowest; /* index below which blocks were sent */
	struct target *targets;
	size_t n_targets;
	struct rw_scan *scan;
	struct rw_encoder *encoder;
	struct relabel_context *context;
	struct rw_label *labels;
	uint8_t *decoded, *key;
	size_t decoded_size;
	uint64_t start_us, taken; /* samples, for the rate */
	/* The segment at work. */
	uint64_t blocks, samples, left; /* left: not delivered, so it is not done */
};

/* --- directory --- */

static int compare_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool is_segment(const char *name)
{
	size_t len = strlen(name);

	return len > 4 && streq(name + len - 4, ".seg");
}

/* Names in order: the sequence is in hexadecimal digits of one length. */
static int list_segments(const struct replay *p, char ***ret, size_t *ret_n)
{
	int fd = openat(p->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_(closedirp) DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *e;
	char **names = NULL;
	size_t n = 0;

	if (!dir)
		return -errno;
	while ((e = readdir(dir))) {
		char **more;

		if (!is_segment(e->d_name))
			continue;
		more = realloc(names, (n + 1) * sizeof(*names));
		if (more)
			names = more;
		if (!more || !(names[n] = strdup(e->d_name))) {
			for (size_t i = 0; i < n; i++)
				free(names[i]);
			free(names);
			return -ENOMEM;
		}
		n++;
	}
	if (n)
		qsort(names, n, sizeof(*names), compare_text);
	*ret = names;
	*ret_n = n;
	return 0;
}

/* A queue that a gateway has open is its own; dead letters stand below it. */
static int lock(struct replay *p)
{
	static const char *const paths[] = { "lock", "../lock" };
	size_t len = strlen(p->o->directory);
	bool dead;
	char pid[32] = "";

	while (len > 1 && p->o->directory[len - 1] == '/')
		len--;
	dead = len >= 4 && strncmp(p->o->directory + len - 4, "dead", 4) == 0;
	p->lock_fd = openat(p->dir_fd, paths[dead], O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	if (p->lock_fd < 0)
		return errno == ENOENT ? 0 : -errno;
	if (flock(p->lock_fd, LOCK_EX | LOCK_NB) == 0)
		return 0;
	(void)fs_pread_into(p->lock_fd, pid, sizeof(pid));
	(void)snprintf(p->result->why, sizeof(p->result->why),
		       "the queue is in use by process %.*s: stop it, or take the node out of its "
		       "configuration",
		       (int)strcspn(pid, "\n"), pid);
	return -EBUSY;
}

/* --- targets --- */

static int add_target(struct replay *p, const char *url, const struct node_config *node)
{
	struct target *t = &p->targets[p->n_targets];
	struct rw_convert_options o = {};
	int r = post_new(url, node, &t->post);

	if (r < 0)
		return r;
	p->n_targets++;
	if (node) {
		o.send_custom_buckets = node->send.rw1_custom_buckets;
		o.start = (enum rw_start_timestamp)node->send.rw2_start_timestamp;
	}
	for (int v = 0; r >= 0 && v < _RW_VERSION_MAX; v++)
		r = rw_block_new((enum rw_version)v, &o, &t->rows[v]);
	return r;
}

static int open_targets(struct replay *p)
{
	const struct destination *d = p->o->destination;
	const struct node_config *nodes = d ? d->config->nodes.items : NULL;
	size_t n = d ? d->n_nodes : 1;
	int r = 0;

	p->targets = calloc(n + 1, sizeof(*p->targets));
	p->labels = calloc(LABELS_MAX + 1, sizeof(*p->labels));
	p->key = malloc(KEY_BYTES);
	p->encoder = rw_encoder_new();
	if (!p->targets || !p->labels || !p->key || !p->encoder || rw_scan_new(&p->scan) < 0 ||
	    relabel_context_new(&p->context) < 0)
		return -ENOMEM;
	for (size_t i = 0; r >= 0 && i < n; i++)
		r = add_target(p, d ? nodes[i].url : p->o->url, d ? &nodes[i] : NULL);
	return r;
}

static void close_all(struct replay *p)
{
	for (size_t i = 0; i < p->n_targets; i++) {
		for (int v = 0; v < _RW_VERSION_MAX; v++)
			if (p->targets[i].rows[v])
				rw_block_free(p->targets[i].rows[v]);
		post_free(p->targets[i].post);
	}
	free(p->targets);
	free(p->labels);
	free(p->key);
	free(p->decoded);
	if (p->encoder)
		rw_encoder_free(p->encoder);
	if (p->scan)
		rw_scan_free(p->scan);
	if (p->context)
		relabel_context_free(p->context);
	closep(&p->lock_fd);
	closep(&p->dir_fd);
}

/* --- one block --- */

static enum post_verdict post(struct replay *p, struct target *t, const struct post_body *b)
{
	uint64_t losses[_RW_LOSS_MAX] = {};
	enum post_verdict v = post_send(t->post, b, p->o->patience_us, losses, p->result->why,
					sizeof(p->result->why));

	for (int i = 0; i < _RW_LOSS_MAX; i++)
		p->result->samples_lost += losses[i];
	return v;
}

static enum post_verdict send_whole(struct replay *p, const struct record *r)
{
	struct post_body b = { .data = r->payload,
			       .len = r->payload_len,
			       .version = r->schema == RECORD_RW2 ? RW2 : RW1,
			       .zstd = r->codec == RECORD_ZSTD };

	(void)record_extra_find(r, EXTRA_TENANT, &b.tenant, &b.tenant_len);
	return post(p, &p->targets[0], &b);
}

/* The task label as the table of today has it. False: nothing to change. */
static bool relabel_task(struct replay *p, const struct rw_series *s, const struct placement *place,
			 char text[16], size_t *ret_n)
{
	const struct destination *d = p->o->destination;
	const char *name = d->config->shard.task_label.name;
	struct rw_label task = { name, text, (uint32_t)strlen(name), 0 };
	const struct rw_label *old = rw_find_label(s->labels, s->n_labels, name, task.name_len);
	size_t n = 0, i = 0;

	if (!d->config->shard.task_label.enabled || s->n_labels >= LABELS_MAX ||
	    (old && d->config->shard.task_label.on_existing == TASK_LABEL_KEEP))
		return false;
	task.value_len = (uint32_t)snprintf(text, 16, "%u", place->task);
	for (; i < s->n_labels && rw_label_compare(&s->labels[i], &task) < 0; i++)
		p->labels[n++] = s->labels[i];
	p->labels[n++] = task;
	for (i += old != NULL; i < s->n_labels; i++)
		p->labels[n++] = s->labels[i];
	*ret_n = n;
	return true;
}

static int place_series(struct replay *p, const struct rw_series *s)
{
	const struct destination *d = p->o->destination;
	const struct node_config *nodes = d->config->nodes.items;
	struct placement place = destination_place(d, p->context, s->labels, s->n_labels, s->canon,
						   p->key, KEY_BYTES);
	char text[16];
	size_t n = 0;
	bool changed = relabel_task(p, s, &place, text, &n);

	for (uint32_t rank = 0; rank < MAX(d->replicas, 1U); rank++) {
		uint16_t node = destination_node(d, &place, rank, s->labels, s->n_labels);
		int protocol, r;
		enum rw_version v;

		if (node == SHARD_NO_NODE)
			continue;
		protocol = nodes[node].send.protocol;
		v = protocol == SEND_RW2 ? RW2 : protocol == SEND_AUTO ? s->version : RW1;
		r = rw_block_add(p->targets[node].rows[v], s, changed ? p->labels : NULL,
				 changed ? n : 0);
		if (r < 0)
			return r;
	}
	return 0;
}

static enum post_verdict send_rows(struct replay *p, const struct record *r, struct target *t,
				   enum rw_version version)
{
	struct post_body b = { .version = version };
	struct rw_span body;
	int e;

	if (!rw_block_info(t->rows[version])->series)
		return POST_DELIVERED;
	e = rw_block_seal(t->rows[version], p->encoder, RW_CODEC_SNAPPY, RW_SNAPPY_OWN, &body);
	if (e < 0) {
		(void)snprintf(p->result->why, sizeof(p->result->why), "%s", strerror(-e));
		return POST_REFUSED;
	}
	b.data = body.at;
	b.len = body.len;
	(void)record_extra_find(r, EXTRA_TENANT, &b.tenant, &b.tenant_len);
	return post(p, t, &b);
}

/* Every node gets its part; the worst verdict counts for the block. */
static enum post_verdict send_parts(struct replay *p, const struct record *r)
{
	const struct rw_limits limits = {};
	enum rw_version version = r->schema == RECORD_RW2 ? RW2 : RW1;
	enum post_verdict worst = POST_DELIVERED;
	struct rw_series s;
	size_t len;
	int e = rw_decode(r->codec == RECORD_ZSTD ? RW_ENCODING_ZSTD : RW_ENCODING_SNAPPY,
			  r->payload, r->payload_len, DECODED_MAX, &p->decoded, &p->decoded_size,
			  &len);

	for (size_t i = 0; i < p->n_targets; i++)
		for (int v = 0; v < _RW_VERSION_MAX; v++)
			rw_block_reset(p->targets[i].rows[v]);
	if (e >= 0)
		e = rw_scan_begin(p->scan, version, &limits, p->decoded, len);
	while (e >= 0 && rw_scan_next(p->scan, &s) > 0)
		e = place_series(p, &s);
	if (e < 0) {
		(void)snprintf(p->result->why, sizeof(p->result->why),
			       "block %" PRIu64 " cannot be read: %s", r->index, strerror(-e));
		return POST_REFUSED;
	}
	for (size_t i = 0; i < p->n_targets; i++)
		for (int v = 0; v < _RW_VERSION_MAX; v++) {
			enum post_verdict one = send_rows(p, r, &p->targets[i], (enum rw_version)v);

			worst = MAX(worst, one);
			if (one == POST_UNREACHABLE)
				return one;
		}
	return worst;
}

/* Not faster than the rate, from the start of the replay on. */
static void keep_rate(struct replay *p, uint32_t samples)
{
	uint64_t now = time_mono_us(), due;

	if (!p->o->rate)
		return;
	due = p->start_us + (uint64_t)((double)p->taken / (double)p->o->rate * 1e6);
	if (due > now) {
		const struct timespec t = { (time_t)((due - now) / US_PER_SEC),
					    (long)((due - now) % US_PER_SEC * 1000) };

		(void)nanosleep(&t, NULL);
	}
	p->taken += samples;
}

static bool wanted(const struct replay *p, const struct record *r)
{
	return (r->schema == RECORD_RW1 || r->schema == RECORD_RW2) && r->max_ts >= p->o->from_ms &&
	       r->min_ts <= p->o->until_ms;
}

static int on_record(void *ctx, const struct record *r, uint64_t offset)
{
	struct replay *p = ctx;
	enum post_verdict v = POST_DELIVERED;

	(void)offset;
	if (r->index < p->lowest) {
		p->result->skipped++;
		return 0;
	}
	if (!wanted(p, r)) {
		p->result->skipped++;
		p->left++;
		return 0;
	}
	if (!p->o->dry_run) {
		keep_rate(p, r->samples);
		v = p->o->destination ? send_parts(p, r) : send_whole(p, r);
	}
	if (v == POST_UNREACHABLE)
		return -ETIMEDOUT;
	if (v == POST_REFUSED) {
		p->result->refused++;
		p->left++;
		return 0;
	}
	p->blocks++;
	p->samples += r->samples;
	return 0;
}

/* --- one segment --- */

static void tell(struct replay *p, const char *name, const struct segment_walk *walk, bool done)
{
	char line[512], damage[96] = "";

	if (!p->o->tell)
		return;
	if (walk->holes || walk->torn_at)
		(void)snprintf(damage, sizeof(damage), ", %" PRIu64 " damaged places%s",
			       walk->holes + (walk->torn_at != 0),
			       walk->torn_at ? ", end torn" : "");
	(void)snprintf(line, sizeof(line),
		       "%s: %" PRIu64 " of %" PRIu64 " blocks, %" PRIu64 " samples%s%s%s", name,
		       p->blocks, walk->records, p->samples,
		       p->o->dry_run ? " to send" : " delivered", damage, done ? ", done" : "");
	p->o->tell(p->o->ctx, line);
}

static int mark_done(struct replay *p, const char *name)
{
	char path[300];

	(void)snprintf(path, sizeof(path), "%s.done", name);
	if (renameat(p->dir_fd, name, p->dir_fd, path) < 0)
		return -errno;
	p->result->done++;
	return 0;
}

static int replay_segment(struct replay *p, const char *name)
{
	_cleanup_(closep) int fd = openat(p->dir_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	struct segment_walk walk = {};
	struct stat st;
	void *data;
	bool done;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	p->blocks = p->samples = p->left = 0;
	p->result->segments++;
	data = st.st_size ? mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0)
			  : MAP_FAILED;
	r = data == MAP_FAILED ? -EBADMSG
			       : segment_walk(data, (size_t)st.st_size, on_record, p, &walk);
	if (data != MAP_FAILED)
		(void)munmap(data, (size_t)st.st_size);
	p->result->blocks += p->blocks;
	p->result->samples += p->samples;
	p->result->damaged += walk.holes + (walk.torn_at != 0);
	if (r == -EBADMSG) {
		p->result->damaged++;
		(void)snprintf(p->result->why, sizeof(p->result->why), "%s is not a segment", name);
		return 0;
	}
	done = r >= 0 && !p->left && !p->o->dry_run;
	if (done)
		r = mark_done(p, name);
	tell(p, name, &walk, done);
	return r;
}

static int replay_all(struct replay *p)
{
	char **names = NULL;
	size_t n = 0;
	int r = list_segments(p, &names, &n);

	for (size_t i = 0; i < n; i++) {
		if (r >= 0)
			r = replay_segment(p, names[i]);
		free(names[i]);
	}
	free(names);
	return r;
}

int replay_run(const struct replay_options *o, struct replay_result *ret)
{
	struct replay p = { .o = o, .result = ret, .lock_fd = -EBADF, .start_us = time_mono_us() };
	int r = 0;

	*ret = (struct replay_result){};
	p.dir_fd = open(o->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (p.dir_fd < 0)
		return -errno;
	if (!o->dry_run) {
		r = lock(&p);
		if (r >= 0)
			r = open_targets(&p);
	}
	if (r >= 0) {
		(void)queue_cursor_lowest(p.dir_fd, &p.lowest);
		r = replay_all(&p);
	}
	close_all(&p);
	return r;
}
