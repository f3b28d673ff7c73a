/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_kmsg: a follower of the kernel log, as cAdvisor's oomparser is one
 *
 * Follows /dev/kmsg from its end. Between "invoked oom-killer" and "Killed process" it takes what that parser's regular expressions take:
 * the line of the constraint, or the older one of the cgroups, then pid and name of the process. One line per kill, with the instant at
 * which it was known (CLOCK_MONOTONIC):
 *   NS pid=.. name=.. constraint=.. container=.. victim_container=..
 */

#include <errno.h>
#include <fcntl.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define START "invoked oom-killer:"
#define FACTS \
	"oom-kill:constraint=(.*),nodemask=(.*),cpuset=(.*),mems_allowed=(.*),oom_memcg=(.*),task_memcg=(.*),task=(.*),pid=(.*),uid=(.*)"
#define KILLED "Killed process ([0-9]+) \\((.+)\\)"

static regex_t facts, killed;

struct kill {
	char constraint[64], container[512], victim[512];
};

static void take(const char *text, regmatch_t m, char *ret, size_t size)
{
	(void)snprintf(ret, size, "%.*s", (int)(m.rm_eo - m.rm_so), text + m.rm_so);
}

static void look_at(const char *text, struct kill *k)
{
	regmatch_t m[10];
	struct timespec t;

	if (strstr(text, START)) {
		*k = (struct kill){};
	} else if (regexec(&facts, text, 10, m, 0) == 0) {
		take(text, m[1], k->constraint, sizeof(k->constraint));
		take(text, m[5], k->container, sizeof(k->container));
		take(text, m[6], k->victim, sizeof(k->victim));
	} else if (regexec(&killed, text, 3, m, 0) == 0) {
		char pid[16], name[64];

		take(text, m[1], pid, sizeof(pid));
		take(text, m[2], name, sizeof(name));
		(void)clock_gettime(CLOCK_MONOTONIC, &t);
		printf("%lld pid=%s name=%s constraint=%s container=%s victim_container=%s\n",
		       (long long)t.tv_sec * 1000000000 + t.tv_nsec, pid, name, k->constraint,
		       k->container, k->victim);
		(void)fflush(stdout);
	}
}

int main(void)
{
	static char record[8192];
	struct kill k = {};
	int fd = open("/dev/kmsg", O_RDONLY | O_CLOEXEC);

	if (fd < 0 || lseek(fd, 0, SEEK_END) < 0) {
		perror("bench_kmsg: /dev/kmsg");
		return 3;
	}
	if (regcomp(&facts, FACTS, REG_EXTENDED) || regcomp(&killed, KILLED, REG_EXTENDED))
		return 3;
	for (;;) {
		ssize_t n = read(fd, record, sizeof(record) - 1);
		char *text;

		if (n < 0 && (errno == EPIPE || errno == EINTR))
			continue;
		if (n < 0)
			return 1;
		record[n] = '\0';
		text = strchr(record, ';');
		if (!text)
			continue;
		text[strcspn(text, "\n")] = '\0';
		look_at(text + 1, &k);
	}
}
