/* SPDX-License-Identifier: Apache-2.0 */
/*
 * telamon __hog: the process that `telamon lab oom` sends to its death
 *
 * Grows by steps, one distinct word in each page, so that neither KSM nor the zero page can cheat. It waits for a byte on stdin, so
 * that the lab has put it where it belongs. An alarm and the death of its parent end it in any case.
 */

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/parse.h"
#include "cli/cli.h"

#define STACK_BYTES (256 * 1024)

struct hog {
	uint64_t total, step, interval_us;
	bool hold; /* after the last step, wait for the end */
};

static void grow(const struct hog *h)
{
	long page = sysconf(_SC_PAGESIZE);
	char *memory = mmap(NULL, h->total, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (memory == MAP_FAILED)
		_exit(3);
	(void)madvise(memory, h->total, MADV_NOHUGEPAGE);
	for (uint64_t done = 0; done < h->total;) {
		uint64_t end = MIN(done + h->step, h->total);
		char line[32];
		int n;

		for (; done < end; done += (uint64_t)page)
			*(volatile uint64_t *)(memory + done) = done ^ 0x5bd1e995a3c59ac3ULL;
		n = snprintf(line, sizeof(line), "%llu\n", (unsigned long long)done);
		if (write(STDOUT_FILENO, line, (size_t)n) < 0 ||
		    usleep((useconds_t)h->interval_us) < 0)
			_exit(3);
	}
	while (h->hold)
		(void)pause();
}

static void *grow_thread(void *arg)
{
	grow(arg);
	return NULL;
}

static int grow_clone(void *arg)
{
	(void)arg;
	while (pause() < 0) /* shares the memory, does nothing with it */
		;
	return 0;
}

/* A second process on the same memory: CLONE_VM without CLONE_THREAD. */
static int start_sharer(void)
{
	char *stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);

	if (stack == MAP_FAILED)
		return -errno;
	return clone(grow_clone, stack + STACK_BYTES, CLONE_VM | SIGCHLD, NULL) < 0 ? -errno : 0;
}

/*
 * Kills process @text and makes it late for its own death: ahead of all others on this CPU, which the lab gave to both, it
 * grows in one go. Without the right to that, the victim is often gone before; the lab tries again.
 */
static int kill_and_overtake(const char *text, struct hog *h)
{
	const struct sched_param first = { .sched_priority = 1 };
	uint32_t pid;

	if (parse_u32(text, &pid) < 0 || pid < 2)
		return -EINVAL;
	(void)sched_setscheduler(0, SCHED_FIFO, &first);
	h->step = h->total;
	return kill((pid_t)pid, SIGKILL) < 0 ? -errno : 0;
}

int cli_hog(int argc, char **argv)
{
	const char *total = NULL, *step = "1MiB", *interval = "0", *mode = "plain", *timeout = "60";
	struct hog h = {};
	bool hold = false;
	const struct cli_option options[] = {
		{ "total", OPTION_TEXT, &total, "bytes" },
		{ "step", OPTION_TEXT, &step, "bytes" },
		{ "interval", OPTION_TEXT, &interval, "time" },
		{ "mode", OPTION_TEXT, &mode, "plain thread sharer kill:PID" },
		{ "timeout", OPTION_TEXT, &timeout, "seconds" },
		{ "hold", OPTION_FLAG, &hold, "stay" },
		{},
	};
	uint32_t seconds;
	pthread_t thread;
	char go;

	if (cli_parse("telamon __hog", options, argc, argv) < 0 || !total ||
	    parse_size(total, &h.total) < 0 || parse_size(step, &h.step) < 0 ||
	    parse_duration(interval, &h.interval_us) < 0 || parse_u32(timeout, &seconds) < 0)
		return CLI_USAGE;
	h.hold = hold;
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)alarm(seconds);
	if (read(STDIN_FILENO, &go, 1) != 1)
		return CLI_UNREACHABLE;
	if (streq(mode, "sharer") && start_sharer() < 0)
		return CLI_UNREACHABLE;
	if (strncmp(mode, "kill:", 5) == 0 && kill_and_overtake(mode + 5, &h) < 0)
		return CLI_UNREACHABLE;
	if (!streq(mode, "thread")) {
		grow(&h);
		return CLI_OK;
	}
	if (pthread_create(&thread, NULL, grow_thread, &h))
		return CLI_UNREACHABLE;
	(void)pthread_join(thread, NULL);
	return CLI_OK;
}
