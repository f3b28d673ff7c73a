/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bodies as a Prometheus of a Kubernetes cluster sends them
 *
 * Everything is made out of the number of the series by a mixing function: no state, no random source. Names and lengths follow node_exporter,
 * cAdvisor and Istio.
 */

#include <stdarg.h>
#include <stdio.h>
#include "route/wire/sample_body.h"
#include "route/wire/varint.h"

#define SERIES_PER_HOST 200
#define PODS 100 /* of a kubelet */

static const char *const families[] = {
	"istio_request_duration_milliseconds_bucket",
	"istio_requests_total",
	"container_cpu_usage_seconds_total",
	"container_network_receive_bytes_total",
	"http_server_request_duration_seconds_bucket",
	"node_network_transmit_packets_total",
	"go_gc_duration_seconds",
	"process_resident_memory_bytes",
	"envoy_cluster_upstream_rq_time_bucket",
	"kube_pod_container_status_restarts_total",
};
static const char *const bounds[] = { "0.5",   "1",	"5",	 "10",	 "25",	 "50",
				      "100",   "250",	"500",	 "1000", "2500", "5000",
				      "10000", "30000", "60000", "+Inf" };
static const char *const apps[] = { "checkout", "payments-api", "catalogue", "frontend-web",
				    "cart",	"shipping",	"inventory", "recommendations" };
static const char *const codes[] = { "200", "201", "204", "301", "400", "404", "500", "503" };

static uint64_t mix(uint64_t v)
{
	v = (v ^ (v >> 30)) * 0xbf58476d1ce4e5b9;
	v = (v ^ (v >> 27)) * 0x94d049bb133111eb;
	return v ^ (v >> 31);
}

struct writer {
	struct rw_label *labels;
	uint32_t n;
	char *text;
	size_t used;
};

static void add(struct writer *w, const char *name, const char *fmt, ...) PRINTF_LIKE(3, 4);
static void add(struct writer *w, const char *name, const char *fmt, ...)
{
	struct rw_label *l = &w->labels[w->n];
	size_t room = SAMPLE_BODY_TEXT_MAX - w->used;
	va_list args;
	int len;

	if (w->n == SAMPLE_BODY_LABELS_MAX)
		return;
	va_start(args, fmt);
	len = vsnprintf(w->text + w->used, room, fmt, args);
	va_end(args);
	if (len < 0 || (size_t)len >= room)
		return;
	*l = (struct rw_label){ name, w->text + w->used, (uint32_t)strlen(name), (uint32_t)len };
	w->used += (size_t)len;
	w->n++;
}

/* Names beyond those of the kind; they sort behind all of them. */
static void fill(struct writer *w, uint32_t labels, uint64_t host)
{
	static const char *const names[] = {
		"x00", "x01", "x02", "x03", "x04", "x05", "x06", "x07", "x08", "x09", "x10", "x11",
		"x12", "x13", "x14", "x15", "x16", "x17", "x18", "x19", "x20", "x21", "x22", "x23",
		"x24", "x25", "x26", "x27", "x28", "x29", "x30", "x31", "x32", "x33", "x34", "x35",
	};

	for (uint32_t i = 0; w->n < labels && i < ARRAY_SIZE(names); i++)
		add(w, names[i], "value-%u-%u", i, (unsigned)(mix(host + i) % 8));
}

static void pod(struct writer *w, uint64_t h)
{
	add(w, "pod", "%s-%08x-%05x", apps[h % ARRAY_SIZE(apps)], (unsigned)(h >> 32),
	    (unsigned)(h >> 12) & 0xfffff);
}

/*
 * Even hosts are pods with an exposition of their own: the pod stays, the bucket goes round. Odd ones are kubelets: family by family, every series is
 * of another of their pods.
 */
