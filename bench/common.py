# SPDX-License-Identifier: Apache-2.0
"""What the benchmarks share: an agent of their own, the load, guests, and how figures are kept."""

import contextlib
import datetime
import fcntl
import json
import os
import platform
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.path.abspath(os.path.join(TOP, os.environ.get("BUILD", "build")))
AGENT = os.path.join(BUILD, "telamon-agent")
LOAD = os.path.join(BUILD, "bench", "bench_load")
RESULTS = os.path.join(TOP, "bench", "results")
KILLS_PER_QUERY = 10000


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for(what, condition, seconds=30):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise SystemExit(f"bench: waited {seconds} s in vain for {what}")


class Agent:
    """One telamon-agent with its own directory, port and journal. `config` is YAML."""

    def __init__(self, directory, config=""):
        self.directory = str(directory)
        os.makedirs(self.directory, exist_ok=True)
        self.url = f"http://127.0.0.1:{free_port()}"
        self.log_file = os.path.join(self.directory, "agent.log")
        config_file = os.path.join(self.directory, "agent.yaml")
        with open(config_file, "w", encoding="utf-8") as f:
            f.write(f"paths: {{run: {self.directory}/run}}\n"
                    f"events: {{journal: {{path: {self.directory}/journal.db}}}}\n" + config)
        self.command = [AGENT, f"--config.file={config_file}",
                        "--web.listen-address=" + self.url.removeprefix("http://")]
        self.process = None

    def __enter__(self):
        with open(self.log_file, "ab") as log:
            # pylint: disable-next=consider-using-with
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        wait_for("a ready agent", self.is_ready, 60)
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGCONT)
        self.process.terminate()
        self.process.wait(30)

    def is_ready(self):
        if self.process.poll() is not None:
            with open(self.log_file, encoding="utf-8", errors="replace") as f:
                raise SystemExit(f"bench: the agent ended with {self.process.returncode}:\n{f.read()}")
        try:
            return self.get("/-/ready") is not None
        except OSError:
            return False

    def get(self, path):
        with urllib.request.urlopen(self.url + path, timeout=60) as reply:
            return reply.read().decode("utf-8", "replace")

    def events(self, query):
        return [json.loads(line) for line in self.get("/api/v1/events?" + query).splitlines()]

    def kills_of(self, load):
        """Records of kills in the cgroups of a load."""
        return self.events(f"type=oom.kill&limit={KILLS_PER_QUERY}&cgroup={load.cgroup}/*")

    def metrics(self):
        """{series as printed: value}"""
        lines = [line for line in self.get("/metrics").splitlines() if line and line[0] != "#"]
        return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in lines}

    def metric(self, name):
        """Sum of all series of `name`."""
        return sum(value for series, value in self.metrics().items() if series.split("{")[0] == name)

    def variants(self):
        return sorted(series.split('"')[1] + "=" + series.split('"')[3]
                      for series, value in self.metrics().items()
                      if series.startswith("telamon_hook_info{") and value == 1)


class Load:
    """bench_load, whose stdout is the truth."""

    def __init__(self, *arguments):
        # pylint: disable-next=consider-using-with
        self.process = subprocess.Popen([LOAD, *[str(a) for a in arguments]], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.cgroup = f"/telamon-bench-{self.process.pid}"
        line = self.process.stdout.readline()
        if line != "ready\n":
            raise SystemExit(f"bench: the load did not get ready: {line}")

    def go(self):
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def truth(self):
        """The victims, after the end of the load."""
        out, _ = self.process.communicate(timeout=900)
        if self.process.returncode:
            raise SystemExit(f"bench: the load ended with {self.process.returncode}")
        return [json.loads(line) for line in out.splitlines()]


@contextlib.contextmanager
def exclusive():
    """Held while kills are made: TELAMON_BENCH_LOCK names a file, for hosts on which others make kills, too."""
    path = os.environ.get("TELAMON_BENCH_LOCK")
    if not path:
        yield
        return
    with open(path, "a", encoding="ascii") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        yield


def scratch():
    return tempfile.TemporaryDirectory(prefix="telamon-bench-")


def guest(scenario, directory, *arguments, memory="2G", timeout=1800):
    """Boots the guest for one scenario; what it left in /results is then in `directory`."""
    env = dict(os.environ, BUILD=BUILD, BENCH_MEMORY=memory, BENCH_TIMEOUT=str(timeout))
    done = subprocess.run([os.path.join(TOP, "bench", "vm.sh"), scenario, directory, *arguments], env=env, check=False)
    if done.returncode:
        raise SystemExit(done.returncode)


def read(*path):
    with open(os.path.join(*path), encoding="utf-8", errors="replace") as f:
        return f.read()


def percentile(values, share):
    """Nearest rank; `share` of 0..100."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -(-len(ordered) * share // 100) - 1))]


def version():
    done = subprocess.run(["git", "-C", TOP, "describe", "--always", "--dirty"], stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, text=True, check=False)
    return done.stdout.strip() or "unknown"


def keep(name, bars, figures, lines=(), kernel=None, peers=""):
    """Writes bench/results/oom-NAME.{json,txt} and prints the text. A bar is (text, figure, met)."""
    head = {
        "benchmark": "oom-" + name,
        "command": " ".join(["bench/" + os.path.basename(sys.argv[0]), *sys.argv[1:]]),
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "kernel": kernel or platform.release(),
        "version": version(),
        "cpus": os.cpu_count(),
        "peers": peers,
    }
    os.makedirs(RESULTS, exist_ok=True)
    with open(os.path.join(RESULTS, f"oom-{name}.json"), "w", encoding="utf-8") as f:
        json.dump({**head, "bars": [{"bar": b, "figure": v, "met": m} for b, v, m in bars], "figures": figures},
                  f, indent=1)
        f.write("\n")
    text = [f"{key:<10}{value}" for key, value in head.items() if value]
    text += ["", *lines] if lines else []
    text += ["", *(f"{'met ' if met else 'MISSED'}  {bar}: {value}" for bar, value, met in bars)]
    with open(os.path.join(RESULTS, f"oom-{name}.txt"), "w", encoding="utf-8") as f:
        f.write("\n".join(text) + "\n")
    print("\n".join(text), flush=True)
    return 0 if all(met for _, _, met in bars) else 1
