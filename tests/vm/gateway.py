#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The gateway in a guest, its clients and storages outside: killed under load, and the guest's power cut. Acknowledged has to be delivered.

Usage: tests/vm/gateway.py BUILD KERNEL-IMAGE INITRAMFS; kernel modules stand beside the image. Prints what the guest's console says, and a line
`ok NAME` or `not ok NAME - why` for each check of its own."""

import contextlib
import http.client
import os
import re
import shutil
import signal
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time

TREE = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", ".."))
BUILD = os.path.abspath(sys.argv[1])
os.environ["TELAMON_BUILD"] = BUILD
sys.path.insert(0, os.path.join(TREE, "tests", "system"))
# pylint: disable=wrong-import-position
from conftest import TELAMON, free_port, wait_for  # noqa: E402
from route_common import RW1, now, series1, snappy  # noqa: E402

PATIENCE = 300  # seconds: the guest is emulated, its host may be busy
PER_REQUEST = 20
KILLS = 3
UNISTD = "/usr/include/x86_64-linux-gnu/asm/unistd_64.h"


def run(*command, **options):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, **options).stdout


# --- what the guest is made of ---

def libraries(program):
    return re.findall(r"=> (/\S+) ", run("ldd", program))


def system_calls(group):
    """Numbers of the calls of a group of systemd."""
    numbers = dict(re.findall(r"#define __NR_(\w+) (\d+)", open(UNISTD, encoding="ascii").read()))
    names, groups = set(), [group]
    while groups:
        for word in run("systemd-analyze", "--no-pager", "syscall-filter", groups.pop()).splitlines()[1:]:
            word = word.strip()
            if word.startswith("@"):
                groups.append(word)
            elif word and not word.startswith("#"):
                names.add(word)
    return sorted(int(numbers[n]) for n in names if n in numbers)


def write(path, text, mode=0o644):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    os.chmod(path, mode)


def root_of(directory, image, ports):
    """What `meson install` places of the gateway, its libraries, certificate and configuration, over the common initramfs."""
    installed, root = os.path.join(directory, "installed"), os.path.join(directory, "root")
    run("meson", "install", "-C", BUILD, "--no-rebuild", "--quiet", env={**os.environ, "DESTDIR": installed})
    wanted = re.compile(r"/(telamon-route|telamon-route\.service|route\.yaml)$")
    for path, _, names in os.walk(installed):
        for name in names:
            source = os.path.join(path, name)
            if wanted.search(source) and "/share/" not in source:
                target = root + source[len(installed):]
                os.makedirs(os.path.dirname(target), exist_ok=True)
                shutil.copy(source, target)
                if name == "telamon-route":
                    run("strip", target)
                    for library in libraries(source):
                        os.makedirs(root + os.path.dirname(library), exist_ok=True)
                        shutil.copy(library, root + library)
    shutil.copytree(os.path.join(os.path.dirname(image), "modules"), root + "/modules")
    os.makedirs(root + "/bin")
    shutil.copy(os.path.join(BUILD, "tests/vm/vm_confine"), root + "/bin")
    write(root + "/guest/system-service", "\n".join(map(str, system_calls("@system-service"))))
    os.rename(root + "/etc/telamon/route.yaml", root + "/etc/telamon/route.yaml.packaged")
    write(root + "/etc/telamon/route.yaml", CONFIG.format(*ports))
    write(root + "/etc/telamon/web.yaml", "tls_server_config: {cert_file: server.crt, key_file: server.key}\n", 0o600)
    run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "3650", "-subj", "/CN=gateway",
        "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", root + "/etc/telamon/server.key", "-out", root + "/etc/telamon/server.crt",
        stderr=subprocess.DEVNULL)
    return root


# One storage may lose what the host had not yet written, the other must not.
CONFIG = """
defaults:
  send: {{timeout: 10s, retry: {{min: 50ms, max: 500ms}}, breaker: {{failures: 3, open: 1s, successes: 1}}}}
