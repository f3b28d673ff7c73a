/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "cli/cli.h"

/* What the commands of `telamon route` share. Each returns the exit status: 0 done, 1 errors, 2 usage. */
int cli_route_check(int argc, char **argv);
int cli_route_plan(int argc, char **argv);
int cli_route_explain(int argc, char **argv);
int cli_route_replay(int argc, char **argv);
int cli_route_bench(int argc, char **argv);
int cli_route_sink(int argc, char **argv);

/* "127.0.0.1:9009", ":9009", "[::1]:9009"; the first address that it means. 0 or -EINVAL. */
struct sockaddr_storage;
int route_address(const char *text, bool passive, struct sockaddr_storage *ret, unsigned *ret_len);
/* A number of samples, series, seconds… from an option. False after a message on stderr. */
bool route_number(const char *option, const char *text, uint64_t min, uint64_t max, uint64_t *ret);
bool route_format(const char *text, bool *ret_json); /* text or json */
bool route_duration(const char *option, const char *text, uint64_t *ret_us);

struct diags;
void route_print_diags(const struct diags *d, const char *prefix);

/* A checked configuration with its tables; errors go to stderr. 0 or -errno. The snapshot owns the configuration. */
struct snapshot;
int route_open(const char *path, struct diags *warnings, struct snapshot **ret);
/* GET of @url + @path: the JSON of it, owned by the caller; NULL after a message on stderr. */
json_t *route_get_json(const char *server, const char *path);
