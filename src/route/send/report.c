/* SPDX-License-Identifier: Apache-2.0 */
/* What came of requests, for the log (GW-OB-4) and for figures. */

#include <stdlib.h>
#include <string.h>
#include "base/macro.h"
#include "base/strbuf.h"
#include "base/text.h"
#include "route/send/internal.h"

#define ANSWER_TOLD 400 /* bytes of a node's answer in a log line */

static const struct {
	const char *name, *text;
	enum log_level level;
} events[_SEND_EVENT_MAX] = {
	[EVENT_DEAD_LETTER] = { "telamon.route.dead_letter", "block refused for good",
				LOG_LEVEL_WARN },
	[EVENT_FAILED] = { "telamon.route.send_failed", "sending failed", LOG_LEVEL_WARN },
	[EVENT_HOLD] = { "telamon.route.hold", "node refuses requests, holding", LOG_LEVEL_WARN },
	[EVENT_DOWNGRADE] = { "telamon.route.downgrade", "node does not take this form of body",
			      LOG_LEVEL_INFO },
	[EVENT_UNREADABLE] = { "telamon.route.unreadable", "block cannot be decoded",
			       LOG_LEVEL_ERROR },
};

void send_block_id(const struct lane_state *l, char id[BLOCK_ID_MAX])
{
	const struct record *r = &l->block->record;
	const struct cut *c = &l->cut;
	int n = snprintf(id, BLOCK_ID_MAX, "%s/%llx/%llu", l->node->all->gateway,
			 (unsigned long long)r->epoch, (unsigned long long)r->index);

	if (c->body && c->n_ranges && n > 0 && n < BLOCK_ID_MAX)
		(void)snprintf(id + n, (size_t)(BLOCK_ID_MAX - n), ".%u+%u",
			       c->ranges[c->n_ranges - 1].first, c->ranges[c->n_ranges - 1].n);
}

/* Host and port of the node as they stand in its URL. */
static void split_url(const char *url, char *host, size_t size, int64_t *ret_port)
{
	CURLU *u = curl_url();
	char *text = NULL;

	*host = '\0';
	*ret_port = 0;
	if (u && curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK) {
		if (curl_url_get(u, CURLUPART_HOST, &text, 0) == CURLUE_OK)
			(void)snprintf(host, size, "%s", text);
		curl_free(text);
		text = NULL;
		if (curl_url_get(u, CURLUPART_PORT, &text, CURLU_DEFAULT_PORT) == CURLUE_OK)
			*ret_port = strtol(text, NULL, 10);
		curl_free(text);
	}
	curl_url_cleanup(u);
}

void send_report(struct sender *n, const struct lane_state *l, enum send_event event, int status,
		 CURLcode code)
{
	char host[256], id[BLOCK_ID_MAX], answer[ANSWER_TOLD + 200];
	struct log_field f[12];
	int64_t port;
	size_t k = 0;
	struct strbuf b;

	split_url(n->o.url, host, sizeof(host), &port);
	send_block_id(l, id);
	strbuf_init_fixed(&b, answer, sizeof(answer));
	text_add_terminal(&b, l->answer, MIN(l->answer_len, (size_t)ANSWER_TOLD));
	f[k++] = (struct log_field){ "telamon.route.destination", n->o.destination, 0 };
	f[k++] = (struct log_field){ "telamon.route.node", n->o.node, 0 };
	f[k++] = (struct log_field){ "server.address", host, 0 };
	f[k++] = (struct log_field){ "server.port", NULL, port };
	if (status)
		f[k++] = (struct log_field){ "http.response.status_code", NULL, status };
	if (code != CURLE_OK)
		f[k++] = (struct log_field){ "error.type", curl_easy_strerror(code), 0 };
	f[k++] = (struct log_field){ "telamon.route.series", NULL, l->sent_series };
	f[k++] = (struct log_field){ "telamon.route.samples", NULL, l->sent_samples };
	f[k++] = (struct log_field){ "telamon.route.block", id, 0 };
	if (l->block->attempts)
		f[k++] =
			(struct log_field){ "http.request.resend_count", NULL, l->block->attempts };
	if (code == CURLE_OK && l->answer_len)
		f[k++] = (struct log_field){ "telamon.route.answer", strbuf_str(&b), 0 };
	log_event(events[event].level, &n->logs[event], events[event].name, events[event].text, f,
		  k);
}

/* --- figures --- */

static struct send_code *code_of(struct sender_stats *s, int status)
{
	for (unsigned i = 0; i < s->n_codes; i++)
		if (s->codes[i].status == status)
			return &s->codes[i];
	if (s->n_codes == SEND_CODES_MAX)
		return &s->codes[SEND_CODES_MAX - 1];
	s->codes[s->n_codes].status = status;
	return &s->codes[s->n_codes++];
}

void send_count_answer(struct sender *n, const struct lane_state *l, CURLcode code, int status,
		       uint64_t now_us)
{
	struct send_code *c = code_of(&n->stats, CLAMP(status, 0, 599));
	uint64_t took = now_us - l->began_us;

	c->requests++;
	c->bytes += l->sent_len;
	c->series += l->sent_series;
	c->samples += l->sent_samples;
	durations_note(&c->took, took);
	durations_note(&n->stats.took, took);
	if (code == CURLE_OPERATION_TIMEDOUT)
		n->stats.errors_timeout++;
	else if (code != CURLE_OK)
		n->stats.errors_connection++;
	else if (status < 200 || status > 299)
		n->stats.errors_unknown++;
}

void send_count_dead(struct sender *n, uint32_t samples, uint32_t histograms, uint32_t series,
		     enum send_dead why)
{
	n->stats.samples[SEND_FLOAT][SEND_DEAD_LETTER] += samples - histograms;
	n->stats.samples[SEND_HISTOGRAM][SEND_DEAD_LETTER] += histograms;
	n->stats.dead_samples[why] += samples;
	n->stats.series_dead += series;
}
