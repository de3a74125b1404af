# SPDX-License-Identifier: GPL-3.0-or-later
"""The report's page as the playbook writes it, in headless Chromium."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "host_cluster"))
from packages import ensure_packages  # noqa: E402

GROUPS = HERE / "groups.yml"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
# What a page says when all is well, and one name too long for any screen.
HOSTILE = (
    "<script>window.hacked = 1</script>\"><img src=x onerror='window.hacked = 2'>' onclick='window.hacked = 3' "
    "</title></style>--> {{ 7 * 7 }} &amp; " + "long" * 60
)

Open = Callable[..., Page]


def browser_path() -> str:
    """A Chromium on this machine; Debian's is installed where there is none."""
    if not any(map(shutil.which, BROWSERS)):
        ensure_packages({"chromium": ["chromium"]})
    return next(path for path in map(shutil.which, BROWSERS) if path)


def report(*arguments: str, directory: Path | None = None) -> str:
    """Run the playbook in a directory, and return what it prints.

    The groups are read from a file: an extra variable goes before what the first task registers, and that task is
    not run.
    """
    command = ["ansible-playbook", "nested.clusters.report", "--start-at-task", "Show each group", *arguments]
    environment = {**os.environ, "ANSIBLE_LOCALHOST_WARNING": "false", "ANSIBLE_NOCOLOR": "true"}
    done = subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


class UnsafeDumper(yaml.SafeDumper):
    """Text that Ansible does not take for a template, as it does not where a module returns it."""


UnsafeDumper.add_representer(str, lambda dumper, text: dumper.represent_scalar("!unsafe", text))


def hostile(node: Any, key: str = "") -> Any:
    """Everything that somebody could have written, written by somebody who means harm."""
    if isinstance(node, dict):
        return {name: hostile(value, name) for name, value in node.items()}
    if isinstance(node, list):
        return [hostile(value, key) for value in node]
    if isinstance(node, str) and key not in ("cpu", "memory", "storage"):
        return node + HOSTILE
    return node


@pytest.fixture(scope="session")
def printed_and_page(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """What the playbook prints, and the page that it writes."""
    path = tmp_path_factory.mktemp("page") / "report.html"
    return report("-e", f"@{GROUPS}", "-e", f"report_path={path}"), path


@pytest.fixture(scope="session")
def page_path(printed_and_page: tuple[str, Path]) -> Path:
    return printed_and_page[1]


@pytest.fixture(scope="session")
def hostile_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of groups whose every text tries to break out of it."""
    directory = tmp_path_factory.mktemp("hostile")
    groups = hostile(yaml.safe_load(GROUPS.read_text(encoding="utf-8")))
    variables, path = directory / "groups.yml", directory / "report.html"
    variables.write_text(yaml.dump(groups, Dumper=UnsafeDumper), encoding="utf-8")
    report("-e", f"@{variables}", "-e", f"report_path={path}")
    return path


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    path = browser_path()
    # Chromium's own sandbox does not work for root.
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=arguments)
        yield started
        started.close()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Open]:
    """Return ``open_page(path, width=1280, **options of the browser's context)``, which gives the loaded page.

    In the end, no page may have asked for anything but itself, had an error, or had something refused.
    """
    contexts, requests, complaints, opened = [], [], [], []

    def complain(message: ConsoleMessage) -> None:
        complaints.append(f"{message.type}: {message.text}")

    def open_(path: Path, width: int = 1280, **options: Any) -> Page:
        context = browser.new_context(viewport={"width": width, "height": 800}, **options)
        context.set_default_timeout(15_000)  # milliseconds
        contexts.append(context)
        page = context.new_page()
        page.on("request", lambda request: requests.append(request.url))
        page.on("console", complain)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(path.as_uri())
        opened.append(path.as_uri())
        return page

    yield open_
    for context in contexts:
        context.close()
    assert requests == opened
    assert complaints == []
