# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of cli: what helm is run with, what it is not told, and what it answers."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.nested.clusters.plugins.module_utils.common.errors import OptionError
from ansible_collections.nested.clusters.plugins.module_utils.helm.cli import Helm, PausedWorkloads, ReleaseSpec
from ansible_collections.nested.clusters.plugins.module_utils.helm.release import HelmError, Release
from helm_binary import NO_VERSION, HelmProgram, host, run_command
from helm_charts import IN_REPOSITORY, REPOSITORY
from helm_releases import release_json


@pytest.fixture
def fake(tmp_path: Path) -> HelmProgram:
    directory = tmp_path / "bin"
    directory.mkdir()
    return HelmProgram(directory)


@pytest.fixture
def work(tmp_path: Path) -> Path:
    directory = tmp_path / "work"
    directory.mkdir()
    return directory


VALUES = {"controlPlane": {"password": "hunter3"}}
CALLS: dict[str, Callable[[Helm], Any]] = {
    "render": lambda helm: helm.render(ReleaseSpec("demo", "ns", IN_REPOSITORY, VALUES)),
    "render beside an unfinished one": lambda helm: helm.render(ReleaseSpec("demo", "ns", IN_REPOSITORY, VALUES), True),
    "apply": lambda helm: helm.apply(ReleaseSpec("demo", "ns", IN_REPOSITORY, VALUES), None, {"a": "b", "c": "d"}),
    "uninstall": lambda helm: helm.uninstall("demo", "ns"),
    "rollback": lambda helm: helm.rollback("demo", "ns", 3, None),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_helm_secrets_are_in_private_files_only(call: Callable[[Helm], Any], fake: HelmProgram, work: Path) -> None:
    before = os.umask(0)
    try:
        with Helm(host(), run_command, str(fake.binary), str(work)) as helm:
            call(helm)
            assert list(work.iterdir())
    finally:
        os.umask(before)
    assert list(work.iterdir()) == []
    ((arguments, environment, files, cwd, stdin),) = fake.runs
    assert "hunter" not in json.dumps([arguments, environment, stdin])
    assert files[environment["KUBECONFIG"]][2] == host().kubeconfig()
    assert {(file, directory) for file, directory, _content in files.values()} == {(0o600, 0o700)}
    assert all(Path(name).parent.parent == work for name in files)
    assert Path(cwd).parent == work
    if arguments[0] not in ("uninstall", "rollback"):
        assert files[arguments[arguments.index("--values") + 1]][2] == VALUES


@pytest.mark.parametrize("call", ["uninstall", "rollback"])
def test_helm_hooks_of_records_do_not_run(call: str, fake: HelmProgram, work: Path) -> None:
    """The chart has none, and Helm would create what somebody has written there."""
    assert "--no-hooks" in arguments_of(fake, work, CALLS[call])


def test_helm_failure_removes_files(fake: HelmProgram, work: Path) -> None:
    fake.says(status=1, stderr="Error: no")
    with (
        pytest.raises(HelmError),
        Helm(host(), run_command, str(fake.binary), str(work)) as helm,
    ):
        helm.uninstall("demo", "ns")
    assert list(work.iterdir()) == []


def test_helm_environment_names_no_other_cluster(
    fake: HelmProgram, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    removed = {
        "HELM_NAMESPACE": "prod",
        "HELM_KUBECONTEXT": "prod",
        "HELM_KUBETOKEN": "x",
        "HELM_KUBEAPISERVER": "https://prod",
        "HELM_KUBEASUSER": "root",
        "HELM_DRIVER": "memory",
        "HELM_DEBUG": "1",
    }
    kept = {"HELM_CACHE_HOME": "/tmp/cache", "HTTPS_PROXY": "http://proxy:3128"}
    for name, value in {**removed, **kept, "KUBECONFIG": "/prod"}.items():
        monkeypatch.setenv(name, value)
    with Helm(host(), run_command, str(fake.binary), str(work)) as helm:
        helm.uninstall("demo", "ns")
    ((_arguments, environment, _files, _cwd, _stdin),) = fake.runs
    assert not any(environment[name] for name in removed), "an empty one is none for helm"
    assert {name: environment[name] for name in kept} == kept
    assert environment["KUBECONFIG"].startswith(str(work))


def arguments_of(fake: HelmProgram, work: Path, call: Callable[[Helm], Any]) -> list[str]:
    with Helm(host(), run_command, str(fake.binary), str(work)) as helm:
        call(helm)
    return fake.runs[-1][0]


@pytest.mark.parametrize(
    ("version", "apply_method", "takes_back"),
    [
        ("v4.3.1", None, True),
        ("v4.3.1", "ssa", True),
        ("v4.3.1", "csa", False),
        ("v4.3.1", "", False),
        ("v3.22.0", None, False),
        ("v3.14.0", "ssa", False),
    ],
)
def test_helm_4_forces_conflicting_fields(
    version: str, apply_method: str | None, takes_back: bool, fake: HelmProgram, work: Path
) -> None:
    fake.says(version=version)
    deployed = None
    if apply_method is not None:
        deployed = Release.from_json(release_json(apply_method=apply_method))
    spec = ReleaseSpec("demo", "ns", IN_REPOSITORY, {})
    arguments = arguments_of(fake, work, lambda helm: helm.apply(spec, deployed, {"a": "b", "c": "d"}))
    assert ("--force-conflicts" in arguments) == takes_back
    assert ("--server-side=true" in arguments) == takes_back
    assert "--labels=a=b,c=d" in arguments
    assert "--dry-run=server" not in arguments
    back = arguments_of(fake, work, lambda helm: helm.rollback("demo", "ns", 3, deployed))
    assert back[:5] == ["rollback", "demo", "3", "--namespace", "ns"]
    # A new revision takes the way of the one that is deployed, and there is always one to go back from.
    assert ("--force-conflicts" in back) == (takes_back and deployed is not None)


AT_REST = PausedWorkloads(["demo"], {"note": "x"})
MANIFEST = "kind: StatefulSet\nmetadata:\n  name: demo\nspec:\n  replicas: 3\n"


def post_render(command: list[str], environment: dict[str, str]) -> Any:
    done = subprocess.run(command, input=MANIFEST, env=environment, capture_output=True, text=True, check=True)
    return yaml.safe_load(done.stdout)


def test_helm_3_at_rest_runs_post_renderer(fake: HelmProgram, work: Path) -> None:
    fake.says(version="v3.22.0")
    with Helm(host(), run_command, str(fake.binary), str(work)) as helm:
        helm.apply(ReleaseSpec("demo", "ns", IN_REPOSITORY, {}), None, {}, AT_REST)
        ((arguments, _environment, _files, _cwd, _stdin),) = fake.runs
        at = arguments.index("--post-renderer")
        assert arguments[at + 1 : at + 3] == ["sh", "--post-renderer-args"]
        rendered = post_render(["sh", arguments[at + 3]], {"PATH": os.environ["PATH"]})
    assert rendered["spec"]["replicas"] == 0
    assert rendered["metadata"]["annotations"]["note"] == "x"
    assert list(work.iterdir()) == []


@pytest.mark.parametrize("own", [True, False])
def test_helm_4_at_rest_runs_post_renderer_plugin(own: bool, fake: HelmProgram, work: Path, tmp_path: Path) -> None:
    """Our plugin is the only one that helm has to find, and the user's are still there."""
    plugins = tmp_path / "own plugins"
    if own:
        (plugins / "s3").mkdir(parents=True)
        (plugins / "s3" / "plugin.yaml").touch()
    fake.says(stdout=str(plugins))
    with Helm(host(), run_command, str(fake.binary), str(work)) as helm:
        with pytest.raises(HelmError, match="did not answer in JSON"):  # it answers as helm env does
            helm.apply(ReleaseSpec("demo", "ns", IN_REPOSITORY, {}), None, {}, AT_REST)
        asked, applied = fake.runs
        assert asked[0] == ["env", "HELM_PLUGINS"]
        arguments, directory = applied[0], Path(applied[1]["HELM_PLUGINS"])
        name = arguments[arguments.index("--post-renderer") + 1]
        assert {path.name for path in directory.iterdir()} == {name, *(["s3"] if own else [])}
        plugin = yaml.safe_load((directory / name / "plugin.yaml").read_text())
        assert (plugin["name"], plugin["type"], plugin["runtime"]) == (name, "postrenderer/v1", "subprocess")
        (run,) = plugin["runtimeConfig"]["platformCommand"]
        words = [word.replace("${HELM_PLUGIN_DIR}", str(directory / name)) for word in run["args"]]
        assert post_render([run["command"], *words], {"PATH": os.environ["PATH"]})["spec"]["replicas"] == 0
    assert list(work.iterdir()) == []


def test_helm_render_is_a_dry_run(fake: HelmProgram, work: Path) -> None:
    upgrade = arguments_of(fake, work, CALLS["render"])
    assert upgrade[:3] == ["upgrade", "--install", "demo"]
    assert {"--dry-run=server", "--reset-values"} < set(upgrade)
    # An upgrade refuses to look past an unfinished revision, even in a dry run.
    install = arguments_of(fake, work, CALLS["render beside an unfinished one"])
    assert install[:2] == ["install", "demo"]
    assert "--dry-run=server" in install
    assert not {"--install", "--reset-values"} & set(install)


def test_helm_apply_resets_values_and_answers_json(fake: HelmProgram, work: Path) -> None:
    arguments = arguments_of(fake, work, CALLS["apply"])
    assert arguments[:3] == ["upgrade", "--install", "demo"]
    assert arguments[arguments.index("--namespace") + 1] == "ns"
    assert arguments[arguments.index("--output") + 1] == "json"
    assert "--reset-values" in arguments
    assert arguments[arguments.index("--repo") + 1] == REPOSITORY


def test_helm_answer_is_a_release(fake: HelmProgram, work: Path) -> None:
    fake.says('Release "demo" does not exist. Installing it now.\n' + json.dumps(release_json(4)))
    with Helm(host(), run_command, str(fake.binary), str(work)) as helm:
        release = helm.render(ReleaseSpec("demo", "vcluster-demo", IN_REPOSITORY, {}))
    assert (release.revision, release.manifest, release.labels) == (4, "kind: Service\n", {})
    assert release.secret_name == "sh.helm.release.v1.demo.v4"


@pytest.mark.parametrize("answer", ["", "Release upgraded. Happy Helming!", '{"name": "demo"', "{}", '{"a": 1} x'])
def test_helm_answer_without_release_is_an_error(answer: str, fake: HelmProgram, work: Path) -> None:
    fake.says(answer)
    with (
        pytest.raises(HelmError, match="JSON"),
        Helm(host(), run_command, str(fake.binary), str(work)) as helm,
    ):
        helm.render(ReleaseSpec("demo", "ns", IN_REPOSITORY, {}))


def test_helm_relative_binary_is_run(fake: HelmProgram, work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(fake.binary.parent)
    with Helm(host(), run_command, "./helm", str(work)) as helm:
        helm.uninstall("demo", "ns")
    assert len(fake.runs) == 1


def test_helm_failure_of_option_names_option(fake: HelmProgram, work: Path) -> None:
    fake.says(status=1, stderr=NO_VERSION)
    with (
        pytest.raises(OptionError, match=r"vcluster_version: '0\.36\.1'"),
        Helm(host(), run_command, str(fake.binary), str(work)) as helm,
    ):
        helm.render(ReleaseSpec("demo", "ns", IN_REPOSITORY, {}))
