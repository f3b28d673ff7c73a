/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Certificates of one node
 *
 * libcurl reads them from files at each new connection; a file that is written badly would then fail the node. So they are read and checked
 * here, and libcurl gets copies in memory, by the name of their descriptors. New ones have new names: connections that are open stay with the old
 * ones, requests that come open new ones.
 */
#define LOG_MODULE "send"

#include <errno.h>
#include <fcntl.h>
#include <gnutls/x509.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "base/fs.h"
#include "base/log.h"
#include "base/macro.h"
#include "route/send/internal.h"

#define PEM_MAX (4 << 20)

struct pem {
	char *text[_TLS_FILE_MAX];
	size_t len[_TLS_FILE_MAX];
};

static void list(const struct send_tls *o, const char *ret[_TLS_FILE_MAX])
{
	ret[TLS_CA] = o->ca_file && *o->ca_file ? o->ca_file : NULL;
	ret[TLS_CERT] = o->cert_file && *o->cert_file ? o->cert_file : NULL;
	ret[TLS_KEY] = o->key_file && *o->key_file ? o->key_file : NULL;
}

static void wipe(struct pem *p)
{
	for (unsigned i = 0; i < _TLS_FILE_MAX; i++) {
		if (p->text[i])
			explicit_bzero(p->text[i], p->len[i]);
		free(p->text[i]);
	}
}

static gnutls_datum_t datum(const struct pem *p, enum tls_file i)
{
	return (gnutls_datum_t){ (unsigned char *)p->text[i], (unsigned)p->len[i] };
}

static int check_authorities(const gnutls_datum_t *pem)
{
	gnutls_x509_crt_t *certificates = NULL;
	unsigned n = 0;
	int r = gnutls_x509_crt_list_import2(&certificates, &n, pem, GNUTLS_X509_FMT_PEM, 0);

	for (unsigned i = 0; r >= 0 && i < n; i++)
		gnutls_x509_crt_deinit(certificates[i]);
	gnutls_free(certificates);
	return r;
}

static int check_pair(const gnutls_datum_t *certificate, const gnutls_datum_t *key)
{
	gnutls_certificate_credentials_t c;
	int r = gnutls_certificate_allocate_credentials(&c);

	if (r < 0)
		return r;
	r = gnutls_certificate_set_x509_key_mem(c, certificate, key, GNUTLS_X509_FMT_PEM);
	gnutls_certificate_free_credentials(c);
	return r;
}

static int check(const struct pem *p, const char *const *paths, char *why, size_t why_size)
{
	gnutls_datum_t ca = datum(p, TLS_CA), certificate = datum(p, TLS_CERT),
		       key = datum(p, TLS_KEY);
	enum tls_file at = TLS_CA;
	int r = paths[TLS_CA] ? check_authorities(&ca) : 0;

	if (r >= 0 && paths[TLS_CERT] && paths[TLS_KEY]) {
		at = TLS_KEY;
		r = check_pair(&certificate, &key);
	}
	if (r >= 0)
		return 0;
	(void)snprintf(why, why_size, "%s: %s", paths[at], gnutls_strerror(r));
	return -EINVAL;
}

static int read_all(const struct send_tls *o, struct pem *ret, char *why, size_t why_size)
{
	const char *paths[_TLS_FILE_MAX];
	int r = 0;

	list(o, paths);
	for (unsigned i = 0; r >= 0 && i < _TLS_FILE_MAX; i++) {
		if (!paths[i])
			continue;
		r = fs_read_at(AT_FDCWD, paths[i], PEM_MAX, &ret->text[i], &ret->len[i]);
		if (r < 0)
			(void)snprintf(why, why_size, "%s: %s", paths[i], strerror(-r));
	}
	return r < 0 ? r : check(ret, paths, why, why_size);
}

int send_tls_check(const struct send_tls *o, char *why, size_t why_size)
{
	struct pem p = {};
	int r = read_all(o, &p, why, why_size);

	wipe(&p);
	return r;
}

static void close_all(struct tls_copies *c)
{
	for (unsigned i = 0; i < _TLS_FILE_MAX; i++)
		if (c->fds[i] > 0)
			(void)close(c->fds[i]);
	*c = (struct tls_copies){};
}

static int keep(struct tls_copies *c, enum tls_file i, const struct pem *p)
{
	int fd = memfd_create("telamon-route-pem", MFD_CLOEXEC);

	if (fd < 0)
		return -errno;
	c->fds[i] = fd;
	(void)snprintf(c->names[i], sizeof(c->names[i]), "/proc/self/fd/%d", fd);
	if (write(fd, p->text[i], p->len[i]) != (ssize_t)p->len[i])
		return -EIO;
	return access(c->names[i], R_OK) < 0 ? -errno : 0;
}

int tls_load(struct node_tls *t, const struct send_tls *o, char *why, size_t why_size)
{
	const char *paths[_TLS_FILE_MAX], *watched[_TLS_FILE_MAX];
	struct tls_copies fresh = {};
	struct pem p = {};
	size_t n = 0;
	int r;

	list(o, paths);
	r = read_all(o, &p, why, why_size);
	for (unsigned i = 0; r >= 0 && i < _TLS_FILE_MAX; i++) {
		r = paths[i] ? keep(&fresh, i, &p) : 0;
		if (r < 0)
			(void)snprintf(why, why_size, "%s: no copy of it can be kept: %s", paths[i],
				       strerror(-r));
	}
	wipe(&p);
	for (unsigned i = 0; i < _TLS_FILE_MAX; i++)
		if (paths[i])
			watched[n++] = paths[i];
	/* Also after an error: what is written next may be right. */
	if (n != t->watch.n && file_watch_set(&t->watch, watched, n) < 0)
		r = r < 0 ? r : -ENOMEM;
	if (r < 0) {
		close_all(&fresh);
		return r;
	}
	close_all(&t->old); /* a connection that was being opened had time to read them */
	t->old = t->now;
	t->now = fresh;
	return 0;
}

void tls_done(struct node_tls *t)
{
	close_all(&t->old);
	close_all(&t->now);
	file_watch_done(&t->watch);
}

bool tls_refresh(struct node_tls *t, const struct send_options *o)
{
	char why[512] = "";

	if (!file_watch_look(&t->watch))
		return false;
	if (tls_load(t, &o->tls, why, sizeof(why)) >= 0) {
		log_info("certificates of %s/%s changed", o->destination, o->node);
		return true;
	}
	log_warning("%s: the certificates of %s/%s stay as they were", why, o->destination,
		    o->node);
	t->failures++;
	return false;
}
