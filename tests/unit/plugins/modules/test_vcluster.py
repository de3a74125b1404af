# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""vcluster, through main(): its options, its result, and its failures."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.nested.clusters.plugins.module_utils.common.errors import (
    NestedClustersError,
    OptionError,
    WaitError,
)
from ansible_collections.nested.clusters.plugins.module_utils.k8s.connection import auth_argument_spec
from ansible_collections.nested.clusters.plugins.module_utils.k8s.errors import KubernetesError
from ansible_collections.nested.clusters.plugins.module_utils.values import tree
from ansible_collections.nested.clusters.plugins.modules import vcluster
from documentation_checks import OF_ANSIBLE
from scripted_api import ApiServer
from vcluster_calls import DIFF, INSTALL, NAMESPACE, Calls, outcome

Object = dict[str, Any]
Run = Callable[..., Object]


def own_options() -> Object:
    return {name: option for name, option in vcluster.argument_spec().items() if name not in auth_argument_spec()}


def test_vcluster_few_options_make_request(run: Run, present: Calls) -> None:
    run()
    (call,) = present.seen
    (request,) = call.asked
    assert (request.name, request.namespace) == ("demo", NAMESPACE)
    assert (request.chart.reference, request.chart.repository) == ("vcluster", "https://charts.loft.sh")
    assert [request.vcluster_version, request.kubernetes_version, request.values, request.protected] == [None] * 4
    assert (request.labels, request.annotations) == ({}, {})
    assert (call.check, call.wait) == (False, 300)


def test_vcluster_all_options_make_request(run: Run, present: Calls) -> None:
    versions = {"vcluster_version": "v0.36.1", "kubernetes_version": "v1.36.0"}
    options = {
        "values": {"a": {"b": None}},
        "labels": {"env": "prod", "old": None},
        "annotations": {"note": "x"},
        "protected": False,
    }
    run(namespace="team", chart_ref="oci://x/y", chart_repo_url="https://z", wait_timeout=7, **versions, **options)
    (call,) = present.seen
    (request,) = call.asked
    assert request.namespace == "team"
    assert {name: getattr(request, name) for name in options} == options
    assert {name: getattr(request, name).text for name in versions} == versions
    assert (request.chart.reference, request.chart.repository) == ("oci://x/y", "https://z")
    assert call.wait == 7


def test_vcluster_without_wait_passes_no_timeout(run: Run, present: Calls, absent: Calls) -> None:
    run(wait=False)
    run(wait=False, state="absent")
    assert [call.wait for call in (*present.seen, *absent.seen)] == [None, None]


def test_vcluster_null_option_counts_as_omitted(run: Run, present: Calls) -> None:
    """YAML makes it easily: an option without a value. Ansible itself refuses it for a default and for choices."""
    refused = {"required", "default", "choices"}
    names = [name for name, option in own_options().items() if not refused & option.keys()]
    result = run(**dict.fromkeys(names))
    assert not result.get("failed"), result
    run()
    assert present.seen[0] == present.seen[1]


def test_vcluster_absent_deletes(run: Run, absent: Calls, present: Calls) -> None:
    absent.answer = outcome("uninstall release demo")
    result = run(state="absent", keep_volumes=True)
    (call,) = absent.seen
    assert call.asked == ("demo", NAMESPACE)
    assert (call.check, call.keep_volumes, call.wait) == (False, True, 300)
    assert (result["changed"], result["steps"]) == (True, ["uninstall release demo"])
    assert result["virtual_cluster"] == {}
    assert present.seen == []


def test_vcluster_change_has_steps_and_description(run: Run, present: Calls) -> None:
    result = run()
    assert (result["changed"], result["steps"]) == (True, [INSTALL])
    assert result["virtual_cluster"]["phase"] == "running"
    assert result["virtual_cluster"]["vcluster_version"] == "0.36.1"
    assert result["virtual_cluster"]["endpoint"] == "https://demo.example.com"
    assert result.keys() - OF_ANSIBLE == {"steps", "virtual_cluster"}


def test_vcluster_notes_become_warnings(run: Run, present: Calls, in_group: Calls) -> None:
    present.answer.plan.notes.append("clients have to go elsewhere")
    in_group.answer.plan.notes.append("so have these")
    assert "clients have to go elsewhere" in str(run(check_mode=True)["warnings"])
    assert "so have these" in str(run(group="dev")["warnings"])


def test_vcluster_unchanged_reports_no_change(run: Run, present: Calls) -> None:
    present.answer = outcome()
    result = run(diff=True)
    assert (result["changed"], result["steps"], result["diff"]) == (False, [], [])


def test_vcluster_check_mode_is_passed_on(run: Run, present: Calls, absent: Calls) -> None:
    present.answer = outcome(INSTALL, running=False, secret=False)
    result = run(check_mode=True)
    assert present.seen[0].check is True
    assert (result["changed"], result["virtual_cluster"]) == (True, {})
    absent.answer = outcome("uninstall release demo")
    result = run(check_mode=True, state="absent")
    assert absent.seen[0].check is True
    assert (result["changed"], result["virtual_cluster"]["name"]) == (True, "demo")


