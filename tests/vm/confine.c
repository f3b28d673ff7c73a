/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vm_confine FILE PROGRAM [ARGUMENT]...
 *
 * Runs a program with the system calls alone whose numbers stand in FILE; all others fail with EPERM. What systemd does for
 * SystemCallFilter=, SystemCallErrorNumber=EPERM and NoNewPrivileges=yes, where there is no systemd.
 */

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define CALLS_MAX 1000

#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#else
#error "which architecture is this?"
#endif

static struct sock_filter filter[2 * CALLS_MAX + 5];
static unsigned short length;

static void add(struct sock_filter f)
{
	filter[length++] = f;
}

static int read_calls(const char *path)
{
	FILE *f = fopen(path, "re");
	unsigned number;

	if (!f)
		return -errno;
	while (fscanf(f, "%u", &number) == 1 && length + 3U < sizeof(filter) / sizeof(*filter)) {
		add((struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1));
		add((struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
	}
	(void)fclose(f);
	return 0;
}

static int confine(const char *path)
{
	struct sock_fprog program = { .filter = filter };
	int r;

	/* Another architecture has other numbers: nothing passes. */
	add((struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
					 offsetof(struct seccomp_data, arch)));
	add((struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCH, 1, 0));
	add((struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM));
	add((struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
					 offsetof(struct seccomp_data, nr)));
	r = read_calls(path);
	if (r < 0)
		return r;
	add((struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM));
	program.len = length;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
		return -errno;
	return 0;
}

int main(int argc, char **argv)
{
	int r = argc < 3 ? -EINVAL : confine(argv[1]);

	if (r < 0) {
		(void)fprintf(stderr, "vm_confine: %s\n", strerror(-r));
		return 3;
	}
	(void)execvp(argv[2], argv + 2);
	perror("vm_confine");
	return 3;
}
