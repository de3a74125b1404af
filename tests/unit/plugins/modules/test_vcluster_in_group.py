# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""vcluster: a virtual cluster in a group, and several host clusters."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.nested.clusters.plugins.module_utils.common.size import Size
from ansible_collections.nested.clusters.plugins.module_utils.groups import group_view
from ansible_collections.nested.clusters.plugins.module_utils.k8s.client import Kubernetes
from ansible_collections.nested.clusters.plugins.module_utils.virtual_cluster import membership
from vcluster_calls import INSTALL, NAMESPACE, Calls, outcome

Object = dict[str, Any]
Run = Callable[..., Object]
PLACEMENT = {"host", "strategy", "considered"}


def test_vcluster_group_options_make_request(run: Run, in_group: Calls) -> None:
    size = {"cpu": 6, "memory": "8Gi", "storage": None}
    run(group="dev", owner="alice", size=size, host_cluster="host-b", force=True, values={"a": 1})
    (call,) = in_group.seen
    request, asked = call.asked
    assert (request.name, request.namespace, request.values) == ("demo", NAMESPACE, {"a": 1})
    assert (asked.group, asked.owner, asked.host_cluster, asked.force) == ("dev", "alice", "host-b", True)
    assert asked.size.as_dict() == {"cpu": "6", "memory": "8Gi", "storage": None}
    assert (call.check, call.wait) == (False, 300)
    run(group="dev")
    asked = in_group.seen[1].asked[1]
    assert (asked.owner, asked.host_cluster, asked.force) == (None, None, False)
    assert asked.size.as_dict() == dict.fromkeys(("cpu", "memory", "storage"))


def test_vcluster_group_adds_placement_to_result(run: Run, in_group: Calls) -> None:
    result = run(group="dev")
    found = result["virtual_cluster"]
    assert (found["host_cluster"], found["owner"]) == ("host-b", "alice")
    assert (result["placement"]["host"], result["placement"].keys()) == ("host-b", PLACEMENT)
    # In check mode it is as it is now; of one that is yet to be made there is nothing.
    in_group.answer = outcome(INSTALL, running=False, secret=False)
    result = run(group="dev", check_mode=True)
    assert (result["virtual_cluster"], result["placement"]["host"]) == ({}, "host-b")


@pytest.mark.parametrize(
    ("size", "word"),
    [
        ({"cpu": "much"}, "size.cpu: 'much' is not usable: it is not a quantity"),
        ({"memory": "-1Gi"}, "size.memory: '-1Gi' is not usable: it is negative"),
        ({"storage": "2 Gi"}, "size.storage: '2 Gi'"),
        ({"cpu": "0.0001"}, "size.cpu: '0.0001'"),
    ],
)
def test_vcluster_invalid_size_is_refused(size: Object, word: str, run: Run, in_group: Calls) -> None:
    result = run(group="dev", size=size)
    assert result["failed"] is True
    assert word in result["msg"]
    assert in_group.seen == []


@pytest.mark.parametrize("options", [{"owner": "alice"}, {"size": {"cpu": "4"}}])
def test_vcluster_group_options_without_group_are_refused(options: Object, run: Run, present: Calls) -> None:
    result = run(**options)
    assert "group" in result["msg"]
    assert present.seen == []


def group_host(*names: str) -> list[Object]:
    return [{"name": name, "context": name} for name in names]


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str | None]:
    """The contexts of host clusters that a connection was made to."""
    contexts: list[str | None] = []

    def open_(cls: Any, options: Any, directory: str, environment: Any) -> Any:
        contexts.append(options["context"])
        return SimpleNamespace(host=options["context"])

    monkeypatch.setattr(Kubernetes, "open", classmethod(open_))
    return contexts


def test_vcluster_group_opens_all_host_clusters(run: Run, in_group: Calls, opened: list[str | None]) -> None:
    run(group="dev", host_clusters=group_host("a", "b"))
    assert opened == ["a", "b"]


def test_vcluster_several_host_clusters_without_group_need_host_cluster(
    run: Run, present: Calls, absent: Calls, opened: list[str | None]
) -> None:
    for state, calls in (("present", present), ("absent", absent)):
        result = run(state=state, host_clusters=group_host("a", "b"))
        assert (result["failed"], result["option"], result["allowed"]) == (True, "host_cluster", "a, b")
        assert calls.seen == []
        assert not run(state=state, host_clusters=group_host("a", "b"), host_cluster="b").get("failed")
        assert not run(state=state, host_clusters=group_host("a")).get("failed")


def test_vcluster_absent_in_group_is_found_on_its_host(
    run: Run, absent: Calls, opened: list[str | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever it is; but not where a task says that it is not."""
    current = membership.Allocation("demo", "own", "b", "dev", "", Size.zero(), {}, deleting=False)
    found: list[Any] = [current]

    def find(given: Any, name: str, group: str) -> Any:
        views = {host.name: SimpleNamespace(host=host) for host in given}
        return SimpleNamespace(views=views), found[0]

    monkeypatch.setattr(group_view, "find", find)
    absent.answer = outcome("uninstall release demo")
    options = {"state": "absent", "group": "dev", "host_clusters": group_host("a", "b")}
    for more in ({}, {"host_cluster": "b"}):
        assert run(**options, **more)["changed"] is True
        assert absent.seen.pop().asked == ("demo", "own")
    result = run(**options, host_cluster="a")
    assert (result["failed"], result["option"], result["allowed"]) == (True, "host_cluster", "b")
    found[0] = None
    result = run(**options)
    assert (result["changed"], result["steps"], absent.seen) == (False, [], [])