def test_vcluster_diff_only_in_diff_mode(run: Run, present: Calls, absent: Calls) -> None:
    absent.answer = outcome("uninstall release demo")
    for state in ("present", "absent"):
        assert run(state=state, diff=True)["diff"] == DIFF
        assert "diff" not in run(state=state)


@pytest.mark.parametrize(
    ("error", "data"),
    [
        (
            OptionError("name", "Demo", "lowercase letters", reason="it is not"),
            {"option": "name", "value": "Demo", "allowed": "lowercase letters"},
        ),
        (WaitError("not ready after 300 s", phase="pending"), {"phase": "pending"}),
        (KubernetesError("no permission", 403, "Forbidden"), {"status": 403, "reason": "Forbidden"}),
        (NestedClustersError("it is protected", protected=True), {"protected": True}),
    ],
)
@pytest.mark.parametrize("state", ["present", "absent"])
def test_vcluster_failure_has_message_and_data(
    state: str, error: NestedClustersError, data: Object, run: Run, present: Calls, absent: Calls
) -> None:
    present.error = absent.error = error
    result = run(state=state)
    assert result["failed"] is True
    assert result["msg"] == str(error)
    assert data.items() <= result.items()


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"state": "gone"}, "state"),
        ({"wait_timeout": "soon"}, "wait_timeout"),
        ({"values": 3}, "values"),
        ({"nmae": "x"}, "nmae"),
        ({"export_kubeconfig": {"file": "x"}}, "export_kubeconfig"),
    ],
)
def test_vcluster_unknown_option_is_refused(options: Object, word: str, run: Run, present: Calls) -> None:
    result = run(**options)
    assert result["failed"] is True
    assert word in result["msg"]
    assert present.seen == []


def test_vcluster_rollback_is_passed_on(run: Run, present: Calls, in_group: Calls) -> None:
    run(rollback=True, wait=False, wait_timeout=77)
    (call,) = present.seen
    assert (call.rollback, call.patience, call.wait) == (True, 77, None)
    present.error = NestedClustersError("it is on 0.35.1 again", rolled_back=True)
    assert run(rollback=True)["rolled_back"] is True
    run(group="dev", ahead_of_group=True)
    assert in_group.seen[0].asked[1].ahead is True


@pytest.mark.usefixtures("real_connection")
def test_vcluster_without_connection_fails(run: Run, present: Calls, tmp_path: Path) -> None:
    result = run(kubeconfig=str(tmp_path / "nowhere"))
    assert result["failed"] is True
    assert result["msg"].startswith("kubeconfig: ")
    assert present.seen == []


def test_vcluster_secrets_are_hidden(run: Run, present: Calls) -> None:
    secrets = {"api_key": "hunter2", "password": "hunter3", "kubeconfig": {"token": "hunter4"}}
    for error in (None, NestedClustersError("it says hunter2 and hunter3")):
        present.error = error
        assert "hunter" not in json.dumps(run(**secrets))


STORE = ("controlPlane", "backingStore", "database", "external", "dataSource")
SOURCES = {
    "a URL": "postgres://root:hunter2@db.example.com:5432/name",
    "a URL whose password has a slash and an at": "mysql://root:hun/t@hunter2@tcp(db.example.com:3306)/name",
    "no URL": "root:hunter2@tcp(db.example.com:3306)/name",
    "words": "host=db.example.com user=root password=hunter2",
}


@pytest.mark.usefixtures("real_connection")
@pytest.mark.parametrize("given", SOURCES)
def test_vcluster_data_source_in_values_is_hidden(run: Run, given: str) -> None:
    """The option is hidden by Ansible, and what values say of the same is hidden by nobody else."""
    server = ApiServer()
    server.answer = lambda request: (200, {"kind": "SecretList", "items": []})
    store = {"type": "external_database", "data_source": "postgres://root:hunter3@other.example.com:5432/name"}
    values = tree.at(STORE, SOURCES[given])
    try:
        result = run(host=server.url, api_key="hunter4", backing_store=store, values=values)
    finally:
        server.close()
    assert {request.method for request in server.seen} == {"GET"}
    result.pop("invocation", None)  # values are the task's own; ansible-core 2.21 returns none by default
    assert "backing_store.data_source" in result["msg"]
    assert ".".join(STORE) in result["msg"]
    assert "hunter" not in json.dumps(result)


@pytest.mark.parametrize("failing", [False, True])
def test_vcluster_end_removes_files_of_helm(
    failing: bool, run: Run, present: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []

    class FakeHelm:
        def __init__(self, kubernetes: Any, run_command: Any, binary: str | None, directory: str) -> None:
            seen.append((binary, Path(directory).is_dir()))

        def __enter__(self) -> Any:
            seen.append("opened")
            return self

        def __exit__(self, *error: object) -> None:
            seen.append("closed")

    monkeypatch.setattr(vcluster, "Helm", FakeHelm)
    present.then = lambda open_helm: seen.append(isinstance(open_helm(), FakeHelm))
    if failing:
        present.error = NestedClustersError("no")
    assert bool(run(binary_path="/opt/helm").get("failed")) is failing
    assert seen == [("/opt/helm", True), "opened", True, "closed"]


def test_vcluster_helm_is_opened_only_if_needed(run: Run, present: Calls, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vcluster, "Helm", None)
    assert not run().get("failed")
