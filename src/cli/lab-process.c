/* SPDX-License-Identifier: Apache-2.0 */
/* Processes of the lab: hogs that die, a bystander that must not. */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include "base/fs.h"
#include "base/parse.h"
#include "base/time.h"
#include "cli/lab.h"

#define BYSTANDER_BYTES (8 << 20)

static int join_cgroup(struct lab *l, const char *cgroup)
{
	char pid[16];

	(void)snprintf(pid, sizeof(pid), "%d", (int)getpid());
	return lab_cgroup_write(l, cgroup, "cgroup.procs", pid);
}

static void set_adj(int adj)
{
	char text[16];

	(void)snprintf(text, sizeof(text), "%d", adj);
	(void)fs_write_at(AT_FDCWD, "/proc/self/oom_score_adj", text);
}

static _Noreturn void become_hog(struct lab *l, const char *cgroup, const struct lab_hog *h,
				 bool hold, int in, int out)
{
	char step[32], interval[32], timeout[16];

	if (join_cgroup(l, cgroup) < 0)
		_exit(3);
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	set_adj(h->adj);
	if (dup2(in, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0)
		_exit(3);
	(void)snprintf(step, sizeof(step), "%lluB", (unsigned long long)l->step);
	(void)snprintf(interval, sizeof(interval), "%lluus", (unsigned long long)l->interval_us);
	(void)snprintf(timeout, sizeof(timeout), "%u", l->timeout_s);
	(void)execl(l->exe, "telamon", "__hog", "--total", h->total, "--step", step, "--interval",
		    interval, "--mode", h->mode, "--timeout", timeout, hold ? "--hold" : NULL,
		    NULL);
	_exit(3);
}

int lab_hog_start(struct lab *l, const char *cgroup, uint64_t total, const char *mode, bool hold,
		  int adj, struct lab_hog *ret)
{
	int in[2], out[2];

	*ret = (struct lab_hog){ .go = -EBADF, .out = -EBADF, .status = -1, .adj = adj };
	(void)snprintf(ret->cgroup, sizeof(ret->cgroup), "%s%s%s", l->base, *cgroup ? "/" : "",
		       cgroup);
	(void)snprintf(ret->total, sizeof(ret->total), "%lluB", (unsigned long long)total);
	(void)snprintf(ret->mode, sizeof(ret->mode), "%s", mode);
	if (pipe2(in, O_CLOEXEC) < 0)
		return -errno;
	if (pipe2(out, O_CLOEXEC) < 0) {
		(void)close(in[0]);
		(void)close(in[1]);
		return -errno;
	}
	ret->pid = fork();
	if (ret->pid == 0)
		become_hog(l, cgroup, ret, hold, in[0], out[1]);
	(void)close(in[0]);
	(void)close(out[1]);
	ret->go = in[1];
	ret->out = out[0];
	(void)fcntl(ret->out, F_SETFL, O_NONBLOCK);
	return ret->pid < 0 ? -errno : 0;
}

void lab_hog_go(struct lab_hog *h)
{
	h->started_us = h->ended_us = time_mono_us();
	if (write(h->go, "g", 1) < 0) {
		/* It is gone already: waiting for it tells why. */
	}
}

/* The last whole line that it said. */
static void read_steps(struct lab *l, struct lab_hog *h)
{
	char text[512], last[32] = "";
	ssize_t n;

	while (h->out >= 0 && (n = read(h->out, text, sizeof(text) - 1)) > 0) {
		text[n] = '\0';
		for (char *line = text; *line;) {
			size_t len = strcspn(line, "\n");
			uint64_t v;

			if (!line[len])
				break;
			(void)snprintf(last, sizeof(last), "%.*s", (int)MIN(len, sizeof(last) - 1),
				       line);
			line += len + 1;
			if (parse_u64(last, &v) == 0)
				h->last_step = v;
		}
	}
	(void)l;
}

bool lab_hog_wait(struct lab *l, struct lab_hog *h, uint64_t until_us)
{
	while (h->status == -1) {
		int status;

		read_steps(l, h);
		h->ended_us = time_mono_us();
		if (waitpid(h->pid, &status, WNOHANG) == h->pid) {
			h->status = status;
			break;
		}
		if (time_mono_us() >= until_us)
			return false;
		(void)usleep(2000);
	}
	read_steps(l, h);
	return true;
}

bool lab_hog_oom_killed(const struct lab_hog *h)
{
	return h->status != -1 && WIFSIGNALED(h->status) && WTERMSIG(h->status) == SIGKILL;
}

void lab_hog_end(struct lab_hog *h)
{
	if (h->pid > 0 && h->status == -1) {
		(void)kill(h->pid, SIGKILL);
		(void)waitpid(h->pid, &h->status, 0);
	}
	closep(&h->go);
	closep(&h->out);
	h->go = h->out = -EBADF;
}

static _Noreturn void be_bystander(struct lab *l, int in, int out)
{
	char *memory = malloc(BYSTANDER_BYTES), c;

	if (join_cgroup(l, "bystander") < 0 || !memory)
		_exit(3);
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (size_t i = 0; i < BYSTANDER_BYTES; i += 64)
		memory[i] = (char)i;
	while (read(in, &c, 1) == 1)
		if (write(out, memory + 64, 1) != 1)
			break;
	_exit(0);
}

int lab_bystander_start(struct lab *l)
{
	int in[2], out[2], r;

	r = lab_cgroup_make(l, "bystander", 0);
	if (r < 0)
		return r;
	if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0)
		return -errno;
	l->bystander = fork();
	if (l->bystander == 0)
		be_bystander(l, in[0], out[1]);
	(void)close(in[0]);
	(void)close(out[1]);
	l->bystander_in = in[1];
	l->bystander_out = out[0];
	return l->bystander < 0 ? -errno : 0;
}

bool lab_bystander_alive(struct lab *l)
{
	struct pollfd p = { .fd = l->bystander_out, .events = POLLIN };
	char c;

	return write(l->bystander_in, "p", 1) == 1 && poll(&p, 1, 2000) == 1 &&
	       read(l->bystander_out, &c, 1) == 1;
}

void lab_bystander_stop(struct lab *l)
{
	if (l->bystander <= 0)
		return;
	(void)kill(l->bystander, SIGKILL);
	(void)waitpid(l->bystander, NULL, 0);
	l->bystander = 0;
	closep(&l->bystander_in);
	closep(&l->bystander_out);
}
