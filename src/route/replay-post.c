/* SPDX-License-Identifier: Apache-2.0 */
/* POST of a replay: what an answer means is what it means to the gateway's own sender (send/policy.h), but one after the other. */

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include "base/fs.h"
#include "base/time.h"
#include "route/replay-post.h"
#include "route/send/policy.h"
#include "route/wire/snappy.h"

#define DECODED_MAX (1ULL << 30)
#define SECRET_MAX 4096
#define PAUSE_MIN_US 100000
#define PAUSE_MAX_US 5000000

struct post {
	CURL *curl;
	const char *url;
	const struct node_config *node;
	struct rw_encoder *encoder;
	char password[SECRET_MAX], credentials[SECRET_MAX];
	bool rw1_only, snappy_only; /* learnt */
	uint8_t *decoded, *converted, *packed;
	size_t decoded_size, packed_size;
	/* Of the answer at hand. */
	char answer[256];
	size_t answer_len;
	bool has_written;
};

static void read_secret(char *buf, const char *value, const char *path)
{
	ssize_t n;

	(void)snprintf(buf, SECRET_MAX, "%s", value ? value : "");
	if (!path || !*path)
		return;
	n = fs_read_into(AT_FDCWD, path, buf, SECRET_MAX);
	while (n > 0 && (buf[n - 1] == '\n' || buf[n - 1] == '\r'))
		buf[--n] = '\0';
	if (n < 0)
		*buf = '\0';
}

int post_new(const char *url, const struct node_config *node, struct post **ret)
{
	_cleanup_(post_freep) struct post *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	p->url = url;
	p->node = node;
	p->curl = curl_easy_init();
	p->encoder = rw_encoder_new();
	if (!p->curl || !p->encoder)
		return -ENOMEM;
	if (node) {
		p->rw1_only = node->send.protocol == 1 || node->send.protocol == 3;
		read_secret(p->password, node->basic_auth.password, node->basic_auth.password_file);
		read_secret(p->credentials, node->authorization.credentials,
			    node->authorization.credentials_file);
	}
	*ret = TAKE_PTR(p);
	return 0;
}

struct post *post_free(struct post *p)
{
	if (!p)
		return NULL;
	curl_easy_cleanup(p->curl);
	if (p->encoder)
		rw_encoder_free(p->encoder);
	free(p->decoded);
	free(p->converted);
	free(p->packed);
	free(p);
	return NULL;
}

/* --- what comes back --- */

static size_t on_body(char *data, size_t one, size_t n, void *ctx)
{
	struct post *p = ctx;
	size_t take = MIN(n, sizeof(p->answer) - 1 - p->answer_len);

	(void)one;
	memcpy(p->answer + p->answer_len, data, take);
	p->answer_len += take;
	p->answer[p->answer_len] = '\0';
	return n;
}

static size_t on_header(char *data, size_t one, size_t n, void *ctx)
{
	static const char prefix[] = "X-Prometheus-Remote-Write-";
	struct post *p = ctx;

	(void)one;
	if (n > sizeof(prefix) && strncasecmp(data, prefix, sizeof(prefix) - 1) == 0 &&
	    memmem(data, n, "ritten:", 7))
		p->has_written = true;
	return n;
}

/* --- one request --- */

PRINTF_LIKE(2, 3)
static bool add_header(struct curl_slist **list, const char *fmt, ...)
{
	char line[8192];
	struct curl_slist *more;
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	more = curl_slist_append(*list, line);
	if (more)
		*list = more;
	return more;
}

