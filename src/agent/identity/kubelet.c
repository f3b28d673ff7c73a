/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kubelet enrichment
 *
 * GET /pods each `refresh`, and at most every 2 s while pods appear that the last answer does not know. The body is
 * scanned as it comes, so a request costs the memory of what is kept. A request that fails keeps the last answer and is
 * counted; nothing ever waits for the kubelet.
 */
#define LOG_MODULE "identity"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include "agent/identity/kubelet.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/time.h"
#include "http/client.h"
#include "sys/podlist.h"

#define BODY_MAX (32 << 20)
#define TOKEN_MAX 65536
#define TIMEOUT_MS 2000
#define SOON_US (2 * US_PER_SEC)

struct kubelet {
	struct work work; /* first: one request at a time */
	struct agent *agent;
	const char *const *label_keys;
	char *url, *token_file, *ca_file;
	uint64_t refresh_us;
	struct loop_timer *timer;
	bool running; /* the worker has it */
	bool wanted; /* a pod is not known to the last answer */
	uint64_t started_us; /* last request, 0 = none yet */
	struct podlist *pods; /* last answer, NULL = none yet */
	uint64_t errors[_OCI_ERROR_MAX];
	int told; /* reason + 1 that the log knows, 0 = all is well */
	/* Between worker and loop. */
	struct podlist *answer;
	int result;
	enum oci_error reason;
	char why[512];
};

/* --- on the worker --- */

static const struct {
	int error;
	enum oci_error reason;
} reasons[] = {
	{ -ETIMEDOUT, OCI_TIMEOUT },   { -EFBIG, OCI_TOO_LARGE }, { -EBADMSG, OCI_PARSE },
	{ -E2BIG, OCI_PARSE },	       { -EACCES, OCI_DENIED },	  { -EPERM, OCI_DENIED },
	{ -EKEYREJECTED, OCI_DENIED }, { -ENOKEY, OCI_DENIED },
};

static enum oci_error reason_of(int error)
{
	for (size_t i = 0; i < ARRAY_SIZE(reasons); i++)
		if (reasons[i].error == error)
			return reasons[i].reason;
	return OCI_MISSING; /* nobody there, or nobody who has pods to list */
}

/* One line of visible characters: what else stood in the file would end up in the header of the request. */
static int read_token(const struct kubelet *k, char **ret)
{
	char *token;
	size_t len;
	int r = fs_read_at(AT_FDCWD, k->token_file, TOKEN_MAX, &token, &len);

	if (r < 0)
		return r;
	while (len && strchr(" \t\r\n", token[len - 1]))
		token[--len] = '\0';
	for (size_t i = 0; i < len; i++)
		if (token[i] <= ' ' || token[i] > '~')
			r = -EBADMSG;
	if (r < 0 || !len) {
		explicit_bzero(token, len);
		free(token);
		return -EBADMSG;
	}
	*ret = token;
	return 0;
}

struct body {
	struct podlist_scan *scan;
	int error;
};

static int on_body(void *ctx, const char *data, size_t len)
{
	struct body *b = ctx;

	b->error = podlist_scan_feed(b->scan, data, len);
	return b->error;
}

static int status_error(int status)
{
	return status == 401 || status == 403 ? -EACCES : -EREMOTEIO;
}

static int request(struct kubelet *k, const char *token)
{
	static const char *const headers[] = { "Accept: application/json", NULL };
	const struct http_client_options o = {
		.bearer_token = token,
		.ca_file = k->ca_file,
		.timeout_ms = TIMEOUT_MS,
		.body_max = BODY_MAX,
		.only_200 = true,
	};
	_cleanup_(podlist_scan_freep) struct podlist_scan *scan = NULL;
	struct body body = {};
	int r;

	r = podlist_scan_new(k->label_keys, &scan);
	if (r < 0)
		return r;
	body.scan = scan;
	r = http_client_get(k->url, &o, headers, on_body, &body, k->why, sizeof(k->why));
	if (r >= 0 && r != 200) {
		(void)snprintf(k->why, sizeof(k->why), "%s: HTTP status %d", k->url, r);
		return status_error(r);
	}
	if (r < 0 && !body.error)
		return r;
	r = podlist_scan_end(scan, &k->answer);
	if (r < 0)
		(void)snprintf(k->why, sizeof(k->why), "%s: %s", k->url,
			       r == -EFBIG ? "too many pods" : "no list of pods in JSON");
	return r;
}

static void run_request(struct work *w)
{
	struct kubelet *k = container_of(w, struct kubelet, work);
	char *token = NULL;
	int r = 0;

	if (*k->token_file)
		r = read_token(k, &token);
	if (r < 0)
		(void)snprintf(k->why, sizeof(k->why), "%s: %s", k->token_file,
			       r == -EBADMSG ? "no token" : strerror(-r));
	else
		r = request(k, token);
	if (token) {
		explicit_bzero(token, strlen(token));
		free(token);
	}
	k->result = r;
	k->reason = reason_of(r);
}

