# SPDX-License-Identifier: GPL-3.0-or-later
"""How a module in a fork of ansible-playbook ends before its time, and what it shows while it waits."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from local_play import (
    FORK_WARNING,
    PASSWORD,
    WORKLOAD,
    ApiServer,
    Object,
    Playbook,
    carrying,
    connection,
    eventually,
    settle,
)


@pytest.fixture
def server() -> Iterator[ApiServer]:
    with ApiServer() as found:
        settle(found)
        yield found


class Running:
    """ansible-playbook with one task that pauses a virtual cluster, and waits for it."""

    def __init__(self, server: ApiServer, directory: Path, *arguments: str, **keywords: Any) -> None:
        pause = {**connection(server), "names": ["dev"], "state": "paused", "accept_data_loss": True}
        playbook = Playbook(directory)
        playbook.write([{"nested.clusters.vcluster_state": pause, **keywords}])
        self.mark = f"RUN={uuid.uuid4().hex}"
        self.out, self.err = directory / "out", directory / "err"
        environment = playbook.environment(**dict([self.mark.split("=")]))
        with self.out.open("wb") as out, self.err.open("wb") as err:
            self.process = subprocess.Popen(
                playbook.command(*arguments),
                env=environment,
                cwd=directory,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )

    def lines(self) -> list[str]:
        """What it has shown of its progress."""
        return [line for line in self.err.read_text().splitlines() if line.startswith("WAITING")]


@contextmanager
def running(server: ApiServer, directory: Path, *arguments: str, **keywords: Any) -> Iterator[Running]:
    found = Running(server, directory, *arguments, **keywords)
    try:
        yield found
    finally:
        server.open.set()
        for process in carrying(found.mark):
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        found.process.wait()
        assert FORK_WARNING not in found.out.read_text() + found.err.read_text()


def pause_has_ended(server: ApiServer) -> None:
    """What controllers do: the pods are gone."""
    server.put(WORKLOAD, {**server.objects[WORKLOAD], "status": {"replicas": 0}})


def is_paused(server: ApiServer) -> bool:
    return bool(server.objects[WORKLOAD]["spec"]["replicas"] == 0)


def add_pod(server: ApiServer) -> None:
    meta = {"name": "dev-0", "labels": {"app": "vcluster", "release": "dev"}}
    server.put("/api/v1/namespaces/dev/pods/dev-0", {"metadata": meta, "spec": {}, "status": {"phase": "Running"}})


def remove_pod(server: ApiServer) -> None:
    del server.objects["/api/v1/namespaces/dev/pods/dev-0"]


def test_progress_of_a_wait_is_shown_on_standard_error_when_it_changes(server: ApiServer, tmp_path: Path) -> None:
    add_pod(server)
    with running(server, tmp_path, "-v") as play:
        eventually(play.lines)
        first = play.lines()
        assert re.match(r"WAITING: \[one\]: virtual cluster dev: \S+", first[0])
        remove_pod(server)
        pause_has_ended(server)
        assert play.process.wait(60) == 0, play.out.read_text() + play.err.read_text()
        said = play.out.read_text()
        assert "WAITING" not in said, "a callback may write JSON there"
        assert len(play.lines()) == len(set(play.lines()))
        assert PASSWORD not in said + play.err.read_text()


def test_progress_of_a_task_with_no_log_is_not_shown(server: ApiServer, tmp_path: Path) -> None:
    add_pod(server)
    with running(server, tmp_path, "-v", no_log=True) as play:
        eventually(lambda: is_paused(server))
        time.sleep(2)
        remove_pod(server)
        pause_has_ended(server)
        assert play.process.wait(60) == 0
        assert not play.lines()
        assert "dev" not in re.sub("dest.*", "", play.err.read_text())


def test_interrupt_of_ansible_playbook_ends_its_module(server: ApiServer, tmp_path: Path) -> None:
    """As a terminal does it: the whole group is told."""
    add_pod(server)
    with running(server, tmp_path) as play:
        eventually(lambda: is_paused(server))
        assert len(carrying(play.mark)) > 1, "it waits"
        os.killpg(play.process.pid, signal.SIGINT)
        play.process.wait(60)
        eventually(lambda: not carrying(play.mark), 30)


def test_module_goes_on_when_ansible_playbook_is_killed(server: ApiServer, tmp_path: Path) -> None:
    """As without a fork. There is nobody to show its progress any more."""
    add_pod(server)
    server.open.clear()
    with running(server, tmp_path, "-v") as play:
        assert server.asked.wait(60)
        play.process.kill()
        play.process.wait()
        server.open.set()
        eventually(lambda: is_paused(server))
        time.sleep(2)  # it reports what it waits for
        assert carrying(play.mark), "it waits"
        remove_pod(server)
        pause_has_ended(server)
        eventually(lambda: not carrying(play.mark), 30)


def test_timeout_of_a_task_ends_its_module(server: ApiServer, tmp_path: Path) -> None:
    server.open.clear()
    mark = uuid.uuid4().hex
    look: Object = {"nested.clusters.vcluster_info": connection(server), "timeout": 5}
    done = Playbook(tmp_path).run([look], RUN=mark)
    assert done.results[0]["failed"]
    # Otherwise a host cluster that says nothing is given up after a minute, with another message.
    assert re.search("Timed out|expected time frame", done.results[0]["msg"])
    eventually(lambda: not carrying(mark), 10)