static bool add_headers(const struct post *p, const struct post_body *b, struct curl_slist **list)
{
	const struct node_config *n = p->node;
	const char *tenant_header = n ? n->tenant.header : "X-Scope-OrgID";
	bool rw2 = b->version == RW2, good;

	good = add_header(list, "Content-Encoding: %s", b->zstd ? "zstd" : "snappy") &&
	       add_header(list, "Content-Type: application/x-protobuf%s",
			  rw2 ? ";proto=io.prometheus.write.v2.Request" : "") &&
	       add_header(list, "X-Prometheus-Remote-Write-Version: %s", rw2 ? "2.0.0" : "0.1.0") &&
	       add_header(list, "Expect:");
	if (good && b->zstd)
		good = add_header(list, "X-VictoriaMetrics-Remote-Write-Version: 1");
	if (good && b->tenant_len)
		good = add_header(list, "%s: %.*s", tenant_header, (int)b->tenant_len,
				  (const char *)b->tenant);
	else if (good && n && *n->tenant.value)
		good = add_header(list, "%s: %s", tenant_header, n->tenant.value);
	if (good && *p->credentials)
		good = add_header(list, "Authorization: %s %s", n->authorization.type,
				  p->credentials);
	for (size_t i = 0; good && n && i < n->headers.n; i++)
		good = add_header(list, "%s: %s", n->headers.items[i].key,
				  n->headers.items[i].value);
	return good;
}

static void set_access(struct post *p)
{
	const struct node_config *n = p->node;
	const struct tls_client_config *t = &n->tls_config;

	if (*n->basic_auth.username) {
		(void)curl_easy_setopt(p->curl, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
		(void)curl_easy_setopt(p->curl, CURLOPT_USERNAME, n->basic_auth.username);
		(void)curl_easy_setopt(p->curl, CURLOPT_PASSWORD, p->password);
	}
	(void)curl_easy_setopt(p->curl, CURLOPT_SSL_VERIFYPEER, t->insecure_skip_verify ? 0L : 1L);
	(void)curl_easy_setopt(p->curl, CURLOPT_SSL_VERIFYHOST, t->insecure_skip_verify ? 0L : 2L);
	if (*t->ca_file)
		(void)curl_easy_setopt(p->curl, CURLOPT_CAINFO, t->ca_file);
	if (*t->cert_file) {
		(void)curl_easy_setopt(p->curl, CURLOPT_SSLCERT, t->cert_file);
		(void)curl_easy_setopt(p->curl, CURLOPT_SSLKEY, t->key_file);
	}
}

/* Status; 0 = none, with @why. */
static int perform(struct post *p, const struct post_body *b, char *why, size_t why_size)
{
	int shown = (int)strcspn(p->url, "?#"); /* tokens may stand behind */
	struct curl_slist *list = NULL;
	char reason[CURL_ERROR_SIZE] = "";
	long status = 0;
	CURLcode rc = CURLE_OUT_OF_MEMORY;

	p->has_written = false;
	p->answer_len = 0;
	p->answer[0] = '\0';
	curl_easy_reset(p->curl); /* the connection stays */
	(void)curl_easy_setopt(p->curl, CURLOPT_URL, p->url);
	(void)curl_easy_setopt(p->curl, CURLOPT_PROTOCOLS_STR, "http,https");
	(void)curl_easy_setopt(p->curl, CURLOPT_NOSIGNAL, 1L);
	(void)curl_easy_setopt(p->curl, CURLOPT_PROXY, "");
	(void)curl_easy_setopt(p->curl, CURLOPT_USERAGENT, "telamon-replay/" TELAMON_VERSION);
	(void)curl_easy_setopt(p->curl, CURLOPT_TIMEOUT_MS,
			       (long)(p->node ? p->node->send.timeout / US_PER_MSEC : 30000));
	(void)curl_easy_setopt(p->curl, CURLOPT_CONNECTTIMEOUT_MS, 5000L);
	(void)curl_easy_setopt(p->curl, CURLOPT_POST, 1L);
	(void)curl_easy_setopt(p->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)b->len);
	(void)curl_easy_setopt(p->curl, CURLOPT_POSTFIELDS, b->data);
	(void)curl_easy_setopt(p->curl, CURLOPT_WRITEFUNCTION, on_body);
	(void)curl_easy_setopt(p->curl, CURLOPT_WRITEDATA, p);
	(void)curl_easy_setopt(p->curl, CURLOPT_HEADERFUNCTION, on_header);
	(void)curl_easy_setopt(p->curl, CURLOPT_HEADERDATA, p);
	(void)curl_easy_setopt(p->curl, CURLOPT_ERRORBUFFER, reason);
	if (p->node)
		set_access(p);
	if (add_headers(p, b, &list)) {
		(void)curl_easy_setopt(p->curl, CURLOPT_HTTPHEADER, list);
		rc = curl_easy_perform(p->curl);
	}
	(void)curl_easy_getinfo(p->curl, CURLINFO_RESPONSE_CODE, &status);
	curl_slist_free_all(list);
	if (rc == CURLE_OK)
		(void)snprintf(why, why_size, "%.*s answers %ld: %s", shown, p->url, status,
			       p->answer);
	else
		(void)snprintf(why, why_size, "%.*s: %s", shown, p->url,
			       *reason ? reason : curl_easy_strerror(rc));
	return rc == CURLE_OK ? (int)status : 0;
}

