/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Web configuration in the format of the Prometheus exporter toolkit
 *
 * tls_server_config, http_server_config, basic_auth_users. The reader is the same table-driven one as for the agent's own
 * file, so every error has its line and column. Relative paths are taken from the file's directory.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include "base/fs.h"
#include "http/internal.h"

#define PEM_MAX (1 << 20)

struct tls_config {
	const char *cert_file, *key_file, *client_ca_file;
	int client_auth_type, min_version, max_version;
	bool prefer_server_cipher_suites;
	struct config_strings cipher_suites, curve_preferences, client_allowed_sans;
};
struct http_config {
	bool http2;
	struct config_pairs headers;
};
struct users_config {
	struct config_pairs users;
};

enum client_auth { NO_CLIENT_CERT, REQUEST, REQUIRE_ANY, VERIFY_IF_GIVEN, REQUIRE_AND_VERIFY };
static const char *const client_auth_names[] = { "NoClientCert",
						 "RequestClientCert",
						 "RequireAnyClientCert",
						 "VerifyClientCertIfGiven",
						 "RequireAndVerifyClientCert",
						 NULL };
static const char *const version_names[] = { "TLS13", "TLS12", "TLS11", "TLS10", NULL };

static int check_hash(const void *value, char *why, size_t why_size)
{
	const char *hash = value;

	if (strncmp(hash, "$2a$", 4) == 0 || strncmp(hash, "$2b$", 4) == 0 ||
	    strncmp(hash, "$2y$", 4) == 0)
		return 0;
	(void)snprintf(why, why_size, "is not a bcrypt hash ($2a$, $2b$ or $2y$)");
	return -EINVAL;
}

static const struct config_row tls_rows[] = {
	CONFIG_ROW("cert_file", struct tls_config, cert_file, CONFIG_STRING, .def = "",
		   .help = "Certificate chain, PEM."),
	CONFIG_ROW("key_file", struct tls_config, key_file, CONFIG_STRING, .def = "",
		   .help = "Private key, PEM."),
	CONFIG_ROW("client_auth_type", struct tls_config, client_auth_type, CONFIG_ENUM,
		   .def = "NoClientCert", .names = client_auth_names,
		   .help = "What is asked of clients."),
	CONFIG_ROW("client_ca_file", struct tls_config, client_ca_file, CONFIG_STRING, .def = "",
		   .help = "Authorities of client certificates, PEM."),
	CONFIG_ROW("client_allowed_sans", struct tls_config, client_allowed_sans, CONFIG_STRINGS,
		   .def = "[]", .max_items = 256,
		   .help = "Names, one of which a client's certificate must have."),
	CONFIG_ROW("min_version", struct tls_config, min_version, CONFIG_ENUM, .def = "TLS12",
		   .names = version_names, .help = "Oldest version of TLS."),
	CONFIG_ROW("max_version", struct tls_config, max_version, CONFIG_ENUM, .def = "TLS13",
		   .names = version_names, .help = "Newest version of TLS."),
	CONFIG_ROW("prefer_server_cipher_suites", struct tls_config, prefer_server_cipher_suites,
		   CONFIG_BOOL, .def = "true", .help = "The order of the server's suites counts."),
	CONFIG_ROW("cipher_suites", struct tls_config, cipher_suites, CONFIG_STRINGS, .def = "[]",
		   .max_items = 32,
		   .help = "Accepted for compatibility; the library's secure set is used."),
	CONFIG_ROW("curve_preferences", struct tls_config, curve_preferences, CONFIG_STRINGS,
		   .def = "[]", .max_items = 8,
		   .help = "Accepted for compatibility; the library's set is used."),
	{},
};
static const struct config_row header_rows[] = {
	{ .key = "*",
	  .type = CONFIG_PAIRS,
	  .size = sizeof(struct config_pairs),
	  .max_items = 32,
	  .help = "A header that every answer carries." },
	{},
};
static const struct config_row http_rows[] = {
	CONFIG_ROW("http2", struct http_config, http2, CONFIG_BOOL, .def = "true",
		   .help = "Accepted for compatibility; HTTP/1.1 is spoken."),
	CONFIG_ROW("headers", struct http_config, headers, CONFIG_MAP, .rows = header_rows,
		   .help = "Headers that every answer carries."),
	{},
};
static const struct config_row users_rows[] = {
	{ .key = "*",
	  .type = CONFIG_PAIRS,
	  .size = sizeof(struct config_pairs),
	  .max_items = 256,
	  .flags = CONFIG_SECRET,
	  .help = "User name and bcrypt hash of the password." },
	{},
};
static const struct config_section sections[] = {
	{ "tls_server_config", tls_rows, sizeof(struct tls_config) },
	{ "http_server_config", http_rows, sizeof(struct http_config) },
	{ "basic_auth_users", users_rows, sizeof(struct users_config) },
	{},
};

