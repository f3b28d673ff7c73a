# SPDX-License-Identifier: Apache-2.0
"""Manual pages say what `--help` says: each option of each program, no option that is not there."""

import glob
import os
import re

import pytest

from conftest import AGENT, BUILD, TELAMON, run

GATEWAY = os.path.join(BUILD, "telamon-route")

MAN = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", "docs", "man"))
FILES = ["telamon-agent.yaml.5", "telamon-route.yaml.5"]
PAGES = {
    "telamon-agent.8": [AGENT],
    "telamon-route.8": [GATEWAY],
    "telamon.1": [TELAMON],
    "telamon-oom.1": [TELAMON, "oom"],
    "telamon-events.1": [TELAMON, "events"],
    "telamon-doctor.1": [TELAMON, "doctor"],
    "telamon-lab.1": [TELAMON, "lab"],
    "telamon-route.1": [TELAMON, "route"],
}


def read(path):
    with open(path, encoding="utf-8") as f:
        return f.read()


def source(page):
    return read(os.path.join(MAN, page + ".rst"))


# Commands whose page is that of all their own commands.
INNER = {"route": [["check"], ["plan"], ["explain"], ["replay"], ["bench"], ["bench", "sink"]]}


def help_of(command):
    text = ""
    for inner in INNER.get(command[-1], [[]]):
        done = run(*command, *inner, "--help")
        assert done.returncode == 0, done.stderr
        text += done.stdout
    return text


def defined(page):
    """Options that head an entry of the page."""
    heads = re.findall(r"^(``--.*)$", source(page), re.M)
    return {option for head in heads for option in re.findall(r"``--([a-z][a-z.-]*)", head)}


@pytest.mark.parametrize("page", PAGES)
def test_each_option_is_described(page):
    offered = set(re.findall(r"--([a-z][a-z.-]*[a-z])", help_of(PAGES[page])))
    assert offered <= defined(page), offered - defined(page)


@pytest.mark.parametrize("page", PAGES)
def test_each_described_option_is_offered(page):
    offered = set(re.findall(r"--([a-z][a-z.-]*[a-z])", help_of(PAGES[page]))) | {"help", "version"}
    assert defined(page) <= offered, defined(page) - offered


@pytest.mark.parametrize("page", PAGES)
def test_defaults_are_those_of_the_program(page):
    text = source(page)
    entries = dict(re.findall(r"^``--([a-z][a-z.-]*)[^\n]*\n((?:    .*\n)+)", text, re.M))
    for option, default in re.findall(r"^  --([a-z.-]+)(?:=(\S+))", help_of(PAGES[page]), re.M):
        assert f"Default ``{default}``" in entries[option], option
    for option, default in re.findall(r"^  --([a-z.-]+) VALUE .*\(([\w.:/]+)\)$", help_of(PAGES[page]), re.M):
        assert default in entries[option], (option, default)


def test_each_command_has_a_page():
    commands = re.findall(r"^  ([a-z]+) {2,}", help_of([TELAMON]), re.M)
    assert commands
    for command in commands:
        assert f"telamon-{command}.1" in PAGES
        assert f"**telamon-{command}**" in source("telamon.1")


def test_each_scenario_is_described():
    done = run(TELAMON, "lab", "oom", "--scenario", "no-such")
    assert done.returncode == 2
    names = set(re.findall(r"[a-z_]+", done.stderr.split("there are all")[1]))
    assert names and names <= set(re.findall(r"^``([a-z_]+)``$", source("telamon-lab.1"), re.M))


def test_references_lead_somewhere():
    known = {name.rsplit(".", 1)[0] + "(" + name.rsplit(".", 1)[1] + ")" for name in [*PAGES, *FILES]}
    for page in [*PAGES, *FILES]:
        for name, section in re.findall(r"\*\*(telamon[a-z.-]*)\*\*\\\((\d)\)", source(page)):
            assert f"{name}({section})" in known


def test_built_pages_hold_the_text():
    built = sorted(p for p in glob.glob(os.path.join(BUILD, "docs", "man", "telamon*.[158]")))
    if not built:
        pytest.skip("rst2man is missing (python3-docutils): no manual page was built")
    assert {os.path.basename(p) for p in built} == {*PAGES, *FILES}
    for path in built:
        text = read(path).replace("\\-", "-")
        assert text.count(".SH ") >= 4 and "System Message" not in text, path
        name = os.path.basename(path)
        for option in defined(name) if name in PAGES else ():
            assert f"--{option}" in text, (name, option)


def test_each_configuration_key_is_in_the_page():
    path = os.path.join(BUILD, "docs", "man", "telamon-agent.yaml.5")
    if not os.path.exists(path):
        pytest.skip("rst2man is missing (python3-docutils): no manual page was built")
    text = read(path).replace("\\-", "-").replace("\\_", "_")
    keys = re.findall(r"^\| `([a-z_.\[\]]+)` ", read(os.path.join(MAN, "..", "configuration.md")), re.M)
    assert keys
    for key in keys:
        assert key in text, key
