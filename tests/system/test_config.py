# SPDX-License-Identifier: Apache-2.0
"""Configuration as an operator meets it: flags, errors with their place, reload."""

import os
import re
import signal
import urllib.request

import pytest

from conftest import AGENT, run, wait_for

TEN_ERRORS = """\
paths:
  run: relative/path
oom:
  enabled: perhaps
  ring_bytes: 100KiB
  wait: 6s
  aftermath: 15
  vitcims: 3
  max_tier: none
identity:
  entries: 63
events:
  redact: ['(']
  journal: {retention: 1m}
"""


def agent(*options):
    return run(AGENT, *options, timeout=60)


@pytest.mark.parametrize("options, text", [
    (["--nonsense"], "--nonsense"),
    (["nonsense"], "nonsense"),
    (["--config.file"], "config.file"),
    (["--log.level=loud"], "loud"),
    (["--log.format=xml"], "xml"),
    (["--config.check=yes"], "config.check"),
])
def test_wrong_usage_is_2(options, text):
    done = agent(*options)
    assert done.returncode == 2 and text in done.stderr and "--help" in done.stderr + "--help"
    assert done.stdout == ""


def test_help_and_version():
    assert agent("--version").stdout.startswith("telamon-agent ")
    assert "--config.check" in agent("--help").stdout


def test_all_errors_with_their_place(tmp_path):
    path = tmp_path / "agent.yaml"
    path.write_text(TEN_ERRORS, encoding="utf-8")
    for options in (["--config.check"], ["--web.listen-address=127.0.0.1:0"]):
        done = agent(f"--config.file={path}", *options)
        assert done.returncode == 1, done.stderr
        found = re.findall(re.escape(str(path)) + r":(\d+):(\d+): ([a-z_.\[\]0-9]+): ", done.stderr)
        assert [int(line) for line, _, _ in found] == [2, 4, 5, 6, 7, 8, 9, 11, 13, 14], done.stderr
        assert [key for _, _, key in found] == [
            "paths.run", "oom.enabled", "oom.ring_bytes", "oom.wait", "oom.aftermath", "oom.vitcims", "oom.max_tier",
            "identity.entries", "events.redact", "events.journal.retention"], done.stderr
        assert all(int(column) > 1 for _, column, _ in found)
    assert "100KiB is below 256KiB" in done.stderr
    assert "victims" in done.stderr, "the nearest key is offered"
    assert "15s" in done.stderr, "a number without a unit is shown with one"


@pytest.mark.parametrize("text, line, what", [
    ("oom: {wait: 1s\n", 2, ""),
    ("oom:\n\twait: 1s\n", 2, ""),
    ("oom: {wait: 1s}\noom: {wait: 2s}\n", 2, "twice"),
    ("nonsense: {}\n", 1, "nonsense"),
    ("- oom\n", 1, "map"),
    ("oom: &a {wait: 1s}\nidentity: *a\n", 2, "aliases"),
])
def test_malformed_files(tmp_path, text, line, what):
    path = tmp_path / "agent.yaml"
    path.write_text(text, encoding="utf-8")
    done = agent("--config.check", f"--config.file={path}")
    assert done.returncode == 1
    assert re.search(re.escape(str(path)) + rf":{line}:\d+: .*{what}", done.stderr), done.stderr


def test_check_is_silent_about_what_is_right(tmp_path):
    path = tmp_path / "agent.yaml"
    path.write_text("oom: {wait: 1s}\n", encoding="utf-8")
    done = agent("--config.check", f"--config.file={path}")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert agent("--config.check").returncode == 0


def test_check_reads_the_web_configuration_too(tmp_path):
    path = tmp_path / "web.yaml"
    path.write_text("basic_auth_users: {me: secret}\n", encoding="utf-8")
    done = agent("--config.check", f"--web.config.file={path}")
    assert done.returncode == 1 and f"{path}:1:" in done.stderr and "bcrypt" in done.stderr


