# SPDX-License-Identifier: Apache-2.0
"""OOM-116: kernel memory. The kernel charges it to `memory` first and asks for a victim there; a limit of kmem alone never makes it."""

import errno
import os
import signal

import pytest

from conftest import wait_for

LIMIT = 16 << 20

# Full pipes: nothing but memory of the kernel. Exits with 3 when the kernel refuses more.
PIPES = """
import os, resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
for _ in range(int(sys.argv[1]) // 65536):
    try:
        r, w = os.pipe()
        os.set_blocking(w, False)
        os.write(w, b'x' * 65536)
    except OSError:
        sys.exit(3)
"""


def pipes(group, size):
    return group.spawn("/usr/bin/python3", "-S", "-E", "-c", PIPES, size).wait(60)


def test_kernel_memory_meets_the_limit_of_memory(agent, cgroup, own):
    group = cgroup(own).limit(LIMIT)
    assert pipes(group, 2 * LIMIT) == -signal.SIGKILL
    record = wait_for("the record", lambda: agent.kills(own))[0]
    assert record["telamon.oom.limit.cgroup.path"] == own and record["telamon.oom.limit.max"] == LIMIT
    assert record["telamon.oom.limit.counter"] in (("memory", "memsw") if group.v1 else ("memory",))
    # The victim itself has next to nothing.
    assert record["telamon.oom.victim.rss.anon"] < LIMIT // 2


def test_a_limit_of_kmem_kills_nobody(agent, cgroup, own):
    """Before 5.16 the allocation fails; later kernels refuse such a limit, or take it without effect."""
    group = cgroup(own)
    if not os.path.exists(group.directory + "/memory.kmem.limit_in_bytes"):
        pytest.skip("this kernel has no such file")
    try:
        group.write("memory.kmem.limit_in_bytes", 2 << 20)
    except OSError as error:
        assert error.errno in (errno.EOPNOTSUPP, errno.EINVAL), error
    status = pipes(group, LIMIT)
    assert status in (0, 3)
    marker = cgroup(own + "/marker").limit(LIMIT)
    assert pipes(marker, 2 * LIMIT) == -signal.SIGKILL
    records = wait_for("a record of another kill", lambda: agent.kills(own))
    assert [r["telamon.cgroup.path"] for r in records] == [marker.path]