static void note_file(struct webconfig *w, const char *path)
{
	if (w->n_files < WEB_FILES_MAX && (w->files[w->n_files] = strdup(path)))
		w->n_files++;
}

static int read_beside(struct webconfig *w, const char *path, const char *name, char **ret,
		       size_t *ret_len, char *why, size_t why_size)
{
	const char *slash = strrchr(path, '/');
	char full[4096];
	int r;

	if (name[0] == '/' || !slash)
		(void)snprintf(full, sizeof(full), "%s", name);
	else
		(void)snprintf(full, sizeof(full), "%.*s/%s", (int)(slash - path), path, name);
	note_file(w, full);
	r = fs_read_at(AT_FDCWD, full, PEM_MAX, ret, ret_len);
	if (r < 0)
		(void)snprintf(why, why_size, "cannot read '%s': %s", full, strerror(-r));
	return r;
}

static int tls_error(int rc, const char *what, char *why, size_t why_size)
{
	(void)snprintf(why, why_size, "%s: %s", what, gnutls_strerror(rc));
	return -EINVAL;
}

/* A key of another certificate is told here, not to each client as a failed handshake. */
static int check_pair(const gnutls_datum_t *chain, const gnutls_datum_t *key)
{
	gnutls_certificate_credentials_t credentials;
	int r = gnutls_certificate_allocate_credentials(&credentials);

	if (r < 0)
		return r;
	r = gnutls_certificate_set_x509_key_mem(credentials, chain, key, GNUTLS_X509_FMT_PEM);
	gnutls_certificate_free_credentials(credentials);
	return r;
}

static int load_certificate(struct webconfig *w, const char *path, const struct tls_config *t,
			    char *why, size_t why_size)
{
	_cleanup_(freep) char *cert = NULL, *key = NULL;
	gnutls_datum_t chain, data;
	unsigned n = TLS_CHAIN_MAX;
	size_t len;
	int r;

	r = read_beside(w, path, t->cert_file, &cert, &len, why, why_size);
	if (r < 0)
		return r;
	chain = (gnutls_datum_t){ (unsigned char *)cert, (unsigned)len };
	r = gnutls_pcert_list_import_x509_raw(w->chain, &n, &chain, GNUTLS_X509_FMT_PEM, 0);
	if (r < 0)
		return tls_error(r, t->cert_file, why, why_size);
	w->chain_len = n;
	r = read_beside(w, path, t->key_file, &key, &len, why, why_size);
	if (r < 0)
		return r;
	data = (gnutls_datum_t){ (unsigned char *)key, (unsigned)len };
	r = gnutls_privkey_init(&w->key);
	if (r >= 0)
		r = gnutls_privkey_import_x509_raw(w->key, &data, GNUTLS_X509_FMT_PEM, NULL, 0);
	if (r >= 0)
		r = check_pair(&chain, &data);
	gnutls_memset(key, 0, len);
	return r < 0 ? tls_error(r, t->key_file, why, why_size) : 0;
}

/*
 * Without the exchange of keys by RSA alone: it has no forward secrecy, and it needs the private key a second time, when a
 * reload may have replaced it.
 */
static void set_priorities(struct webconfig *w, const struct tls_config *t)
{
	static const char *const versions[] = { "1.3", "1.2", "1.1", "1.0" };
	struct strbuf b;

	strbuf_init_fixed(&b, w->priorities, sizeof(w->priorities));
	strbuf_addstr(&b, "NORMAL:-RSA:-VERS-ALL");
	for (int v = t->max_version; v <= t->min_version; v++)
		strbuf_addf(&b, ":+VERS-TLS%s", versions[v]);
}

static int load_authorities(struct webconfig *w, const char *path, const char *name, char *why,
			    size_t why_size)
{
	_cleanup_(freep) char *pem = NULL;
	gnutls_datum_t data;
	size_t len;
	int r = read_beside(w, path, name, &pem, &len, why, why_size);

	if (r < 0)
		return r;
	data = (gnutls_datum_t){ (unsigned char *)pem, (unsigned)len };
	r = gnutls_x509_trust_list_init(&w->client_ca, 0);
	if (r >= 0)
		r = gnutls_x509_trust_list_add_trust_mem(w->client_ca, &data, NULL,
							 GNUTLS_X509_FMT_PEM, 0, 0);
	if (r == 0) {
		(void)snprintf(why, why_size, "%s: holds no certificate", name);
		return -EINVAL;
	}
	return r < 0 ? tls_error(r, name, why, why_size) : 0;
}

