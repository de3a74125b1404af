# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""vcluster: its documentation, and what loading it takes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.nested.clusters.plugins.doc_fragments import host_clusters
from ansible_collections.nested.clusters.plugins.module_utils.endpoint import probe, reachability
from ansible_collections.nested.clusters.plugins.module_utils.k8s import host_clusters as k8s_host_clusters
from ansible_collections.nested.clusters.plugins.module_utils.k8s.connection import auth_argument_spec
from ansible_collections.nested.clusters.plugins.module_utils.values import support_matrix
from ansible_collections.nested.clusters.plugins.modules import vcluster
from documentation_checks import OF_ANSIBLE, assert_documented
from vcluster_calls import Calls

Object = dict[str, Any]
UTILS = Path(vcluster.__file__).parents[1] / "module_utils"
Run = Callable[..., Object]
DOCUMENTATION = yaml.safe_load(vcluster.DOCUMENTATION)
FRAGMENT = yaml.safe_load(host_clusters.ModuleDocFragment.DOCUMENTATION)


def own_options() -> Object:
    return {name: option for name, option in vcluster.argument_spec().items() if name not in auth_argument_spec()}


def test_vcluster_options_are_documented() -> None:
    assert DOCUMENTATION["options"].keys().isdisjoint(FRAGMENT["options"])
    assert_documented(own_options(), {**DOCUMENTATION["options"], **FRAGMENT["options"]})
    fragments = DOCUMENTATION["extends_documentation_fragment"]
    assert {"nested.clusters.connection", "nested.clusters.host_clusters"} <= set(fragments)
    assert auth_argument_spec().items() <= vcluster.argument_spec().items()


def test_host_clusters_fragment_documents_its_option() -> None:
    assert_documented({"host_clusters": k8s_host_clusters.host_clusters_spec()}, FRAGMENT["options"])


def test_vcluster_documented_version_is_the_default() -> None:
    text = " ".join(DOCUMENTATION["options"]["vcluster_version"]["description"])
    assert f"a new virtual cluster gets V({support_matrix.DEFAULT_VCLUSTER_VERSION})" in text


def test_vcluster_examples_are_valid_tasks() -> None:
    tasks = yaml.safe_load(vcluster.EXAMPLES)
    validator = ArgumentSpecValidator(vcluster.argument_spec())
    assert len(tasks) >= 3
    for task in tasks:
        assert task["name"]
        assert validator.validate(task["nested.clusters.vcluster"]).error_messages == []


def test_vcluster_results_are_documented(
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
def test_module_import_loads_no_kubernetes_library(name: str) -> None:
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
def test_module_import_loads_only_what_most_tasks_need(name: str, apart: set[str]) -> None:
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
