/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Certificates of clients
 *
 * They are judged here and not in the handshake: so a client gets an answer instead of a broken connection, and authorities may change while the
 * server runs.
 */

#include <gnutls/x509.h>
#include <string.h>
#include <time.h>
#include "http/internal.h"

#define CHAIN_MAX 16U

void certificate_ask(const struct webconfig *w, gnutls_session_t session)
{
	if (!w->client_required && !w->client_verified)
		return;
	gnutls_certificate_server_set_request(session, GNUTLS_CERT_REQUEST);
	/* Names of authorities would be those of the start. */
	gnutls_certificate_send_x509_rdn_sequence(session, 1);
}

static unsigned import(gnutls_session_t session, gnutls_x509_crt_t ret[CHAIN_MAX])
{
	const gnutls_datum_t *raw;
	unsigned n = 0, i;

	if (gnutls_certificate_type_get(session) != GNUTLS_CRT_X509)
		return 0;
	raw = gnutls_certificate_get_peers(session, &n);
	for (i = 0; raw && i < MIN(n, CHAIN_MAX); i++) {
		if (gnutls_x509_crt_init(&ret[i]) < 0)
			break;
		if (gnutls_x509_crt_import(ret[i], &raw[i], GNUTLS_X509_FMT_DER) < 0) {
			gnutls_x509_crt_deinit(ret[i]);
			break;
		}
	}
	return raw ? i : 0;
}

static bool verified(const struct webconfig *w, gnutls_x509_crt_t *chain, unsigned n)
{
	gnutls_typed_vdata_st purpose = { .type = GNUTLS_DT_KEY_PURPOSE_OID,
					  .data = (unsigned char *)GNUTLS_KP_TLS_WWW_CLIENT };
	unsigned status = 1;

	return w->client_ca &&
	       gnutls_x509_trust_list_verify_crt2(w->client_ca, chain, n, &purpose, 1, 0, &status,
						  NULL) >= 0 &&
	       status == 0;
}

static bool is_allowed(const struct config_strings *allowed, const char *name, size_t len)
{
	for (size_t i = 0; i < allowed->n; i++)
		if (strlen(allowed->items[i]) == len && memcmp(allowed->items[i], name, len) == 0)
			return true;
	return false;
}

/* Addresses are bytes in a certificate, text in the file. */
static bool name_allowed(const struct config_strings *allowed, int type, const unsigned char *name,
			 size_t len)
{
	char text[64];

	if (type != GNUTLS_SAN_IPADDRESS)
		return (type == GNUTLS_SAN_DNSNAME || type == GNUTLS_SAN_RFC822NAME ||
			type == GNUTLS_SAN_URI) &&
		       is_allowed(allowed, (const char *)name, len);
	return address_text(name, len, text, sizeof(text)) &&
	       is_allowed(allowed, text, strlen(text));
}

static bool san_allowed(const struct config_strings *allowed, gnutls_x509_crt_t certificate)
{
	for (unsigned i = 0;; i++) {
		unsigned char name[512];
		size_t len = sizeof(name);
		int type = gnutls_x509_crt_get_subject_alt_name(certificate, i, name, &len, NULL);

		if (type == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
			return false;
		if (type >= 0 && name_allowed(allowed, type, name, len))
			return true;
		if (type < 0 && type != GNUTLS_E_SHORT_MEMORY_BUFFER)
			return false;
	}
}

bool certificate_ok(const struct webconfig *w, gnutls_session_t session)
{
	gnutls_x509_crt_t chain[CHAIN_MAX];
	unsigned n;
	bool ok;

	if (!w->client_required && !w->client_verified)
		return true;
	n = import(session, chain);
	ok = n ? !w->client_verified || verified(w, chain, n) : !w->client_required;
	if (ok && w->client_sans->n)
		ok = n && san_allowed(w->client_sans, chain[0]);
	for (unsigned i = 0; i < n; i++)
		gnutls_x509_crt_deinit(chain[i]);
	return ok;
}
