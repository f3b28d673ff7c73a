/* SPDX-License-Identifier: Apache-2.0 */
/* One POST of a lane: its curl handle, headers, and what comes back. */
#define LOG_MODULE "send"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "base/log.h"
#include "base/macro.h"
#include "base/parse.h"
#include "base/time.h"
#include "route/send/internal.h"

#define UPLOAD_BYTES (256L * 1024) /* most blocks: one call each */
#define DNS_CACHE_S 60L
#define CONNECTION_AGE_S 60L /* an address that changed is noticed */
#define HOPS_MAX 3

/* --- what comes back --- */

static size_t on_body(char *data, size_t one, size_t n, void *ctx)
{
	struct lane_state *l = ctx;
	size_t take = MIN(n, ANSWER_MAX - l->answer_len);

	(void)one;
	memcpy(l->answer + l->answer_len, data, take);
	l->answer_len += take;
	l->answer[l->answer_len] = '\0';
	return n; /* the rest is read and thrown away */
}

/* Value of the header @name in the line, NUL-terminated in @buf. */
static bool header_value(const char *line, size_t len, const char *name, char *buf, size_t size)
{
	size_t n = strlen(name), from;

	if (len <= n || strncasecmp(line, name, n) != 0 || line[n] != ':')
		return false;
	from = n + 1;
	while (from < len && (line[from] == ' ' || line[from] == '\t'))
		from++;
	while (len > from &&
	       (line[len - 1] == '\n' || line[len - 1] == '\r' || line[len - 1] == ' '))
		len--;
	(void)snprintf(buf, size, "%.*s", (int)(len - from), line + from);
	return true;
}

static size_t on_header(char *data, size_t one, size_t n, void *ctx)
{
	struct lane_state *l = ctx;
	char value[64];

	(void)one;
	if (header_value(data, n, "Retry-After", value, sizeof(value)))
		memcpy(l->retry_after, value, sizeof(value));
	if (header_value(data, n, "X-Prometheus-Remote-Write-Samples-Written", value,
			 sizeof(value)))
		l->has_written = parse_u64(value, &l->written_samples) == 0 || l->has_written;
	if (header_value(data, n, "X-Prometheus-Remote-Write-Histograms-Written", value,
			 sizeof(value)))
		l->has_written = parse_u64(value, &l->written_histograms) == 0 || l->has_written;
	if (header_value(data, n, "X-Prometheus-Remote-Write-Exemplars-Written", value,
			 sizeof(value)))
		l->has_written = true;
	return n;
}

/* --- headers --- */

PRINTF_LIKE(2, 3)
static int add_header(struct lane_state *l, const char *fmt, ...)
{
	char line[8192];
	struct curl_slist *more;
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	more = curl_slist_append(l->headers, line);
	if (!more)
		return -ENOMEM;
	l->headers = more;
	return 0;
}

static int add_protocol(const struct sender *n, struct lane_state *l)
{
	int r = add_header(l, "Content-Encoding: %s", l->sent_zstd ? "zstd" : "snappy");

	if (r >= 0)
		r = add_header(l, "Content-Type: application/x-protobuf%s",
			       l->sent_rw2 ? ";proto=io.prometheus.write.v2.Request" : "");
	if (r >= 0)
		r = add_header(l, "X-Prometheus-Remote-Write-Version: %s",
			       l->sent_rw2 ? "2.0.0" : "0.1.0");
	if (r >= 0 && n->o.protocol == SEND_VM && l->sent_zstd)
		r = add_header(l, "X-VictoriaMetrics-Remote-Write-Version: 1");
	return r;
}

static int add_block(struct lane_state *l)
{
	unsigned hops = l->block->record.flags & RECORD_HOPS;
	char id[BLOCK_ID_MAX];
	int r = 0;

	send_block_id(l, id);
	if (l->block->attempts)
		r = add_header(l, "Retry-Attempt: %u", l->block->attempts);
	if (r >= 0)
		r = add_header(l, "X-Telamon-Block: %s", id);
	if (r >= 0)
		r = add_header(l, "X-Telamon-Hops: %u", hops + 1);
	return r;
}

static int add_access(struct sender *n, struct lane_state *l)
{
	const void *tenant = n->o.tenant;
	size_t len = n->o.tenant ? strlen(n->o.tenant) : 0;
	int r = 0;

	(void)record_extra_find(&l->block->record, EXTRA_TENANT, &tenant, &len);
	if (n->o.tenant_header && *n->o.tenant_header && len)
		r = add_header(l, "%s: %.*s", n->o.tenant_header, (int)len, (const char *)tenant);
	if (r >= 0 && *n->credentials.text)
		r = add_header(l, "Authorization: %s %s",
			       n->o.auth_type ? n->o.auth_type : "Bearer", n->credentials.text);
	for (size_t i = 0; r >= 0 && n->o.headers && n->o.headers[i]; i++)
		r = add_header(l, "%s", n->o.headers[i]);
	return r;
}

