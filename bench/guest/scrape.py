# SPDX-License-Identifier: Apache-2.0
"""Scrapes node_exporter each second, as Prometheus would: one line `NANOSECONDS KILLS` per answer, on the monotonic clock."""

import re
import time
import urllib.request

while True:
    started = time.monotonic()
    with urllib.request.urlopen("http://127.0.0.1:9100/metrics", timeout=10) as reply:
        text = reply.read().decode()
    print(time.monotonic_ns(), re.search(r"^node_vmstat_oom_kill (\S+)$", text, re.MULTILINE).group(1), flush=True)
    time.sleep(max(0, 1 - (time.monotonic() - started)))
