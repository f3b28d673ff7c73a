/* SPDX-License-Identifier: Apache-2.0 */
/* libcurl as the linker found it. */

#include "http/curl.h"

const struct curl_api *curl_api(void)
{
	static const struct curl_api api = {
		curl_global_init,   curl_easy_init,    curl_easy_cleanup,
		curl_easy_setopt,   curl_easy_getinfo, curl_easy_perform,
		curl_easy_strerror, curl_slist_append, curl_slist_free_all,
	};

	return &api;
}