static int set_headers(struct sender *n, struct lane_state *l)
{
	int r;

	curl_slist_free_all(l->headers);
	l->headers = NULL;
	r = add_protocol(n, l);
	if (r >= 0)
		r = add_block(l);
	if (r >= 0)
		r = add_access(n, l);
	if (r >= 0 && n->host)
		r = add_header(l, "Host: %s", n->host);
	if (r >= 0)
		r = add_header(l, "Expect:"); /* no round trip before the body */
	return r;
}

/* --- the handle --- */

static void set_tls(CURL *c, const struct send_tls *t, const struct tls_copies *copies)
{
	(void)curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, t->insecure_skip_verify ? 0L : 1L);
	(void)curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, t->insecure_skip_verify ? 0L : 2L);
	(void)curl_easy_setopt(c, CURLOPT_SSLVERSION,
			       (long)(t->tls13 ? CURL_SSLVERSION_TLSv1_3
					       : CURL_SSLVERSION_TLSv1_2));
	if (*copies->names[TLS_CA])
		(void)curl_easy_setopt(c, CURLOPT_CAINFO, copies->names[TLS_CA]);
	if (*copies->names[TLS_CERT]) {
		(void)curl_easy_setopt(c, CURLOPT_SSLCERT, copies->names[TLS_CERT]);
		(void)curl_easy_setopt(c, CURLOPT_SSLKEY, copies->names[TLS_KEY]);
	}
}

static void set_limits(CURL *c, const struct send_options *o)
{
	(void)curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	(void)curl_easy_setopt(c, CURLOPT_PROXY, "");
	(void)curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
	(void)curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L);
	(void)curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)(o->timeout_us / 1000));
	(void)curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, (long)(o->connect_timeout_us / 1000));
	(void)curl_easy_setopt(c, CURLOPT_DNS_CACHE_TIMEOUT, DNS_CACHE_S);
	(void)curl_easy_setopt(c, CURLOPT_MAXLIFETIME_CONN, CONNECTION_AGE_S);
	(void)curl_easy_setopt(c, CURLOPT_UPLOAD_BUFFERSIZE, UPLOAD_BYTES);
	(void)curl_easy_setopt(c, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
	(void)curl_easy_setopt(c, CURLOPT_USERAGENT, "telamon-route/" TELAMON_VERSION);
}

static int set_handle(struct sender *n, struct lane_state *l, const uint8_t *body, size_t len)
{
	if (!l->easy)
		l->easy = curl_easy_init();
	if (!l->easy)
		return -ENOMEM;
	curl_easy_reset(l->easy); /* connections stay with the multi handle */
	set_limits(l->easy, &n->o);
	set_tls(l->easy, &n->o.tls, &n->tls.now);
	if (n->o.user && *n->o.user) {
		(void)curl_easy_setopt(l->easy, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
		(void)curl_easy_setopt(l->easy, CURLOPT_USERNAME, n->o.user);
		(void)curl_easy_setopt(l->easy, CURLOPT_PASSWORD, n->password.text);
	}
	(void)curl_easy_setopt(l->easy, CURLOPT_URL, n->verified_url ? n->verified_url : n->o.url);
	curl_slist_free_all(l->connect_to);
	l->connect_to = n->connect_to ? curl_slist_append(NULL, n->connect_to) : NULL;
	(void)curl_easy_setopt(l->easy, CURLOPT_CONNECT_TO, l->connect_to);
	(void)curl_easy_setopt(l->easy, CURLOPT_POST, 1L);
	(void)curl_easy_setopt(l->easy, CURLOPT_POSTFIELDS, (const char *)body);
	(void)curl_easy_setopt(l->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)len);
	(void)curl_easy_setopt(l->easy, CURLOPT_HTTPHEADER, l->headers);
	(void)curl_easy_setopt(l->easy, CURLOPT_WRITEFUNCTION, on_body);
	(void)curl_easy_setopt(l->easy, CURLOPT_WRITEDATA, l);
	(void)curl_easy_setopt(l->easy, CURLOPT_HEADERFUNCTION, on_header);
	(void)curl_easy_setopt(l->easy, CURLOPT_HEADERDATA, l);
	(void)curl_easy_setopt(l->easy, CURLOPT_PRIVATE, l);
	return 0;
}

static int begin(struct sender *n, struct lane_state *l, uint64_t now_us)
{
	l->answer_len = 0;
	l->answer[0] = l->retry_after[0] = '\0';
	l->has_written = false;
	l->written_samples = l->written_histograms = 0;
	l->began_us = now_us;
	if (curl_multi_add_handle(n->all->multi, l->easy) != CURLM_OK)
		return -EIO;
	l->in_flight = true;
	n->stats.requests++;
	n->stats.last_request_ms = (int64_t)(time_wall_ns() / NS_PER_MSEC);
	return 0;
}

int send_start(struct sender *n, struct lane_state *l, const uint8_t *body, size_t len,
	       uint64_t now_us)
{
	int r;

	l->hops = 0;
	r = set_headers(n, l);
	if (r >= 0)
		r = set_handle(n, l, body, len);
	if (r >= 0)
		r = begin(n, l, now_us);
	if (r >= 0) {
		l->sent_len = len;
		l->breaker_waited = false;
		n->stats.bytes += len;
		breaker_sent(&n->breaker);
	}
	return r;
}