/* --- on the loop --- */

static void enrich(void *ctx, struct identity *i)
{
	struct kubelet *k = ctx;
	const struct pod *p = *i->pod_uid ? podlist_find(k->pods, i->pod_uid) : NULL;

	/* Told again, because series of the workload are prepared under its name. */
	if (p && identity_enrich(k->agent->identity, i, p) && !i->removed_us && !i->pending)
		bus_publish(k->agent->bus, BUS_IDENTITY_ADD, i);
}

static void tell_failure(struct kubelet *k)
{
	k->errors[k->reason]++;
	if (k->told == (int)k->reason + 1)
		return;
	k->told = (int)k->reason + 1;
	log_warning("the kubelet does not list its pods (%s): %s, keeping what is known",
		    oci_error_name(k->reason), k->why);
}

static void take_answer(struct kubelet *k)
{
	podlist_free(k->pods);
	k->pods = TAKE_PTR(k->answer);
	identity_for_each(k->agent->identity, enrich, k);
	identity_for_each_tombstone(k->agent->identity, enrich, k);
	if (podlist_ignored(k->pods))
		log_debug("%llu values of the kubelet's list of pods are ignored",
			  (unsigned long long)podlist_ignored(k->pods));
	if (k->told)
		log_info("the kubelet lists its %zu pods again", podlist_count(k->pods));
	k->told = 0;
}

static void schedule(struct kubelet *k)
{
	if (!k->running)
		loop_timer_at(k->timer, k->started_us + (k->wanted ? SOON_US : k->refresh_us));
}

static void finish_request(struct work *w)
{
	struct kubelet *k = container_of(w, struct kubelet, work);

	k->running = false;
	if (k->result < 0)
		tell_failure(k);
	else
		take_answer(k);
	schedule(k);
}

static void on_timer(void *ctx, uint64_t now_us)
{
	struct kubelet *k = ctx;

	k->started_us = now_us;
	k->wanted = false; /* what comes while the request runs may be younger than its answer */
	k->running = workers_submit(k->agent->workers, &k->work) == 0;
	schedule(k); /* where the workers are full */
}

void kubelet_identity(struct kubelet *k, struct identity *i)
{
	const struct pod *p;

	if (!k || i->kind != CGNAME_K8S || !*i->pod_uid)
		return;
	p = k->pods ? podlist_find(k->pods, i->pod_uid) : NULL;
	if (p) {
		(void)identity_enrich(k->agent->identity, i, p);
	} else if (!k->wanted) {
		k->wanted = true;
		schedule(k);
	}
}

uint64_t kubelet_errors(const struct kubelet *k, enum oci_error reason)
{
	return k->errors[reason];
}

void kubelet_reload(struct kubelet *k, const struct kubelet_config *c)
{
	if (!k)
		return;
	k->refresh_us = c->refresh_us;
	schedule(k);
}

/* {node} in the URL is the name of this node, as its certificate has it. */
static int expand_url(const char *url, const char *node, char **ret)
{
	const char *found = strstr(url, "{node}");
	int r;

	if (!found)
		return (*ret = strdup(url)) ? 0 : -ENOMEM;
	r = asprintf(ret, "%.*s%s%s", (int)(found - url), url, node, found + strlen("{node}"));
	return r < 0 ? -ENOMEM : 0;
}

struct kubelet *kubelet_free(struct kubelet *k)
{
	if (!k)
		return NULL;
	k->timer = loop_timer_free(k->timer);
	podlist_free(k->pods);
	podlist_free(k->answer);
	free(k->url);
	free(k->token_file);
	free(k->ca_file);
	free(k);
	return NULL;
}

int kubelet_new(struct agent *a, const struct kubelet_config *c, const char *const *label_keys,
		struct kubelet **ret)
{
	_cleanup_(kubelet_freep) struct kubelet *k = calloc(1, sizeof(*k));
	bool tls = strncmp(c->url, "https://", 8) == 0;
	int r;

	if (!k)
		return -ENOMEM;
	k->work.run = run_request;
	k->work.done = finish_request;
	k->agent = a;
	k->label_keys = label_keys;
	k->refresh_us = c->refresh_us;
	r = expand_url(c->url, a->host_name, &k->url);
	if (r < 0)
		return r;
	k->token_file = strdup(tls ? c->token_file : "");
	k->ca_file = strdup(c->ca_file);
	if (!k->token_file || !k->ca_file)
		return -ENOMEM;
	if (!tls && *c->token_file)
		log_warning(
			"identity.kubelet.url is not https, so identity.kubelet.token_file is not sent, ignoring");
	r = loop_add_timer(a->loop, on_timer, k, &k->timer);
	if (r < 0)
		return r;
	loop_timer_at(k->timer, time_mono_us());
	*ret = TAKE_PTR(k);
	return 0;
}
