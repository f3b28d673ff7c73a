/* SPDX-License-Identifier: Apache-2.0 */
/* The client side's configuration file, in the form of Prometheus' http_config. */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include "base/fs.h"
#include "config/config.h"
#include "http/client.h"

struct basic_config {
	const char *username, *password, *password_file;
};
struct authorization_config {
	const char *type, *credentials, *credentials_file;
};
struct tls_config {
	const char *ca_file, *cert_file, *key_file;
	bool insecure_skip_verify;
};

#define TEXT(key, structure, help_) \
	CONFIG_ROW(#key, struct structure, key, CONFIG_STRING, .def = "", .help = help_)

static const struct config_row basic_rows[] = {
	TEXT(username, basic_config, "User name."),
	CONFIG_ROW("password", struct basic_config, password, CONFIG_STRING, .def = "",
		   .flags = CONFIG_SECRET, .help = "Password."),
	TEXT(password_file, basic_config, "File that holds the password."),
	{},
};
static const struct config_row authorization_rows[] = {
	TEXT(type, authorization_config, "Bearer."),
	CONFIG_ROW("credentials", struct authorization_config, credentials, CONFIG_STRING,
		   .def = "", .flags = CONFIG_SECRET, .help = "Token."),
	TEXT(credentials_file, authorization_config, "File that holds the token."),
	{},
};
static const struct config_row tls_rows[] = {
	TEXT(ca_file, tls_config, "Authorities, PEM."),
	TEXT(cert_file, tls_config, "Client certificate, PEM."),
	TEXT(key_file, tls_config, "Client key, PEM."),
	CONFIG_ROW("insecure_skip_verify", struct tls_config, insecure_skip_verify, CONFIG_BOOL,
		   .def = "false", .help = "Do not check the server's certificate."),
	{},
};
static const struct config_section sections[] = {
	{ "basic_auth", basic_rows, sizeof(struct basic_config) },
	{ "authorization", authorization_rows, sizeof(struct authorization_config) },
	{ "tls_config", tls_rows, sizeof(struct tls_config) },
	{},
};

struct http_client_config {
	struct config *config;
	char *secret; /* out of a file */
};

static int read_secret(struct http_client_config *c, const char *path, char *why, size_t why_size)
{
	int r = fs_read_at(AT_FDCWD, path, 65536, &c->secret, NULL);

	if (r < 0) {
		(void)snprintf(why, why_size, "cannot read '%s': %s", path, strerror(-r));
		return r;
	}
	c->secret[strcspn(c->secret, "\r\n")] = '\0';
	return 0;
}

int http_client_config_load(const char *path, char *why, size_t why_size,
			    struct http_client_config **ret, struct http_client_options *options)
{
	_cleanup_(http_client_config_freep) struct http_client_config *c = calloc(1, sizeof(*c));
	const struct basic_config *basic;
	const struct authorization_config *authorization;
	const struct tls_config *tls;
	struct diags diags = {};
	int r;

	if (!c)
		return -ENOMEM;
	r = config_load(path, sections, &diags, &c->config);
	if (r < 0) {
		if (diags.n)
			(void)diag_format(&diags.items[0], why, why_size);
		return r;
	}
	basic = config_section(c->config, "basic_auth");
	authorization = config_section(c->config, "authorization");
	tls = config_section(c->config, "tls_config");
	if (*basic->password_file)
		r = read_secret(c, basic->password_file, why, why_size);
	else if (*authorization->credentials_file)
		r = read_secret(c, authorization->credentials_file, why, why_size);
	if (r < 0)
		return r;
	if (*basic->username) {
		options->user = basic->username;
		options->password = *basic->password_file ? c->secret : basic->password;
	} else if (*authorization->credentials || *authorization->credentials_file) {
		options->bearer_token =
			*authorization->credentials_file ? c->secret : authorization->credentials;
	}
	options->ca_file = tls->ca_file;
	options->cert_file = tls->cert_file;
	options->key_file = tls->key_file;
	options->insecure = tls->insecure_skip_verify;
	*ret = TAKE_PTR(c);
	return 0;
}

struct http_client_config *http_client_config_free(struct http_client_config *c)
{
	if (!c)
		return NULL;
	config_free(c->config);
	free(c->secret);
	free(c);
	return NULL;
}
