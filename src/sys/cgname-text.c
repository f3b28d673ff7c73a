/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names inside cgroup paths and pods: systemd's escapes, and the workload that a pod name tells
 */

#include <string.h>
#include "base/macro.h"
#include "sys/cgname.h"

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 32;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

size_t cgname_unescape(const char *s, size_t len, char *buf, size_t size)
{
	size_t n = 0;

	for (size_t i = 0; i < len && n + 1 < size; i++) {
		int hi = -1, lo = -1;

		if (i + 3 < len && s[i] == '\\' && s[i + 1] == 'x') {
			hi = hex_digit(s[i + 2]);
			lo = hex_digit(s[i + 3]);
		}
		if (hi < 0 || lo < 0 || (hi | lo) == 0) { /* a NUL would cut the name */
			buf[n++] = s[i];
			continue;
		}
		buf[n++] = (char)(hi << 4 | lo);
		i += 3;
	}
	if (size)
		buf[n] = '\0';
	return n;
}

static bool all_of(const char *s, size_t len, const char *set)
{
	for (size_t i = 0; i < len; i++)
		if (!memchr(set, s[i], strlen(set)))
			return false;
	return len > 0;
}

/* Position of the last '-' in the first @len bytes, or 0. */
static size_t last_dash(const char *s, size_t len)
{
	while (len > 0 && s[len - 1] != '-')
		len--;
	return len ? len - 1 : 0;
}

size_t cgname_workload(const char *pod, size_t len, const char *node)
{
	static const char generated[] =
		"bcdfghjklmnpqrstvwxz2456789"; /* k8s.io/apimachinery/pkg/util/rand */
	size_t dash = last_dash(pod, len), hash;
	size_t node_len = node ? strlen(node) : 0;

	if (node_len && len > node_len + 1 && pod[len - node_len - 1] == '-' &&
	    memcmp(pod + len - node_len, node, node_len) == 0)
		return len - node_len - 1;
	if (dash == 0)
		return len;
	if (len - dash - 1 == 5 && all_of(pod + dash + 1, 5, generated)) {
		hash = last_dash(pod, dash);
		if (hash > 0 && dash - hash - 1 >= 6 && dash - hash - 1 <= 10 &&
		    all_of(pod + hash + 1, dash - hash - 1, generated))
			return hash;
		return dash;
	}
	if (all_of(pod + dash + 1, len - dash - 1, "0123456789"))
		return dash;
	return len;
}
