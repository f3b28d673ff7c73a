/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <curl/curl.h>

/*
 * The functions of libcurl that the client uses
 *
 * The build picks where they come from: curl-linked.c for `telamon`, which always needs them; curl-load.c for the agent, which loads
 * libcurl when something is to be fetched. Linked, it would cost the agent 3 MiB of resident memory for a client that is off.
 */
struct curl_api {
	__typeof__(&curl_global_init) global_init;
	__typeof__(&curl_easy_init) easy_init;
	__typeof__(&curl_easy_cleanup) easy_cleanup;
	__typeof__(&curl_easy_setopt) easy_setopt;
	__typeof__(&curl_easy_getinfo) easy_getinfo;
	__typeof__(&curl_easy_perform) easy_perform;
	__typeof__(&curl_easy_strerror) easy_strerror;
	__typeof__(&curl_slist_append) slist_append;
	__typeof__(&curl_slist_free_all) slist_free_all;
};
const struct curl_api *curl_api(void); /* NULL: there is no libcurl. Called once */
