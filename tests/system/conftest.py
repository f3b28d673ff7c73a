# SPDX-License-Identifier: Apache-2.0
"""What system tests share: an agent of their own, cgroups of their own, and the record of a kill."""

import json
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request

import pytest

BUILD = os.path.abspath(os.environ.get("TELAMON_BUILD", "build"))
AGENT = os.path.join(BUILD, "telamon-agent")
TELAMON = os.path.join(BUILD, "telamon")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for(what, condition, seconds=20):
    """Polls until `condition` gives something true, and returns it."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"waited {seconds} s in vain for {what}")


def kernel_kills():
    """What the kernel counted on the whole host; tests of others may die at the same time."""
    with open("/proc/vmstat", encoding="ascii") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("oom_kill "))


class Agent:
    """One telamon-agent with its own directory, port and journal."""

    def __init__(self, directory, config="", options=(), prefix=(), env=None, port=None):
        self.directory = str(directory)
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.journal = os.path.join(self.directory, "journal.db")
        self.run = os.path.join(self.directory, "run")
        self.config_file = os.path.join(self.directory, "agent.yaml")
        self.log_file = os.path.join(self.directory, "agent.log")
        self.write_config(config)
        self.command = [*prefix, AGENT, f"--config.file={self.config_file}",
                        f"--web.listen-address=127.0.0.1:{self.port}", *options]
        self.env = env
        self.process = None

    def write_config(self, config):
        """`config` is the YAML after the own paths; an `events:` section of its own replaces ours."""
        text = f"paths: {{run: {self.run}}}\n"
        if "events:" not in config:
            text += f"events: {{journal: {{path: {self.journal}}}}}\n"
        with open(self.config_file, "w", encoding="utf-8") as f:
            f.write(text + config.replace("@DIR@", self.directory))

    def start(self, ready=True):
        log = open(self.log_file, "ab")  # pylint: disable=consider-using-with
        self.process = subprocess.Popen(self.command, stdout=log, stderr=log, env=self.env,
                                        stdin=subprocess.DEVNULL, close_fds=True)
        log.close()
        if ready:
            wait_for("a ready agent", self.is_ready, 60)
        return self

    def is_ready(self):
        if self.process.poll() is not None:
            raise AssertionError(f"the agent ended with {self.process.returncode}:\n{self.log()}")
        try:
            return self.get("/-/ready")[0] == 200
        except (urllib.error.URLError, OSError):
            return False

    def log(self):
        with open(self.log_file, encoding="utf-8", errors="replace") as f:
            return f.read()

    @property
    def pid(self):
        return self.process.pid

    def get(self, path, headers=None, timeout=10):
        """(status, body) of a GET."""
        request = urllib.request.Request(self.url + path, headers=headers or {})
        try:
            with urllib.request.urlopen(request, timeout=timeout) as reply:
                return reply.status, reply.read().decode("utf-8", "replace")
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode("utf-8", "replace")

    def events(self, query="limit=10000"):
        status, body = self.get("/api/v1/events?" + query, timeout=30)
        assert status == 200, body
        return [json.loads(line) for line in body.splitlines()]

    def kills(self, cgroup, name="oom.kill"):
        """Records of kills in `cgroup` (path in its hierarchy) and below."""
        return [e for e in self.events("type=oom&limit=10000") if e["event.name"] == name and
                (e.get("telamon.cgroup.path", "") + "/").startswith(cgroup + "/")]

    def balance(self):
        """A function that tells how many kills of the kernel's count this agent has to answer for: those of its counter now, and all from now on."""
        before = kernel_kills() - self.metric("telamon_oom_node_kills_total")
        return lambda: kernel_kills() - before

    def all_kills(self, cgroup, count, seconds=60):
        """The records of kills in `cgroup` and below, once there are `count`: for so many that asking all the time would be the load."""
        end = time.monotonic() + seconds
        while self.metric("telamon_oom_node_kills_total") < count and time.monotonic() < end:
            time.sleep(0.1)
        while len(records := self.kills(cgroup)) != count and time.monotonic() < end:
            time.sleep(0.5)
        assert len(records) == count, (f"{len(records)} records of {count}, lost {self.reasons()}, counted "
                                       f"{self.metric('telamon_oom_node_kills_total')}\n{self.log()[-2000:]}")
        return records

    def metrics(self):
        """{series as printed: value}"""
        lines = self.get("/metrics")[1].splitlines()
        return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in lines if line and line[0] != "#"}

    def metric(self, name, **labels):
        """Sum of the series of `name` that carry all of `labels`."""
        wanted = [f'{key}="{value}"' for key, value in labels.items()]
        return sum(value for series, value in self.metrics().items()
                   if series.split("{")[0] == name and all(w in series for w in wanted))

    def reasons(self):
        """{reason: records} of telamon_oom_lost_total, the non-zero ones."""
        prefix = "telamon_oom_lost_total{"
        return {series[len(prefix):].split('"')[1]: value for series, value in self.metrics().items()
                if series.startswith(prefix) and value}

    def lost(self):
        """What was lost for good, {} = nothing. Else all reasons with their numbers, so that a failure shows them."""
        reasons = self.reasons()
        # On a slow host the ring fills up and decisions make room for others: those records are told all the same.
        return reasons if reasons.keys() - {"ring_full", "victims_full"} else {}

    def live(self, capability):
        for series, value in self.metrics().items():
            if series.startswith("telamon_hook_info{") and f'capability="{capability}"' in series and value == 1:
                return series.split('variant="')[1].split('"')[0]
        return None

    def signal(self, number):
        self.process.send_signal(number)

    def stop(self):
        """Exit status after SIGTERM."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        return self.process.returncode if self.process else None


def run(*command, timeout=120, **kwargs):
    """Runs a command, returns it completed, with text output and errors apart."""
    return subprocess.run([str(c) for c in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          errors="replace", timeout=timeout, check=False, **kwargs)


def telamon(*arguments, timeout=120, **kwargs):
    return run(TELAMON, *arguments, timeout=timeout, **kwargs)


class Cgroup:
    """A memory cgroup of the test (v1 or v2), removed with all that live in it."""

    def __init__(self, path):
        v1 = "/sys/fs/cgroup/memory"
        self.v1 = os.path.isdir(v1)
        self.root = v1 if self.v1 else "/sys/fs/cgroup"
        self.path = path
        self.directory = self.root + path
        missing = []
        directory = self.directory
        while not os.path.isdir(directory):
            missing.append(directory)
            directory = os.path.dirname(directory)
        self.made = missing
        for directory in reversed(missing):
            if not self.v1:
                self.enable_memory(os.path.dirname(directory))
            os.mkdir(directory)

    @staticmethod
    def enable_memory(directory):
        with open(os.path.join(directory, "cgroup.subtree_control"), "w", encoding="ascii") as f:
            f.write("+memory")

    def write(self, name, value):
        with open(os.path.join(self.directory, name), "w", encoding="ascii") as f:
            f.write(str(value))

    def limit(self, size):
        if self.v1:
            self.write("memory.limit_in_bytes", size)
            try:
                self.write("memory.memsw.limit_in_bytes", size)
            except OSError:
                self.write("memory.swappiness", 0)
        else:
            self.write("memory.max", size)
            self.write("memory.swap.max", 0)
        return self

    def id(self):
        return os.stat(self.directory).st_ino

    def enter(self):
        """For preexec_fn: the child moves itself."""
        with open(os.path.join(self.directory, "cgroup.procs"), "w", encoding="ascii") as f:
            f.write("0")

    def oom_kills(self):
        """What the kernel counted in this very cgroup."""
        name = "memory.oom_control" if self.v1 else "memory.events.local"
        with open(os.path.join(self.directory, name), encoding="ascii") as f:
            return next(int(line.split()[1]) for line in f if line.startswith("oom_kill "))

    def spawn(self, *command, **kwargs):
        return subprocess.Popen([str(c) for c in command], preexec_fn=self.enter, stdin=subprocess.DEVNULL,
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **kwargs)

    def remove(self):
        for directory in self.made:
            for _ in range(200):
                try:
                    os.rmdir(directory)
                    break
                except FileNotFoundError:
                    break
                except OSError:
                    self.kill_members(directory)
                    time.sleep(0.02)

    @staticmethod
    def kill_members(directory):
        try:
            with open(os.path.join(directory, "cgroup.procs"), encoding="ascii") as f:
                for pid in f.read().split():
                    os.kill(int(pid), signal.SIGKILL)
        except (OSError, ProcessLookupError):
            pass


# Fills memory until it dies. No exec between: the command line is that of the test's own making.
HOG = "import time\nb = []\nwhile True:\n    b.append(bytearray(b'x') * (4 << 20))\n    time.sleep(0.001)\n"


def hog_command(code=HOG):
    return ["/usr/bin/python3", "-S", "-E", "-c", code]


@pytest.fixture(scope="session", autouse=True)
def programs():
    for program in (AGENT, TELAMON):
        if not os.path.exists(program):
            pytest.exit(f"{program} is not built", 1)
    if os.geteuid() != 0:
        pytest.skip("needs root", allow_module_level=True)


@pytest.fixture
def make_agent(tmp_path):
    """A factory: make_agent(config, options=…) gives an agent that is ready; all are stopped at the end."""
    agents = []

    def make(config="", start=True, ready=True, **kwargs):
        directory = tmp_path / f"agent{len(agents)}"
        directory.mkdir()
        agent = Agent(directory, config, **kwargs)
        agents.append(agent)
        return agent.start(ready) if start else agent

    yield make
    for agent in agents:
        agent.stop()


@pytest.fixture
def agent(make_agent):
    return make_agent()


@pytest.fixture(scope="module")
def shared_agent(tmp_path_factory):
    """One agent for the tests of a file that do not disturb it."""
    agent = Agent(tmp_path_factory.mktemp("agent")).start()
    yield agent
    assert agent.stop() == 0, agent.log()


@pytest.fixture
def cgroup():
    """A factory of cgroups below one of the test's own."""
    made = []

    def make(path):
        group = Cgroup(path)
        made.append(group)
        return group

    yield make
    for group in reversed(made):
        group.remove()


@pytest.fixture
def own():
    """A path prefix that no other test uses."""
    return f"/telamon-test-{os.getpid()}-{time.monotonic_ns() % 1000000}"


def need(*programs_needed):
    for program in programs_needed:
        if not shutil.which(program):
            pytest.skip(f"{program} is missing")