/* The body in another form: snappy, and version 1 where nothing else is taken. */
static int step_down(struct post *p, struct post_body *b, bool to_rw1,
		     uint64_t losses[_RW_LOSS_MAX])
{
	const struct rw_convert_options o = { .send_custom_buckets =
						      p->node && p->node->send.rw1_custom_buckets };
	const uint8_t *raw;
	size_t len;
	int r = rw_decode(b->zstd ? RW_ENCODING_ZSTD : RW_ENCODING_SNAPPY, b->data, b->len,
			  DECODED_MAX, &p->decoded, &p->decoded_size, &len);

	if (r < 0)
		return r;
	raw = p->decoded;
	if (to_rw1 && b->version == RW2) {
		free(p->converted);
		p->converted = NULL;
		r = rw_body_convert(p->decoded, len, RW2, RW1, &o, &p->converted, &len, losses);
		if (r < 0)
			return r;
		raw = p->converted;
		b->version = RW1;
	}
	r = rw_encode(p->encoder, RW_CODEC_SNAPPY, RW_SNAPPY_OWN, raw, len, &p->packed,
		      &p->packed_size, &b->len);
	b->data = p->packed;
	b->zstd = false;
	return r;
}

static void wait_us(uint64_t us)
{
	const struct timespec t = { (time_t)(us / US_PER_SEC), (long)(us % US_PER_SEC * 1000) };

	(void)nanosleep(&t, NULL);
}

static enum send_action judge(const struct post *p, const struct post_body *b, int status)
{
	const struct send_answer a = {
		.status = status,
		.zstd = b->zstd,
		.rw2 = b->version == RW2,
		.has_written = p->has_written,
		.protocol = p->node ? (enum send_protocol)p->node->send.protocol : SEND_AUTO,
	};

	return send_judge(&a);
}

enum post_verdict post_send(struct post *p, const struct post_body *body, uint64_t patience_us,
			    uint64_t losses[_RW_LOSS_MAX], char *why, size_t why_size)
{
	uint64_t end = time_mono_us() + patience_us, pause = PAUSE_MIN_US;
	struct post_body b = *body;
	int r = 0;

	if ((p->rw1_only && b.version == RW2) || (p->snappy_only && b.zstd))
		r = step_down(p, &b, p->rw1_only, losses);
	while (r >= 0) {
		int status = perform(p, &b, why, why_size);

		switch (judge(p, &b, status)) {
		case SEND_RELEASE:
			return POST_DELIVERED;
		case SEND_RETRY:
			if (time_mono_us() + pause > end)
				return POST_UNREACHABLE;
			wait_us(pause);
			pause = MIN(2 * pause, (uint64_t)PAUSE_MAX_US);
			break;
		case SEND_STEP_DOWN:
			p->snappy_only |= b.zstd;
			p->rw1_only |= !b.zstd;
			r = step_down(p, &b, p->rw1_only, losses);
			break;
		default:
			return POST_REFUSED;
		}
	}
	(void)snprintf(why, why_size, "the block cannot be read: %s", strerror(-r));
	return POST_REFUSED;
}
