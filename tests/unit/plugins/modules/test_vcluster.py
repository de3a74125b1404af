# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""vcluster, through main(): its options, its results and its documentation. What it does is tested in module_utils."""

from __future__ import annotations

import copy
import json
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.nested.clusters.plugins.doc_fragments import host_clusters
from ansible_collections.nested.clusters.plugins.module_utils.admission import present as admission
from ansible_collections.nested.clusters.plugins.module_utils.admission.decide import Decision
from ansible_collections.nested.clusters.plugins.module_utils.common.errors import (
    NestedClustersError,
    OptionError,
    WaitError,
)
from ansible_collections.nested.clusters.plugins.module_utils.common.size import Size
from ansible_collections.nested.clusters.plugins.module_utils.deletion import single as deletion
from ansible_collections.nested.clusters.plugins.module_utils.endpoint import probe, reachability
from ansible_collections.nested.clusters.plugins.module_utils.groups import group_view
from ansible_collections.nested.clusters.plugins.module_utils.groups.model import Member
from ansible_collections.nested.clusters.plugins.module_utils.helm.release import Release
from ansible_collections.nested.clusters.plugins.module_utils.k8s import host_clusters as k8s_host_clusters
from ansible_collections.nested.clusters.plugins.module_utils.k8s.client import Kubernetes
from ansible_collections.nested.clusters.plugins.module_utils.k8s.connection import auth_argument_spec
from ansible_collections.nested.clusters.plugins.module_utils.k8s.errors import KubernetesError
from ansible_collections.nested.clusters.plugins.module_utils.lifecycle import present as lifecycle
from ansible_collections.nested.clusters.plugins.module_utils.lifecycle.request import RunOptions
from ansible_collections.nested.clusters.plugins.module_utils.scheduling import placements
from ansible_collections.nested.clusters.plugins.module_utils.scheduling.placements import Candidate
from ansible_collections.nested.clusters.plugins.module_utils.values import support_matrix, tree
from ansible_collections.nested.clusters.plugins.module_utils.values.endpoint import Endpoint
from ansible_collections.nested.clusters.plugins.module_utils.virtual_cluster import membership
from ansible_collections.nested.clusters.plugins.module_utils.virtual_cluster.change import (
    Change,
    ChangeKind,
    ChangeTarget,
)
from ansible_collections.nested.clusters.plugins.module_utils.virtual_cluster.cluster_ref import ClusterRef
from ansible_collections.nested.clusters.plugins.module_utils.virtual_cluster.cluster_state import Outcome, State
from ansible_collections.nested.clusters.plugins.module_utils.virtual_cluster.plan import Plan
from ansible_collections.nested.clusters.plugins.modules import vcluster
from kubeconfig_secrets import kubeconfig_secret, pem
from scripted_api import ApiServer

Object = dict[str, Any]
NAMESPACE = "vcluster-demo"
UTILS = Path(vcluster.__file__).parents[1] / "module_utils"

WORKLOAD: Object = {
    "apiVersion": "apps/v1",
    "kind": "StatefulSet",
    "metadata": {
        "name": "demo",
        "namespace": NAMESPACE,
        "creationTimestamp": "2026-01-01T00:00:00Z",
        "labels": {"app": "vcluster", "release": "demo"},
        "generation": 1,
    },
    "spec": {
        "replicas": 1,
        "serviceName": "demo-headless",
        "template": {"spec": {"containers": [{"name": "syncer", "image": "x/vcluster-oss:0.36.1"}]}},
    },
    "status": {"observedGeneration": 1, "replicas": 1, "readyReplicas": 1, "updatedReplicas": 1},
}
# What vCluster writes.
SECRET: Object = kubeconfig_secret("demo", NAMESPACE)
VALUES: Object = {"exportKubeConfig": {"server": "https://demo.example.com"}}
RELEASE = Release("demo", NAMESPACE, 1, "deployed", "vcluster", "0.36.1", VALUES, "")
# In every module's result.
OF_ANSIBLE = {"changed", "diff", "invocation", "warnings"}
DIFF = [{"before_header": "x", "after_header": "x", "before": "a", "after": "b"}]


