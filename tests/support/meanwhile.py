# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What somebody else does while a task runs, and what the task may not do, on a host cluster in memory."""

from __future__ import annotations

from collections.abc import Callable

from fake_api import FakeCluster, Request, Response, refusal


def before_each(cluster: FakeCluster, act: Callable[[str, str], None]) -> None:
    """Call a function with the verb and the path of each request before it is done."""

    def intercept(request: Request) -> None:
        act(cluster.verb(request), request.path)

    cluster.intercept = intercept


def pass_all(cluster: FakeCluster) -> None:
    """Let all requests pass again."""
    cluster.intercept = lambda request: None


def once_before(cluster: FakeCluster, wanted: str, act: Callable[[], object]) -> None:
    """Do something just before the first request that is VERB PATH."""

    def before(verb: str, path: str) -> None:
        if f"{verb} {path}" == wanted:
            pass_all(cluster)
            act()

    before_each(cluster, before)


def forbid(cluster: FakeCluster, verb: str, name: str) -> None:
    """Forbid a verb on objects of this name, or on a collection of this plural."""

    def intercept(request: Request) -> Response | None:
        if (cluster.verb(request), request.path.rpartition("/")[2]) != (verb, name):
            return None
        return refusal(403, f'{name} is forbidden: User "tester" cannot {verb} resource "{name}"')

    cluster.intercept = intercept