destinations:
- name: disk
  queue: {{ack: disk, min_free_disk: 0}}
  nodes: [{{name: disk-0, url: "http://10.0.2.2:{}/api/v1/write"}}]
- name: fsync
  queue: {{ack: fsync, min_free_disk: 0}}
  nodes: [{{name: fsync-0, url: "http://10.0.2.2:{}/api/v1/write"}}]
routes:
- {{name: disk, destination: disk}}
- {{name: fsync, destination: fsync}}
"""


class Guest:
    """One boot; the console is copied to our output."""

    def __init__(self, directory, image, port, boot):
        self.lines = []
        self.process = subprocess.Popen(
            ["qemu-system-x86_64", "-accel", "tcg", "-smp", "2", "-m", "1G", "-cpu", "Haswell-noTSX", "-display", "none", "-no-reboot",
             "-monitor", "none", "-serial", "stdio", "-nic", f"user,model=virtio-net-pci,hostfwd=tcp:127.0.0.1:{port}-:8443",
             "-drive", f"file={directory}/disk,format=raw,if=virtio,cache=none", "-kernel", image, "-initrd", directory + "/initramfs",
             "-append", f"console=ttyS0 quiet panic=-1 lsm=lockdown,capability,bpf scenario=gateway cgroup=v2 boot={boot}"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        for line in self.process.stdout:
            text = line.decode(errors="replace").replace("\r", "").rstrip("\n")
            print(text, flush=True)
            self.lines.append(text)

    def count(self, text):
        return sum(text in line for line in self.lines)

    def say(self, word, answer):
        before = self.count(answer)
        self.process.stdin.write(word.encode() + b"\n")
        self.process.stdin.flush()
        self.wait(answer, before + 1)

    def wait(self, text, n=1):
        def there():
            if self.process.poll() is not None and self.count(text) < n:
                raise AssertionError(f"the guest ended before it said {text!r}")
            return self.count(text) >= n
        wait_for(f"{text!r} of the guest", there, PATIENCE)

    def cut_power(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


# --- outside ---

class Client(threading.Thread):
    """Sends values of its own over TLS, and again until they are acknowledged."""

    def __init__(self, port, trust, base):
        super().__init__(daemon=True)
        self.port, self.next, self.acknowledged, self.over = port, base, [], threading.Event()
        self.trust = ssl.create_default_context(cafile=trust)

    def body(self):
        t = now()
        values = [float(self.next + i) for i in range(PER_REQUEST)]
        self.next += PER_REQUEST
        return values, snappy(b"".join(series1([("__name__", "vm"), ("s", str(int(v) % 50))], [(v, t)]) for v in values))

    def run(self):
        connection = None
        values, body = self.body()
        while not self.over.is_set():
            try:
                connection = connection or http.client.HTTPSConnection("127.0.0.1", self.port, timeout=20, context=self.trust)
                connection.request("POST", "/api/v1/write", body, {"Content-Type": RW1, "Content-Encoding": "snappy"})
                answer = connection.getresponse()
                answer.read()
            except (OSError, http.client.HTTPException):
                connection = None
                time.sleep(0.05)
                continue
            if answer.status == 204:
                self.acknowledged += values
                values, body = self.body()
            else:
                time.sleep(0.05)


class Clients:
    def __init__(self, port, trust, base):
        self.all = [Client(port, trust, base + i * 10_000_000) for i in range(3)]
        for c in self.all:
            c.start()

    def more(self, n):
        want = self.count() + n
        wait_for(f"{n} more acknowledged samples", lambda: self.count() >= want, PATIENCE)

    def count(self):
        return sum(len(c.acknowledged) for c in self.all)

    def end(self):
        for c in self.all:
            c.over.set()
        for c in self.all:
            c.join(60)
        return {v for c in self.all for v in c.acknowledged}


class Sink:
    """A storage: what it took stands in its files, one for each life."""

    def __init__(self, directory, name):
        self.port, self.record, self.lives, self.process = free_port(), os.path.join(directory, name), 0, None
        self.start()

    def start(self):
        self.lives += 1
        self.process = subprocess.Popen([TELAMON, "route", "bench", "sink", f"--listen=127.0.0.1:{self.port}", f"--record={self.record}.{self.lives}"],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def stop(self):
        self.process.kill()
        self.process.wait()

    def values(self):
        result = set()
        for life in range(1, self.lives + 1):
            with contextlib.suppress(FileNotFoundError), open(f"{self.record}.{life}", "rb") as f:
                data = f.read()
                result |= {struct.unpack_from("<d", data, at + 16)[0] for at in range(0, len(data) - 23, 24)}
        return result


def check(name, condition, *why):
    try:
        condition(*why)
        print(f"ok {name}", flush=True)
    except AssertionError as e:
        print(f"not ok {name} - {e}", flush=True)


def delivered(acknowledged, sink):
    with contextlib.suppress(AssertionError):
        wait_for("all", lambda: acknowledged <= sink.values(), PATIENCE / 2)
    missing = acknowledged - sink.values()
    assert acknowledged and not missing, f"{len(missing)} of {len(acknowledged)} acknowledged samples are not there"


def killed(guest, port, trust, sinks):
    """kill -9 of the gateway under load."""
    clients = Clients(port, trust, 100_000_000)
    for _ in range(KILLS):
        clients.more(200)
        guest.say("kill", "=== killed")
    clients.more(200)
    acknowledged = clients.end()
    for sink in sinks:
        check(f"kill-{os.path.basename(sink.record)}-delivered", delivered, acknowledged, sink)


def refused_in_plain_text(port):
    c = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        c.request("GET", "/-/ready")
        status = c.getresponse().status
    except (OSError, http.client.HTTPException):
        return
    raise AssertionError(f"status {status}")


def power_cut(guest, port, trust, sinks):
    """The storages do not answer, so that all stands in the queues; then the guest is no more. What was acknowledged by then?"""
    for sink in sinks:
        sink.stop()
    clients = Clients(port, trust, 500_000_000)
    clients.more(1000)
    guest.cut_power()
    acknowledged = clients.end()
    for sink in sinks:
        sink.start()
    return acknowledged


def main():
    _, _, image, initramfs = sys.argv
    guest, sinks = None, []
    with tempfile.TemporaryDirectory(prefix="telamon-vm-") as directory:
        try:
            sinks = [Sink(directory, name) for name in ("disk", "fsync")]
            root, port = root_of(directory, os.path.abspath(image), [s.port for s in sinks]), free_port()
            trust = root + "/etc/telamon/server.crt"
            archive = subprocess.run("find . | busybox cpio -o -H newc 2>/dev/null | gzip -1", shell=True, cwd=root, check=True,
                                     stdout=subprocess.PIPE).stdout
            with open(initramfs, "rb") as common, open(directory + "/initramfs", "wb") as f:
                f.write(common.read() + archive)
            run("truncate", "-s", "256M", directory + "/disk")
            run("mke2fs", "-q", "-t", "ext4", directory + "/disk")
            guest = Guest(directory, image, port, "first")
            guest.wait("=== up")
            killed(guest, port, trust, sinks)
            check("plain-text-refused", refused_in_plain_text, port)
            acknowledged = power_cut(guest, port, trust, sinks)
            guest = Guest(directory, image, port, "second")
            guest.wait("=== up")
            check("power-cut-fsync-delivered", delivered, acknowledged, sinks[1])
            guest.say("stop", "=== end")
        except AssertionError as e:
            print(f"not ok host - {e}")
        finally:
            if guest:
                guest.process.kill()
            for sink in sinks:
                sink.stop()


if __name__ == "__main__":
    main()