INSTALL = "install release demo with vCluster 0.36.1"


def outcome(*steps: str, running: bool = True, secret: bool = True) -> Outcome:
    live = {("apps/v1", "StatefulSet", NAMESPACE, "demo"): copy.deepcopy(WORKLOAD)} if running else {}
    secrets = [copy.deepcopy(SECRET)] if secret else []
    state = State(RELEASE if running else None, None, [], secrets, {}, live)
    kinds = {INSTALL: ChangeKind.INSTALL, "uninstall release demo": ChangeKind.UNINSTALL}
    release = ChangeTarget("release", "demo")
    return Outcome(
        Plan([Change(kinds[step], release, {"version": "0.36.1"}, tuple(DIFF)) for step in steps]), state
    )


class Calls:
    """Stands for the work: keeps what it was asked for; ``answer`` is returned, or raised."""

    def __init__(self) -> None:
        self.seen: list[SimpleNamespace] = []
        self.answer: Outcome = outcome(INSTALL)
        self.error: Exception | None = None
        self.then: Callable[[Any], None] = lambda open_helm: None

    def __call__(self, where: Any, open_helm: Any, *asked: Any, **options: Any) -> Outcome:
        for run in [one for one in asked if isinstance(one, RunOptions)]:
            options.update(vars(run))
        wanted = tuple(one for one in asked if not isinstance(one, RunOptions))
        if isinstance(where, ClusterRef):
            wanted = (where.name, where.namespace, *wanted)
        self.seen.append(SimpleNamespace(asked=wanted, **options))
        self.then(open_helm)
        if self.error is not None:
            raise self.error
        return self.answer


@pytest.fixture
def present(monkeypatch: pytest.MonkeyPatch) -> Calls:
    calls = Calls()
    monkeypatch.setattr(lifecycle, "present", calls)
    return calls


@pytest.fixture
def absent(monkeypatch: pytest.MonkeyPatch) -> Calls:
    calls = Calls()
    monkeypatch.setattr(deletion, "absent", calls)
    return calls