static int load_tls(struct webconfig *w, const char *path, char *why, size_t why_size)
{
	const struct tls_config *t = config_section(w->config, "tls_server_config");
	int r;

	if (!*t->cert_file && !*t->key_file && !*t->client_ca_file &&
	    t->client_auth_type == NO_CLIENT_CERT)
		return 0;
	if (t->max_version > t->min_version) { /* the newest has number 0 */
		(void)snprintf(why, why_size,
			       "%s: tls_server_config: max_version is below min_version", path);
		return -EINVAL;
	}
	if (!*t->cert_file || !*t->key_file) {
		(void)snprintf(why, why_size,
			       "%s: tls_server_config: cert_file and key_file come together", path);
		return -EINVAL;
	}
	r = load_certificate(w, path, t, why, why_size);
	if (r < 0)
		return r;
	w->tls = true;
	set_priorities(w, t);
	w->client_required = t->client_auth_type == REQUIRE_ANY ||
			     t->client_auth_type == REQUIRE_AND_VERIFY;
	w->client_verified = t->client_auth_type == VERIFY_IF_GIVEN ||
			     t->client_auth_type == REQUIRE_AND_VERIFY;
	if (w->client_verified && !*t->client_ca_file) {
		(void)snprintf(why, why_size,
			       "%s: tls_server_config: client_auth_type needs client_ca_file",
			       path);
		return -EINVAL;
	}
	if (*t->client_ca_file && t->client_auth_type == NO_CLIENT_CERT) {
		(void)snprintf(why, why_size,
			       "%s: tls_server_config: client_ca_file needs client_auth_type",
			       path);
		return -EINVAL;
	}
	w->client_sans = &t->client_allowed_sans;
	if (t->client_allowed_sans.n && !w->client_verified) {
		(void)snprintf(
			why, why_size,
			"%s: tls_server_config: client_allowed_sans needs certificates that are verified",
			path);
		return -EINVAL;
	}
	return *t->client_ca_file ? load_authorities(w, path, t->client_ca_file, why, why_size) : 0;
}

static int check_users(const struct webconfig *w, const char *path, char *why, size_t why_size)
{
	char reason[96];

	for (size_t i = 0; i < w->users->n; i++) {
		const struct config_pair *u = &w->users->items[i];

		if (check_hash(u->value, reason, sizeof(reason)) == 0)
			continue;
		(void)snprintf(why, why_size, "%s:%u:%u: basic_auth_users.%s: %s", path, u->line,
			       u->column, u->key, reason);
		return -EINVAL;
	}
	return 0;
}

int webconfig_load(const char *path, char *why, size_t why_size, struct webconfig **ret)
{
	_cleanup_(webconfig_freep) struct webconfig *w = calloc(1, sizeof(*w));
	struct diags diags = {};
	int r;

	if (!w)
		return -ENOMEM;
	if (*path)
		note_file(w, path);
	r = config_load(*path ? path : NULL, sections, &diags, &w->config);
	if (r < 0) {
		if (diags.n)
			(void)diag_format(&diags.items[0], why, why_size);
		return r;
	}
	w->users =
		&((const struct users_config *)config_section(w->config, "basic_auth_users"))->users;
	w->headers = &((const struct http_config *)config_section(w->config, "http_server_config"))
			      ->headers;
	r = check_users(w, path, why, why_size);
	if (r >= 0)
		r = load_tls(w, path, why, why_size);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(w);
	return 0;
}

struct webconfig *webconfig_free(struct webconfig *w)
{
	if (!w)
		return NULL;
	for (unsigned i = 0; i < w->chain_len; i++)
		gnutls_pcert_deinit(&w->chain[i]);
	if (w->key)
		gnutls_privkey_deinit(w->key);
	if (w->client_ca)
		gnutls_x509_trust_list_deinit(w->client_ca, 1);
	for (unsigned i = 0; i < w->n_files; i++)
		free(w->files[i]);
	config_free(w->config);
	free(w);
	return NULL;
}

int http_web_config_check(const char *path, char *why, size_t why_size)
{
	_cleanup_(webconfig_freep) struct webconfig *w = NULL;

	return webconfig_load(path, why, why_size, &w);
}
