/* SPDX-License-Identifier: Apache-2.0 */
/* libcurl, loaded when it is asked for, and then never unloaded: TLS libraries below it do not stand that. */

#include <dlfcn.h>
#include <stddef.h>
#include "base/macro.h"
#include "http/curl.h"

/* The flavours have one binary interface. GnuTLS first, because the agent's own server has it in memory already. */
static const char *const libraries[] = { "libcurl-gnutls.so.4", "libcurl.so.4" };

static const struct {
	const char *name;
	size_t offset;
} symbols[] = {
	{ "curl_global_init", offsetof(struct curl_api, global_init) },
	{ "curl_easy_init", offsetof(struct curl_api, easy_init) },
	{ "curl_easy_cleanup", offsetof(struct curl_api, easy_cleanup) },
	{ "curl_easy_setopt", offsetof(struct curl_api, easy_setopt) },
	{ "curl_easy_getinfo", offsetof(struct curl_api, easy_getinfo) },
	{ "curl_easy_perform", offsetof(struct curl_api, easy_perform) },
	{ "curl_easy_strerror", offsetof(struct curl_api, easy_strerror) },
	{ "curl_slist_append", offsetof(struct curl_api, slist_append) },
	{ "curl_slist_free_all", offsetof(struct curl_api, slist_free_all) },
};
_Static_assert(ARRAY_SIZE(symbols) * sizeof(void *) == sizeof(struct curl_api),
	       "one row per function");

const struct curl_api *curl_api(void)
{
	static struct curl_api api;
	void *library = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(libraries) && !library; i++)
		library = dlopen(libraries[i], RTLD_NOW | RTLD_LOCAL);
	if (!library)
		return NULL;
	for (size_t i = 0; i < ARRAY_SIZE(symbols); i++) {
		void *symbol = dlsym(library, symbols[i].name);

		if (!symbol)
			return NULL;
		memcpy((char *)&api + symbols[i].offset, &symbol, sizeof(symbol));
	}
	return &api;
}