@pytest.fixture
def in_group(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """The work of a virtual cluster in a group, which is on host cluster host-b."""
    calls = Calls()
    nothing = Size.zero()
    placed = placements.place(nothing, [Candidate("host-b", nothing, nothing)])
    decision = Decision(Member("host-b"), SimpleNamespace(), NAMESPACE, "alice", nothing, None, placed)  # type: ignore[arg-type]

    def work(given: Any, open_helm: Any, *asked: Any, **options: Any) -> Any:
        seen = SimpleNamespace(group=SimpleNamespace(oidc=None, endpoint=Endpoint()), uncounted=list)
        return calls(given, open_helm, *asked, **options), decision, seen

    monkeypatch.setattr(admission, "present", work)
    return calls


@pytest.fixture(autouse=True)
def no_host_cluster(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    if "real_connection" not in request.fixturenames:
        monkeypatch.setattr(Kubernetes, "from_module", classmethod(lambda cls, module: object()))


@pytest.fixture
def real_connection() -> None:
    """Let the connection options count."""


@pytest.fixture
def run(run_module: Callable[..., Object]) -> Callable[..., Object]:
    def call(**options: Any) -> Object:
        return run_module(vcluster, **{"name": "demo", **options})

    return call


Run = Callable[..., Object]

# --- documentation ----------------------------------------------------------------------------------------

DOCUMENTATION = yaml.safe_load(vcluster.DOCUMENTATION)
FRAGMENT = yaml.safe_load(host_clusters.ModuleDocFragment.DOCUMENTATION)
FACTS: dict[str, Any] = {"type": "str", "default": None, "choices": None, "elements": None, "aliases": []}


def own_options() -> Object:
    return {name: option for name, option in vcluster.argument_spec().items() if name not in auth_argument_spec()}


def assert_documented(spec: Object, documented: Object) -> None:
    assert documented.keys() == spec.keys()
    for name, option in spec.items():
        told = documented[name]
        for what, otherwise in FACTS.items():
            assert told.get(what, otherwise) == option.get(what, otherwise), (name, what)
        assert told.get("required", False) is option.get("required", False), name
        assert told["description"], name
        assert_documented(option.get("options", {}), told.get("suboptions", {}))


def test_options_are_documented_as_they_are() -> None:
    assert DOCUMENTATION["options"].keys().isdisjoint(FRAGMENT["options"])
    assert_documented(own_options(), {**DOCUMENTATION["options"], **FRAGMENT["options"]})
    fragments = DOCUMENTATION["extends_documentation_fragment"]
    assert {"nested.clusters.connection", "nested.clusters.host_clusters"} <= set(fragments)
    assert auth_argument_spec().items() <= vcluster.argument_spec().items()


def test_the_fragment_documents_the_option_for_several_host_clusters() -> None:
    assert_documented({"host_clusters": k8s_host_clusters.host_clusters_spec()}, FRAGMENT["options"])


def test_the_documented_version_is_the_one_that_is_used() -> None:
    text = " ".join(DOCUMENTATION["options"]["vcluster_version"]["description"])
    assert f"a new virtual cluster gets V({support_matrix.DEFAULT_VCLUSTER_VERSION})" in text


def test_examples_are_tasks_that_the_module_takes() -> None:
    tasks = yaml.safe_load(vcluster.EXAMPLES)
    validator = ArgumentSpecValidator(vcluster.argument_spec())
    assert len(tasks) >= 3
    for task in tasks:
        assert task["name"]
        assert validator.validate(task["nested.clusters.vcluster"]).error_messages == []


def test_results_are_documented(
    run: Run, present: Calls, in_group: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = reachability.EndpointStatus("https://127.0.0.1:30000", (probe.ProbeStep("route", True, "Service"),))
    monkeypatch.setattr(reachability, "wait", lambda *_arguments: answers)
    result = {}
    for options in ({"endpoint": {"type": "node_port"}}, {"group": "dev"}):
        result.update(run(export_kubeconfig={"return_content": True}, **options))
    documented = yaml.safe_load(vcluster.RETURN)
    assert documented.keys() == result.keys() - OF_ANSIBLE
    documented_cluster = documented["virtual_cluster"]["contains"]
    assert documented_cluster.keys() - {"owner", "size"} == result["virtual_cluster"].keys() - {"owner", "size"}
    assert documented["placement"]["contains"].keys() == result["placement"].keys()
    considered = documented["placement"]["contains"]["considered"]["contains"]
    assert considered.keys() == result["placement"]["considered"][0].keys()
    assert documented["endpoint"]["contains"].keys() == result["endpoint"].keys()
    # Sanity refuses a documented key that a template cannot reach with a dot: the description names it.
    assert documented["kubeconfig"]["contains"].keys() | {"current-context"} == result["kubeconfig"].keys()


@pytest.mark.parametrize("name", ["vcluster", "vcluster_group", "vcluster_info"])
def test_loading_a_module_takes_no_library(name: str) -> None:
    """Kubernetes' client takes longer to load than a task; and its options must be known where it is missing."""
    module = f"ansible_collections.nested.clusters.plugins.modules.{name}"
    program = f"import sys, {module}; print('kubernetes' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == ("False", "")


@pytest.mark.parametrize(
    ("name", "apart"),
    [
        ("vcluster", {"admission", "deletion", "endpoint.probe", "endpoint.reachability", "fleet", "groups", "power"}),
        ("vcluster", {"lifecycle.upgrade_backup", "lifecycle.upgrade_transaction", "scheduling"}),
        ("vcluster_info", {"admission", "deletion", "fleet", "helm.cli", "lifecycle", "scheduling"}),
        ("vcluster_state", {"admission", "deletion", "fleet", "lifecycle", "values.validation"}),
    ],
)
def test_loading_a_module_takes_no_more_than_most_tasks_need(name: str, apart: set[str]) -> None:
    """What is loaded is compiled by every task."""
    collection = "ansible_collections.nested.clusters.plugins"
    program = f"import sys, {collection}.modules.{name}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    root = f"{collection}.module_utils."
    loaded = {module.removeprefix(root) for module in done.stdout.split() if module.startswith(root)}
    assert loaded
    assert not [module for module in loaded if module in apart or module.partition(".")[0] in apart]
    for module in apart:  # one that is renamed has to be renamed here
        assert (UTILS / module.replace(".", "/")).is_dir() or (UTILS / f"{module.replace('.', '/')}.py").is_file()


# --- what is asked for ------------------------------------------------------------------------------------


def test_little_is_asked_for(run: Run, present: Calls) -> None:
    run()
    (call,) = present.seen
    (request,) = call.asked
    assert (request.name, request.namespace) == ("demo", NAMESPACE)
    assert (request.chart.reference, request.chart.repository) == ("vcluster", "https://charts.loft.sh")
    assert [request.vcluster_version, request.kubernetes_version, request.values, request.protected] == [None] * 4
    assert (request.labels, request.annotations) == ({}, {})
    assert (call.check, call.wait) == (False, 300)


def test_much_is_asked_for(run: Run, present: Calls) -> None:
    options = {
        "vcluster_version": "0.36.1",
        "kubernetes_version": "v1.36.0",
        "values": {"a": {"b": None}},
        "labels": {"env": "prod", "old": None},
        "annotations": {"note": "x"},
        "protected": False,
    }
    run(namespace="team", chart_ref="oci://x/y", chart_repo_url="https://z", wait_timeout=7, **options)
    (call,) = present.seen
    (request,) = call.asked
    assert request.namespace == "team"
    assert {name: getattr(request, name) for name in options} == options
    assert (request.chart.reference, request.chart.repository) == ("oci://x/y", "https://z")
    assert call.wait == 7


def test_not_waiting(run: Run, present: Calls, absent: Calls) -> None:
    run(wait=False)
    run(wait=False, state="absent")
    assert [call.wait for call in (*present.seen, *absent.seen)] == [None, None]


def test_null_is_as_if_it_were_left_out(run: Run, present: Calls) -> None:
    """YAML makes it easily: an option without a value. Ansible itself refuses it for a default and for choices."""
    refused = {"required", "default", "choices"}
    names = [name for name, option in own_options().items() if not refused & option.keys()]
    result = run(**dict.fromkeys(names))
    assert not result.get("failed"), result
    run()
    assert present.seen[0] == present.seen[1]


def test_deleting(run: Run, absent: Calls, present: Calls) -> None:
    absent.answer = outcome("uninstall release demo")
    result = run(state="absent", keep_volumes=True)
    (call,) = absent.seen
    assert call.asked == ("demo", NAMESPACE)
    assert (call.check, call.keep_volumes, call.wait) == (False, True, 300)
    assert (result["changed"], result["steps"]) == (True, ["uninstall release demo"])
    assert result["virtual_cluster"] == {}
    assert present.seen == []


# --- what comes back --------------------------------------------------------------------------------------


def test_a_change(run: Run, present: Calls) -> None:
    result = run()
    assert (result["changed"], result["steps"]) == (True, [INSTALL])
    assert result["virtual_cluster"]["phase"] == "running"
    assert result["virtual_cluster"]["vcluster_version"] == "0.36.1"
    assert result["virtual_cluster"]["endpoint"] == "https://demo.example.com"
    assert result.keys() - OF_ANSIBLE == {"steps", "virtual_cluster"}


def test_what_people_have_to_do(run: Run, present: Calls, in_group: Calls) -> None:
    present.answer.plan.notes.append("clients have to go elsewhere")
    in_group.answer.plan.notes.append("so have these")
    assert "clients have to go elsewhere" in str(run(check_mode=True)["warnings"])
    assert "so have these" in str(run(group="dev")["warnings"])


def test_no_change(run: Run, present: Calls) -> None:
    present.answer = outcome()
    result = run(diff=True)
    assert (result["changed"], result["steps"], result["diff"]) == (False, [], [])


def test_check_mode(run: Run, present: Calls, absent: Calls) -> None:
    present.answer = outcome(INSTALL, running=False, secret=False)
    result = run(check_mode=True)
    assert present.seen[0].check is True
    assert (result["changed"], result["virtual_cluster"]) == (True, {})
    absent.answer = outcome("uninstall release demo")
    result = run(check_mode=True, state="absent")
    assert absent.seen[0].check is True
    assert (result["changed"], result["virtual_cluster"]["name"]) == (True, "demo")


def test_the_diff_comes_only_if_asked_for(run: Run, present: Calls, absent: Calls) -> None:
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
def test_a_failure(
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
def test_options_that_do_not_exist(options: Object, word: str, run: Run, present: Calls) -> None:
    result = run(**options)
    assert result["failed"] is True
    assert word in result["msg"]
    assert present.seen == []


def test_an_upgrade_that_can_be_taken_back(run: Run, present: Calls, in_group: Calls) -> None:
    run(rollback=True, wait=False, wait_timeout=77)
    (request,) = present.seen[0].asked
    assert (request.rollback, request.patience, present.seen[0].wait) == (True, 77, None)
    present.error = NestedClustersError("it is on 0.35.1 again", rolled_back=True)
    assert run(rollback=True)["rolled_back"] is True
    run(group="dev", ahead_of_group=True)
    assert in_group.seen[0].asked[1].ahead is True


@pytest.mark.usefixtures("real_connection")
def test_no_connection(run: Run, present: Calls, tmp_path: Path) -> None:
    result = run(kubeconfig=str(tmp_path / "nowhere"))
    assert result["failed"] is True
    assert result["msg"].startswith("kubeconfig: ")
    assert present.seen == []


def test_secrets_are_shown_nowhere(run: Run, present: Calls) -> None:
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
def test_a_data_source_in_values_is_not_shown_where_the_option_says_another(run: Run, given: str) -> None:
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


# --- helm's files -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("failing", [False, True])
def test_what_helm_needs_goes_when_the_module_ends(
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


def test_helm_is_opened_only_when_it_is_needed(run: Run, present: Calls, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vcluster, "Helm", None)
    assert not run().get("failed")


# --- the kubeconfig ---------------------------------------------------------------------------------------


def test_the_kubeconfig_is_written(run: Run, present: Calls, tmp_path: Path) -> None:
    file = tmp_path / "config"
    present.answer = outcome()
    foreseen = run(check_mode=True, export_kubeconfig={"path": str(file)})
    assert not file.exists()
    present.answer = outcome()
    result = run(export_kubeconfig={"path": str(file)})
    assert (result["changed"], result["steps"]) == (True, [f"write kubeconfig {file}"])
    assert (foreseen["changed"], foreseen["steps"]) == (result["changed"], result["steps"])
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    content = yaml.safe_load(file.read_text())
    assert content["current-context"] == f"vcluster_demo_{NAMESPACE}"
    assert content["clusters"][0]["cluster"]["server"] == "https://demo.example.com"
    # What is written is not returned as well.
    assert content["users"][0]["user"]["client-key-data"] == pem("RSA PRIVATE KEY")
    assert pem("RSA PRIVATE KEY") not in json.dumps(result)
    present.answer = outcome()
    assert run(export_kubeconfig={"path": str(file)})["changed"] is False


def test_the_kubeconfig_is_returned(run: Run, present: Calls) -> None:
    present.answer = outcome()
    options = {"return_content": True, "server": "https://other", "context": "mine"}
    result = run(export_kubeconfig=options)
    assert result["changed"] is False
    assert result["kubeconfig"]["current-context"] == "mine"
    assert result["kubeconfig"]["clusters"][0]["cluster"]["server"] == "https://other"
    assert result["kubeconfig"]["users"][0]["user"] == {
        "client-certificate-data": pem("CERTIFICATE"),
        "client-key-data": pem("RSA PRIVATE KEY"),
    }


@pytest.mark.parametrize("check", [False, True])
@pytest.mark.parametrize("user", ["admin", "oidc"])
def test_a_kubeconfig_that_somebody_has_changed_is_neither_written_nor_returned(
    user: str, check: bool, run: Run, in_group: Calls, tmp_path: Path
) -> None:
    def change(config: Object) -> None:
        config["clusters"][0]["cluster"]["proxy-url"] = "http://hunter2.example.com"

    file = tmp_path / "config"
    in_group.answer.state.secrets = [kubeconfig_secret("demo", NAMESPACE, change)]
    options = {"path": str(file), "return_content": True, "user": user}
    result = run(group="dev", export_kubeconfig=options, check_mode=check)
    assert result["failed"] is True
    assert "clusters[].cluster.proxy-url" in result["msg"]
    assert "hunter2" not in json.dumps(result)
    assert not file.exists()


def test_there_is_no_kubeconfig_yet(run: Run, present: Calls, tmp_path: Path) -> None:
    file = tmp_path / "config"
    present.answer = outcome(INSTALL, secret=False)
    result = run(export_kubeconfig={"path": str(file)}, wait=False)
    assert result["failed"] is True
    assert "wait: true" in result["msg"]
    present.answer = outcome(INSTALL, running=False, secret=False)
    result = run(export_kubeconfig={"path": str(file)}, check_mode=True)
    assert result["steps"] == [INSTALL, f"write kubeconfig {file}"]
    assert not file.exists()


def test_a_file_that_cannot_be_written(run: Run, present: Calls, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = run(export_kubeconfig={"path": str(tmp_path / "file" / "config")})
    assert result["failed"] is True
    assert str(tmp_path) in result["msg"]


def test_deleting_exports_nothing(run: Run, absent: Calls, tmp_path: Path) -> None:
    file = tmp_path / "config"
    absent.answer = outcome()
    assert run(state="absent", export_kubeconfig={"path": str(file)})["steps"] == []
    assert not file.exists()


# --- in a group -------------------------------------------------------------------------------------------

PLACEMENT = {"host", "strategy", "considered"}


def test_what_is_asked_of_a_group(run: Run, in_group: Calls) -> None:
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


def test_what_a_group_adds_to_the_result(run: Run, in_group: Calls) -> None:
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
        ({"cpu": "much"}, "size.cpu: 'much' is not usable: it is no quantity"),
        ({"memory": "-1Gi"}, "size.memory: '-1Gi' is not usable: it is negative"),
        ({"storage": "2 Gi"}, "size.storage: '2 Gi'"),
        ({"cpu": "0.0001"}, "size.cpu: '0.0001'"),
    ],
)
def test_sizes_that_are_none(size: Object, word: str, run: Run, in_group: Calls) -> None:
    result = run(group="dev", size=size)
    assert result["failed"] is True
    assert word in result["msg"]
    assert in_group.seen == []


@pytest.mark.parametrize("options", [{"owner": "alice"}, {"size": {"cpu": "4"}}])
def test_what_only_a_group_knows(options: Object, run: Run, present: Calls) -> None:
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


def test_all_host_clusters_of_a_group_are_opened(run: Run, in_group: Calls, opened: list[str | None]) -> None:
    run(group="dev", host_clusters=group_host("a", "b"))
    assert opened == ["a", "b"]


def test_one_of_several_without_a_group(run: Run, present: Calls, absent: Calls, opened: list[str | None]) -> None:
    for state, calls in (("present", present), ("absent", absent)):
        result = run(state=state, host_clusters=group_host("a", "b"))
        assert (result["failed"], result["option"], result["allowed"]) == (True, "host_cluster", "a, b")
        assert calls.seen == []
        assert not run(state=state, host_clusters=group_host("a", "b"), host_cluster="b").get("failed")
        assert not run(state=state, host_clusters=group_host("a")).get("failed")


def test_deleting_in_a_group(
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


def test_a_host_name_of_a_gateway_is_an_endpoint(run: Run, in_group: Calls) -> None:
    route = {
        "metadata": {"name": "demo", "namespace": NAMESPACE},
        "spec": {"hostnames": ["demo.a.example.com"], "parentRefs": [{"name": "public"}]},
    }
    done = outcome(INSTALL)
    done.state.release = Release("demo", NAMESPACE, 1, "deployed", "vcluster", "0.36.1", {}, "")
    done.state.live["gateway.networking.k8s.io/v1", "TLSRoute", NAMESPACE, "demo"] = route
    in_group.answer = done
    result = run(group="dev", export_kubeconfig={"return_content": True})
    assert result["virtual_cluster"]["endpoint"] == "https://demo.a.example.com"
    assert result["kubeconfig"]["clusters"][0]["cluster"]["server"] == "https://demo.a.example.com"