/* --- where to --- */

/* curl verifies and names (SNI) the host of the URL: with tls.server_name the URL has that name, and the connection goes where it went. */
static int rename_url(struct sender *n, CURLU *u)
{
	char *host = NULL, *port = NULL, *given = NULL, *url = NULL, line[1024], name[512];
	int r = -EINVAL;

	if (curl_url_get(u, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
	    curl_url_get(u, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) == CURLUE_OK &&
	    curl_url_set(u, CURLUPART_HOST, n->o.tls.server_name, 0) == CURLUE_OK &&
	    curl_url_get(u, CURLUPART_URL, &url, 0) == CURLUE_OK) {
		bool has_port = curl_url_get(u, CURLUPART_PORT, &given, 0) == CURLUE_OK;

		(void)snprintf(line, sizeof(line), "%s:%s:%s:%s", n->o.tls.server_name, port, host,
			       port);
		(void)snprintf(name, sizeof(name), "%s%s%s", host, has_port ? ":" : "",
			       has_port ? port : "");
		n->verified_url = strdup(url);
		n->host = strdup(name);
		n->connect_to = strdup(line);
		r = n->verified_url && n->host && n->connect_to ? 0 : -ENOMEM;
	}
	curl_free(host);
	curl_free(port);
	curl_free(given);
	curl_free(url);
	return r;
}

void send_target_done(struct sender *n)
{
	free(n->verified_url);
	free(n->host);
	free(n->connect_to);
	n->verified_url = n->host = n->connect_to = NULL;
}

int send_set_target(struct sender *n)
{
	CURLU *u;
	int r = -ENOMEM;

	send_target_done(n);
	if (!n->o.tls.server_name || !*n->o.tls.server_name ||
	    strncasecmp(n->o.url, "https:", 6) != 0)
		return 0;
	u = curl_url();
	if (u && curl_url_set(u, CURLUPART_URL, n->o.url, 0) == CURLUE_OK)
		r = rename_url(n, u);
	curl_url_cleanup(u);
	return r;
}

static bool same_host(const char *a, const char *b)
{
	static const CURLUPart parts[] = { CURLUPART_SCHEME, CURLUPART_HOST, CURLUPART_PORT };
	CURLU *x = curl_url(), *y = curl_url();
	bool same = x && y && curl_url_set(x, CURLUPART_URL, a, 0) == CURLUE_OK &&
		    curl_url_set(y, CURLUPART_URL, b, 0) == CURLUE_OK;

	for (size_t i = 0; same && i < ARRAY_SIZE(parts); i++) {
		char *p = NULL, *q = NULL;

		same = curl_url_get(x, parts[i], &p, CURLU_DEFAULT_PORT) == CURLUE_OK &&
		       curl_url_get(y, parts[i], &q, CURLU_DEFAULT_PORT) == CURLUE_OK &&
		       strcasecmp(p, q) == 0;
		curl_free(p);
		curl_free(q);
	}
	curl_url_cleanup(x);
	curl_url_cleanup(y);
	return same;
}

/* Path and query of @to behind the name that is verified. */
static char *under_verified(const struct sender *n, const char *to)
{
	static const CURLUPart parts[] = { CURLUPART_PATH, CURLUPART_QUERY };
	CURLU *x = curl_url(), *y = curl_url();
	char *ret = NULL;

	if (x && y && curl_url_set(x, CURLUPART_URL, n->verified_url, 0) == CURLUE_OK &&
	    curl_url_set(y, CURLUPART_URL, to, 0) == CURLUE_OK) {
		for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
			char *p = NULL;

			(void)curl_url_get(y, parts[i], &p, 0);
			(void)curl_url_set(x, parts[i], p, 0);
			curl_free(p);
		}
		(void)curl_url_get(x, CURLUPART_URL, &ret, 0);
	}
	curl_url_cleanup(x);
	curl_url_cleanup(y);
	return ret;
}

bool send_redirect(struct lane_state *l)
{
	struct sender *n = l->node;
	char *to = NULL, *verified = NULL;

	if (l->hops >= HOPS_MAX ||
	    curl_easy_getinfo(l->easy, CURLINFO_REDIRECT_URL, &to) != CURLE_OK || !to ||
	    !(same_host(n->o.url, to) || (n->verified_url && same_host(n->verified_url, to))))
		return false;
	if (n->verified_url)
		verified = under_verified(n, to);
	if (n->verified_url && !verified)
		return false;
	l->hops++;
	(void)curl_easy_setopt(l->easy, CURLOPT_URL, verified ? verified : to);
	curl_free(verified);
	return begin(n, l, time_mono_us()) >= 0;
}

void send_lane_free(struct lane_state *l)
{
	send_cut_end(l);
	curl_slist_free_all(l->headers);
	curl_slist_free_all(l->connect_to);
	if (l->easy)
		curl_easy_cleanup(l->easy);
	free(l->made);
	*l = (struct lane_state){};
}