def test_a_named_file_must_be_there(tmp_path):
    for options in (["--config.check"], ["--web.listen-address=127.0.0.1:0"]):
        done = agent(f"--config.file={tmp_path}/none.yaml", *options)
        assert done.returncode == 1
        assert f"{tmp_path}/none.yaml: No such file" in done.stderr


@pytest.mark.parametrize("address", ["nonsense", "127.0.0.1", "127.0.0.1:70000", "host.invalid:1", "[::1"])
def test_bad_listen_address(tmp_path, address):
    path = tmp_path / "agent.yaml"
    path.write_text(f"paths: {{run: {tmp_path}/run}}\noom: {{enabled: false}}\n"
                    f"events: {{journal: {{path: {tmp_path}/j.db}}}}\n", encoding="utf-8")
    done = agent(f"--config.file={path}", f"--web.listen-address={address}")
    assert done.returncode == 1 and address in done.stderr


# --- reload ---

def reload_by_http(instance):
    request = urllib.request.Request(instance.url + "/-/reload", method="POST", data=b"")
    try:
        with urllib.request.urlopen(request, timeout=60) as reply:
            return reply.status
    except urllib.error.HTTPError as error:
        return error.code


def successful(instance):
    return instance.metric("telamon_config_last_reload_successful")


def test_sighup_with_a_bad_file_changes_nothing(make_agent):
    instance = make_agent("oom: {wait: 300ms}\n")
    stamp = instance.metric("telamon_config_last_reload_success_timestamp_seconds")
    assert successful(instance) == 1
    instance.write_config(TEN_ERRORS.split("paths:\n  run: relative/path\n")[1])
    instance.signal(signal.SIGHUP)
    wait_for("the refusal", lambda: successful(instance) == 0)
    log = instance.log()
    assert "the running one stays" in log and "oom.ring_bytes" in log and "identity.entries" in log
    assert instance.get("/-/healthy")[0] == 200
    assert instance.metric("telamon_config_last_reload_success_timestamp_seconds") == stamp
    assert reload_by_http(instance) == 500
    instance.write_config("oom: {wait: 200ms}\n")
    assert reload_by_http(instance) == 200
    wait_for("the metric", lambda: successful(instance) == 1)
    assert "oom.wait changes from 300ms to 200ms" in instance.log()
    assert instance.metric("telamon_config_last_reload_success_timestamp_seconds") >= stamp
    os.unlink(instance.config_file)
    assert reload_by_http(instance) == 500
    assert "No such file" in instance.log()


def test_what_needs_a_restart_is_told(make_agent):
    instance = make_agent()
    instance.write_config("oom: {ring_bytes: 2MiB, spill_entries: 2048, aftermath: 30s}\nidentity: {entries: 8192}\n")
    assert reload_by_http(instance) == 200
    log = instance.log()
    for key, before, after in (("oom.ring_bytes", "1MiB", "2MiB"), ("oom.spill_entries", "1024", "2048"),
                               ("identity.entries", "4096", "8192")):
        assert f"{key} changes from {before} to {after} after a restart only" in log, log
    assert "oom.aftermath changes from 1m to 30s" in log or "oom.aftermath changes from 60s to 30s" in log, log
    assert instance.metric("telamon_oom_ring_size_bytes") == 1 << 20


def test_reloads_at_the_same_time(make_agent):
    """Each of them gets an answer of its own."""
    import concurrent.futures
    instance = make_agent("oom: {enabled: false}\n")
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: reload_by_http(instance), range(12)))
    assert answers == [200] * 12, instance.log()


def test_many_reloads_leak_nothing(make_agent):
    instance = make_agent()
    assert reload_by_http(instance) == 200
    fds = os.listdir(f"/proc/{instance.pid}/fd")
    for _ in range(5):
        assert reload_by_http(instance) == 200
    assert abs(len(os.listdir(f"/proc/{instance.pid}/fd")) - len(fds)) <= 2