static void mixed(struct writer *w, uint64_t i, uint64_t host, uint64_t within)
{
	bool kubelet = host % 2;
	uint64_t per_family = kubelet ? PODS : ARRAY_SIZE(bounds);
	uint64_t family = within / per_family, nth = within % per_family, h = mix(host);
	uint64_t pod_hash = kubelet ? mix(h + nth) : h;

	add(w, "__name__", "%s", families[(family + host * 3) % ARRAY_SIZE(families)]);
	add(w, "cluster", "eu-west-1");
	add(w, "code", "%s", codes[mix(i) % ARRAY_SIZE(codes)]);
	add(w, "container", "%s", apps[pod_hash % ARRAY_SIZE(apps)]);
	if (kubelet)
		add(w, "image", "shop/%s:%u", apps[pod_hash % ARRAY_SIZE(apps)],
		    (unsigned)(pod_hash >> 40) % 50);
	add(w, "instance", "10.%u.%u.%u:9100", (unsigned)(h >> 8) & 0x7f,
	    (unsigned)(h >> 16) & 0xff, (unsigned)(h >> 24) & 0xff);
	add(w, "job", "pods");
	if (!kubelet)
		add(w, "le", "%s", bounds[nth]);
	add(w, "namespace", "shop");
	pod(w, pod_hash);
	add(w, "service", "%s-%u", apps[mix(i) % 4], (unsigned)(mix(i) >> 20) % 400);
}

static void even(struct writer *w, uint64_t i)
{
	add(w, "__name__", "node_network_receive_bytes_total");
	add(w, "cluster", "prod-eu-west-1");
	add(w, "device", "eth%u", (unsigned)(mix(i) % 4));
	add(w, "environment", "production");
	add(w, "instance", "host-%05u:9100", (unsigned)(i % 100000));
	add(w, "job", "node-exporter");
	add(w, "rack", "1");
	add(w, "team", "infrastructure");
}

uint32_t sample_body_labels(const struct sample_shape *shape, uint64_t i,
			    struct rw_label labels[SAMPLE_BODY_LABELS_MAX], char *text)
{
	uint32_t per_host = shape->series_per_host ? shape->series_per_host : SERIES_PER_HOST;
	struct writer w = { .labels = labels, .text = text };

	if (shape->kind == SAMPLE_BODY_EVEN)
		even(&w, i);
	else
		mixed(&w, i, i / per_host, i % per_host);
	if (shape->labels && shape->labels < w.n)
		w.n = shape->labels;
	fill(&w, shape->labels, i / per_host);
	return w.n;
}

/* Mixed: half are counters of whole numbers, half measured values. Even: small whole numbers. */
double sample_body_value(const struct sample_shape *shape, uint64_t i, int64_t ts)
{
	uint64_t h = mix(i);

	if (shape->kind == SAMPLE_BODY_EVEN)
		return (double)(h % 500);
	if (h % 2)
		return (double)mix(h + (uint64_t)ts) / 1e15;
	return (double)((h >> 40) + (uint64_t)ts / 1000 % 100000);
}

bool sample_body_rw1(const struct sample_shape *shape, uint64_t first, uint32_t n, int64_t ts,
		     struct rw_buf *out)
{
	struct rw_label labels[SAMPLE_BODY_LABELS_MAX];
	char text[SAMPLE_BODY_TEXT_MAX];

	for (uint64_t i = first; i < first + n; i++) {
		uint32_t n_labels = sample_body_labels(shape, i, labels, text);
		size_t canon = rw_canon_len(labels, n_labels);
		size_t sample = 10 + varint_len((uint64_t)ts), inner = canon + 2 + sample;
		double value = sample_body_value(shape, i, ts);
		uint8_t *at;

		if (!rw_buf_room(out, inner + 1 + VARINT_MAX))
			return false;
		at = out->data + out->len;
		*at++ = 0x0a;
		at = varint_put(at, inner);
		at += rw_canon(labels, n_labels, at, canon);
		*at++ = 0x12;
		*at++ = (uint8_t)sample;
		*at++ = 0x09;
		memcpy(at, &value, sizeof(value));
		at += sizeof(value);
		*at++ = 0x10;
		at = varint_put(at, (uint64_t)ts);
		out->len = (size_t)(at - out->data);
	}
	return true;
}
