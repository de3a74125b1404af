# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a module in this process, as Ansible runs it in its own."""

from __future__ import annotations

import contextlib
import io
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import hypothesis
import pytest
import scripted_api
from ansible.module_utils import basic
from ansible.module_utils.common import warnings
from ansible_collections.nested.clusters.plugins.module_utils.k8s.client import Kubernetes
from fake_api import FakeCluster
from hypothesis.configuration import set_hypothesis_home_dir
from sampling import pytest_collection_modifyitems, pytest_report_header
from scripted_api import ApiServer

__all__ = ["pytest_collection_modifyitems", "pytest_report_header"]  # hooks, for pytest

# The same examples on every machine and in every run, so that a gate changes only by a commit. To look for new
# ones: pytest tests/unit --hypothesis-profile=default
hypothesis.settings.register_profile("deterministic", derandomize=True, database=None, deadline=None)
hypothesis.settings.load_profile("deterministic")
set_hypothesis_home_dir(Path(__file__).resolve().parents[2] / "build/.hypothesis")

Run = Callable[..., dict[str, Any]]
Connect = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def run_module(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return ``run(module, check_mode=False, diff=False, **options)``, which gives the result.

    The module is the real one up to the JSON that it prints, so that what no_log hides is hidden here too.
    A result has ``failed`` set where the module called fail_json, and ``warnings`` always, as a list of
    texts. For ansible-core 2.16 to 2.21.
    """

    def run(
        module: ModuleType, check_mode: bool = False, diff: bool = False, **options: Any
    ) -> dict[str, Any]:
        arguments = {**options, "_ansible_check_mode": check_mode, "_ansible_diff": diff}
        monkeypatch.setattr(basic, "_ANSIBLE_ARGS", json.dumps({"ANSIBLE_MODULE_ARGS": arguments}).encode())
        # From 2.19 on it is asked how the arguments are encoded; older ones do not know the name.
        monkeypatch.setattr(basic, "_ANSIBLE_PROFILE", "legacy", raising=False)
        # Warnings are kept until the process ends, which a module's own process does at once.
        monkeypatch.setattr(warnings, "_global_warnings", type(warnings._global_warnings)())
        # The tests of filters bring in the controller's code, with which warnings are shown at once instead from 2.19
        # on. 2.18 has the package without this name.
        if internal := sys.modules.get("ansible.module_utils._internal"):
            monkeypatch.setattr(internal, "is_controller", False, raising=False)
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed), pytest.raises(SystemExit) as end:
            module.main()
        result: dict[str, Any] = json.loads(printed.getvalue().strip().splitlines()[-1])
        assert bool(end.value.code) == bool(result.get("failed"))
        # From 2.19 on, a warning is a structure.
        texts = [
            item if isinstance(item, str) else item["event"]["msg"] for item in result.pop("warnings", [])
        ]
        return {**result, "warnings": texts}

    return run


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Connect:
    """Return ``connect(cluster)``, after which all connection options lead to this host cluster.

    ``connect(a=cluster, b=other)`` names the contexts that there are, and returns option ``host_clusters`` for them.
    """

    def build(cluster: FakeCluster | None = None, **contexts: FakeCluster) -> list[dict[str, Any]]:
        def open_(options: Mapping[str, Any], *_more: Any) -> Kubernetes:
            return (cluster or contexts[options["context"]]).client()

        monkeypatch.setattr(Kubernetes, "open", open_)
        return [{"name": name, "context": name} for name in contexts]

    return build


@pytest.fixture
def connection_of_nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The Python client keeps the last configuration as everyone's default, and looks into the home directory."""
    from kubernetes.client import Configuration  # takes long to load, and few tests need it

    monkeypatch.setattr(Configuration, "_default", None)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server() -> Iterator[ApiServer]:
    """An HTTP server that answers what a test says."""
    result = ApiServer()
    yield result
    result.close()


@pytest.fixture
def api(server: ApiServer) -> Kubernetes:
    """A client of that server."""
    return scripted_api.connect(host=server.url, api_key="hunter2")


@pytest.fixture(autouse=True)
def no_connection_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep K8S_AUTH_* and KUBECONFIG of whoever runs the tests out of them."""
    for name in [name for name in basic.os.environ if name.startswith("K8S_AUTH_") or name == "KUBECONFIG"]:
        monkeypatch.delenv(name)
