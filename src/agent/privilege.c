/* SPDX-License-Identifier: Apache-2.0 */
/* Dropping capabilities in all threads: each does it itself, in a signal handler, because nobody else can. */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "agent/privilege.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "base/parse.h"

#define DROPPED (1ULL << CAP_BPF | 1ULL << CAP_PERFMON)
#define ROUNDS 16 /* threads may be made while the list is read */
#define ANSWER_MS 2000

static atomic_uint answers;

static int drop_in_this_thread(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &head, data) < 0)
		return -errno;
	for (int i = 0; i < 2; i++) {
		uint32_t gone = (uint32_t)(DROPPED >> (32 * i));

		data[i].effective &= ~gone;
		data[i].permitted &= ~gone;
		data[i].inheritable &= ~gone;
	}
	return syscall(SYS_capset, &head, data) < 0 ? -errno : 0;
}

static void on_drop_signal(int signal)
{
	int saved = errno;

	(void)signal;
	(void)drop_in_this_thread();
	atomic_fetch_add(&answers, 1);
	errno = saved;
}

/* Does thread @tid still hold one of them? Also true when it cannot be told. */
static bool still_holds(const char *tid)
{
	char path[64], text[4096];
	const char *line;
	uint64_t caps;

	(void)snprintf(path, sizeof(path), "/proc/self/task/%s/status", tid);
	if (fs_read_into(AT_FDCWD, path, text, sizeof(text)) < 0)
		return false; /* it has gone */
	line = strstr(text, "\nCapPrm:\t");
	if (!line)
		return true;
	line += strlen("\nCapPrm:\t");
	return parse_hex64(line, strcspn(line, "\n"), &caps) < 0 || (caps & DROPPED) != 0;
}

static int tell(const char *tid, int signal)
{
	unsigned before = atomic_load(&answers);
	uint32_t id;

	if (parse_u32(tid, &id) < 0)
		return -EINVAL;
	if (syscall(SYS_tgkill, getpid(), id, signal) < 0)
		return errno == ESRCH ? 0 : -errno;
	for (int ms = 0; atomic_load(&answers) == before; ms++) {
		if (ms >= ANSWER_MS)
			return -ETIMEDOUT;
		(void)poll(NULL, 0, 1);
	}
	return 0;
}

/* Number of threads that were told, or -errno. */
static int tell_threads(int signal)
{
	_cleanup_(closedirp) DIR *tasks = opendir("/proc/self/task");
	const struct dirent *entry;
	int told = 0;

	if (!tasks)
		return -errno;
	while ((entry = readdir(tasks))) {
		int r;

		if (entry->d_name[0] == '.' || !still_holds(entry->d_name))
			continue;
		r = tell(entry->d_name, signal);
		if (r < 0)
			return r;
		told++;
	}
	return told;
}

static bool works_without(int (*fn)(void *ctx), void *ctx)
{
	pid_t pid = fork();
	int status = 1;

	if (pid == 0)
		_exit(drop_in_this_thread() < 0 || fn(ctx) < 0);
	if (pid < 0)
		return false;
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

int privilege_drop_bpf(int (*fn)(void *ctx), void *ctx)
{
	struct sigaction action = { .sa_handler = on_drop_signal, .sa_flags = SA_RESTART }, before;
	int signal = SIGRTMIN + 4, r;

	if (!works_without(fn, ctx))
		return -EPERM;
	sigfillset(&action.sa_mask);
	if (sigaction(signal, &action, &before) < 0)
		return -errno;
	r = 1;
	for (int round = 0; round < ROUNDS && r > 0; round++)
		r = tell_threads(signal);
	(void)sigaction(signal, &before, NULL);
	return r > 0 ? -ETIMEDOUT : r;
}
