/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Surviving an OOM of the host
 *
 * Memory is locked on fault, so that only touched pages are paid for; the pages of the event path are touched at start.
 * oom_score_adj is -999 and not -1000: an agent that leaks must still be killable.
 */
#define LOG_MODULE "agent"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include "agent/protect.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/parse.h"
#include "base/strbuf.h"

#define ADJ_PATH "/proc/self/oom_score_adj"
#define DESCRIPTORS_OTHERS 2048 /* connections, programs and maps, journal, libraries */

/* A lowered value needs CAP_SYS_RESOURCE unless it was that low before, so an inherited one is good enough. */
static void set_adj(struct protection *p, int want)
{
	char text[16] = "";
	struct strbuf b;
	int64_t now = 0;
	int r;

	strbuf_init_fixed(&b, text, sizeof(text));
	strbuf_addi64(&b, want);
	r = fs_write_at(AT_FDCWD, ADJ_PATH, strbuf_str(&b));
	if (r < 0)
		log_warning_errno(r,
				  "cannot set oom_score_adj to %d (needs CAP_SYS_RESOURCE), "
				  "an OOM of the host may kill the agent, ignoring",
				  want);

	if (fs_read_into(AT_FDCWD, ADJ_PATH, text, sizeof(text)) > 0) {
		text[strcspn(text, "\n")] = '\0';
		if (parse_i64(text, &now) == 0)
			p->adj_value = (int)now;
	}
	p->adj = p->adj_value <= want;
}

/* What the limit is afterwards. */
static rlim_t raise_nofile(rlim_t want)
{
	struct rlimit old, lim = { want, want };

	if (getrlimit(RLIMIT_NOFILE, &old) < 0)
		return 0;
	if (old.rlim_cur >= want)
		return old.rlim_cur;
	lim.rlim_max = MAX(old.rlim_max, want);
	if (setrlimit(RLIMIT_NOFILE, &lim) == 0)
		return want;
	/* Up to the hard limit needs no right. */
	lim = (struct rlimit){ old.rlim_max, old.rlim_max };
	return setrlimit(RLIMIT_NOFILE, &lim) == 0 ? lim.rlim_cur : old.rlim_cur;
}

uint64_t protect_descriptors(uint64_t wanted)
{
	rlim_t limit = raise_nofile(DESCRIPTORS_OTHERS + wanted);

	return limit < DESCRIPTORS_OTHERS ? 0 : MIN(limit - DESCRIPTORS_OTHERS, wanted);
}

void protect_early(struct protection *p, int want_adj)
{
	if (raise_nofile(DESCRIPTORS_OTHERS) < DESCRIPTORS_OTHERS)
		log_warning("cannot raise RLIMIT_NOFILE to %d, ignoring", DESCRIPTORS_OTHERS);
	set_adj(p, want_adj);
}

void protect_late(struct protection *p)
{
	if (mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) == 0) {
		p->locked = p->locked_all = true;
		return;
	}
	log_warning_errno(-errno, "cannot lock all memory (needs CAP_IPC_LOCK or RLIMIT_MEMLOCK), "
				  "locking the pools of the event path only");
}

bool protect_prefault(void *memory, size_t size)
{
	volatile char *p = memory;

	/* Written, because a page that was only read is the shared zero page. */
	for (size_t i = 0; i < size; i += 4096)
		p[i] = p[i];
	return mlock(memory, size) == 0;
}
