# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of _helm: what helm is run with, what it keeps in Secrets, what its refusals mean."""

from __future__ import annotations

import base64
import gzip
import json
import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from ansible.module_utils.basic import AnsibleModule
from ansible_collections.nested.clusters.plugins.module_utils.common.errors import NestedClustersError, OptionError
from ansible_collections.nested.clusters.plugins.module_utils.helm import cli as helm_cli
from ansible_collections.nested.clusters.plugins.module_utils.helm.chart import Chart
from ansible_collections.nested.clusters.plugins.module_utils.helm.cli import Helm, PausedWorkloads, ReleaseSpec
from ansible_collections.nested.clusters.plugins.module_utils.helm.release import (
    HelmError,
    Release,
    decode_release,
    newest_releases,
)
from ansible_collections.nested.clusters.plugins.module_utils.k8s.client import Kubernetes
from ansible_collections.nested.clusters.plugins.module_utils.k8s.connection import Connection
from helm_releases import raw_secret, release_json, release_secret

REPOSITORY = "https://charts.loft.sh"
IN_REPOSITORY = Chart("vcluster", REPOSITORY, "0.36.1")

# --- release Secrets --------------------------------------------------------------------------------------


def test_a_release_is_read_from_its_secret() -> None:
    assert decode_release(release_secret(3, apply_method="ssa")) == Release(
        name="demo",
        namespace="vcluster-demo",
        revision=3,
        status="deployed",
        chart_name="vcluster",
        chart_version="0.36.1",
        values={"sync": {}},
        manifest="kind: Service\n",
        apply_method="ssa",
        labels={"owner": "helm", "name": "demo", "version": "3", "mine": "yes"},
    )


def test_a_release_that_is_not_compressed() -> None:
    """Helm 2 did not, and helm 3 still reads such."""
    secret = raw_secret(base64.b64encode(json.dumps(release_json()).encode()))
    assert decode_release(secret).chart_version == "0.36.1"


def test_what_a_release_does_not_say() -> None:
    secret = raw_secret(base64.b64encode(b'{"name": "demo", "config": null}'))
    release = decode_release(secret)
    assert (release.values, release.manifest, release.status) == ({}, "", "unknown")
    assert (release.chart_name, release.chart_version, release.apply_method) == ("", "", "")


PACKED = gzip.compress(json.dumps(release_json()).encode())


@pytest.mark.parametrize(
    "secret",
    [
        pytest.param(raw_secret(b""), id="empty"),
        pytest.param(raw_secret(b"%%%"), id="not base64"),
        pytest.param(raw_secret(base64.b64encode(b"hello")), id="not JSON"),
        pytest.param(raw_secret(base64.b64encode(b"[]")), id="a list"),
        pytest.param(raw_secret(base64.b64encode(b"{}")), id="without a name"),
        pytest.param(raw_secret(base64.b64encode(PACKED[:-12])), id="truncated"),
        pytest.param(raw_secret(base64.b64encode(gzip.compress(b" " * 65 * 1024**2))), id="too large"),
        pytest.param(raw_secret(base64.b64encode(PACKED[:20] + b"\xff" * 8 + PACKED[28:])), id="corrupt"),
        pytest.param({**raw_secret(b""), "data": None}, id="no data"),
        pytest.param({**raw_secret(b""), "data": {}}, id="no release"),
    ],
)
def test_a_secret_that_holds_no_release(secret: dict[str, Any]) -> None:
    with pytest.raises(HelmError) as caught:
        decode_release(secret)
    assert "vcluster-demo/sh.helm.release.v1.demo.v1" in str(caught.value)
    assert "restore it from a backup" in str(caught.value)


def test_the_newest_revision_of_each_release() -> None:
    """By number: revision 10 is newer than revision 9, in whatever order they are listed."""
    secrets = [release_secret(9), release_secret(10), release_secret(2), release_secret(1, "other")]
    for listed in (secrets, secrets[::-1]):
        newest = newest_releases(listed)
        assert {name: secret["metadata"]["labels"]["version"] for name, secret in newest.items()} == {
            "demo": "10",
            "other": "1",
        }


def test_secrets_that_are_no_releases_do_not_matter() -> None:
    opaque = {"type": "Opaque", "metadata": {"name": "a", "labels": {"name": "demo", "version": "99"}}}
    nameless = [{"type": "helm.sh/release.v1", "metadata": {"name": name}} for name in "ab"]
    odd = raw_secret(b"", revision="x")
    newest = newest_releases([opaque, *nameless, odd, release_secret(1), odd])
    assert list(newest) == ["demo"]
    assert newest["demo"]["metadata"]["labels"]["version"] == "1"


# --- the chart --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reference", "version", "local", "arguments"),
    [
        ("vcluster", "0.36.1", False, ["vcluster", "--repo", REPOSITORY, "--version", "0.36.1"]),
        ("vcluster", None, False, ["vcluster", "--repo", REPOSITORY]),
        ("oci://ghcr.io/x/vcluster", "0.36.1", False, ["oci://ghcr.io/x/vcluster", "--version", "0.36.1"]),
        ("/charts/vcluster", "0.36.1", True, ["/charts/vcluster"]),
        ("/charts/vcluster-0.36.1.tgz", None, True, ["/charts/vcluster-0.36.1.tgz"]),
        ("vcluster-0.36.1.tgz", None, True, ["CWD/vcluster-0.36.1.tgz"]),
        ("./vcluster", None, True, ["CWD/vcluster"]),
        ("~/vcluster", None, True, ["HOME/vcluster"]),
        ("/charts/vcluster-{version}.tgz", "0.36.1", True, ["/charts/vcluster-0.36.1.tgz"]),
        ("oci://x/v{version}/vcluster", "0.36.1", False, ["oci://x/v0.36.1/vcluster", "--version", "0.36.1"]),
    ],
)
def test_chart_arguments(
    reference: str,
    version: str | None,
    local: bool,
    arguments: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "vcluster").mkdir()  # a directory that is called like the chart is not the chart
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/somebody")
    chart = Chart(reference, REPOSITORY, None)
    assert chart.versioned == ("{version}" in reference)
    chart = chart.of(version) if version else chart
    expected = [text.replace("CWD", str(tmp_path)).replace("HOME", "/home/somebody") for text in arguments]
    assert (chart.local, chart.arguments()) == (local, expected)


# --- what helm is run with --------------------------------------------------------------------------------

# A shell answers for the version, being started ten times faster than Python, which writes down the rest.
FAKE = """#!/bin/sh
here="${{0%/*}}"
if [ "$1" = version ]; then cat "$here/version"; exit "$(cat "$here/version_status")"; fi
exec {python} -IS "$here/record.py" "$@"
"""
RECORD = """
import json, os, sys
here = os.path.dirname(os.path.abspath(__file__))
files = {}
for name in [os.environ["KUBECONFIG"], *(v for k, v in zip(sys.argv, sys.argv[1:]) if k == "--values")]:
    mode = os.stat(name).st_mode & 0o777, os.stat(os.path.dirname(name)).st_mode & 0o777
    files[name] = [*mode, json.load(open(name))]
with open(here + "/runs.jsonl", "a") as file:
    print(json.dumps([sys.argv[1:], dict(os.environ), files, os.getcwd(), sys.stdin.read()]), file=file)
stdout, stderr, status = json.load(open(here + "/script.json"))
print(stderr, file=sys.stderr)
print(stdout)
sys.exit(status)
"""


class FakeHelm:
    """A program that is run as helm: ``binary`` is where it is, ``runs`` how it was run."""

    def __init__(self, directory: Path) -> None:
        self.binary = directory / "helm"
        self._directory = directory
        self.binary.write_text(FAKE.format(python=sys.executable), encoding="utf-8")
        self.binary.chmod(0o755)
        (directory / "record.py").write_text(RECORD, encoding="utf-8")
        self.says()

    def says(
        self,
        stdout: str | None = None,
        stderr: str = "",
        status: int = 0,
        version: str = "v4.3.1",
        version_status: int = 0,
    ) -> None:
        answer = json.dumps(release_json()) if stdout is None else stdout
        (self._directory / "script.json").write_text(json.dumps([answer, stderr, status]))
        (self._directory / "version").write_text(version)
        (self._directory / "version_status").write_text(str(version_status))

    @property
    def runs(self) -> list[Any]:
        return [json.loads(line) for line in (self._directory / "runs.jsonl").read_text().splitlines()]


# As a module runs commands: that of Ansible, but for what needs the module's own options.
run_command = partial(AnsibleModule.run_command, SimpleNamespace(run_command_environ_update={}, _debug=False))


def host() -> Kubernetes:
    """A host cluster that helm is to be let into."""
    return Kubernetes(Connection("https://host", authorization="Bearer hunter2"))


@pytest.fixture
def fake(tmp_path: Path) -> FakeHelm:
    directory = tmp_path / "bin"
    directory.mkdir()
    return FakeHelm(directory)


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
def test_secrets_are_in_private_files_and_nowhere_else(call: Callable[[Helm], Any], fake: FakeHelm, work: Path) -> None:
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
def test_no_hook_of_a_record_runs(call: str, fake: FakeHelm, work: Path) -> None:
    """The chart has none, and Helm would create what somebody has written there."""
    assert "--no-hooks" in arguments_of(fake, work, CALLS[call])


def test_the_files_go_when_helm_fails(fake: FakeHelm, work: Path) -> None:
    fake.says(status=1, stderr="Error: no")
    with (
        pytest.raises(HelmError),
        Helm(host(), run_command, str(fake.binary), str(work)) as helm,
    ):
        helm.uninstall("demo", "ns")
    assert list(work.iterdir()) == []


def test_the_environment_names_no_other_cluster(fake: FakeHelm, work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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


def arguments_of(fake: FakeHelm, work: Path, call: Callable[[Helm], Any]) -> list[str]:
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
def test_helm_4_takes_back_fields_that_others_set(
    version: str, apply_method: str | None, takes_back: bool, fake: FakeHelm, work: Path
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


def test_helm_3_renders_workloads_at_rest(fake: FakeHelm, work: Path) -> None:
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
def test_helm_4_renders_workloads_at_rest(own: bool, fake: FakeHelm, work: Path, tmp_path: Path) -> None:
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


def test_rendering_changes_nothing(fake: FakeHelm, work: Path) -> None:
    upgrade = arguments_of(fake, work, CALLS["render"])
    assert upgrade[:3] == ["upgrade", "--install", "demo"]
    assert {"--dry-run=server", "--reset-values"} < set(upgrade)
    # An upgrade refuses to look past an unfinished revision, even in a dry run.
    install = arguments_of(fake, work, CALLS["render beside an unfinished one"])
    assert install[:2] == ["install", "demo"]
    assert "--dry-run=server" in install
    assert not {"--install", "--reset-values"} & set(install)


def test_values_are_reset_and_the_answer_is_json(fake: FakeHelm, work: Path) -> None:
    arguments = arguments_of(fake, work, CALLS["apply"])
    assert arguments[:3] == ["upgrade", "--install", "demo"]
    assert arguments[arguments.index("--namespace") + 1] == "ns"
    assert arguments[arguments.index("--output") + 1] == "json"
    assert "--reset-values" in arguments
    assert arguments[arguments.index("--repo") + 1] == REPOSITORY


def test_what_helm_answers(fake: FakeHelm, work: Path) -> None:
    fake.says('Release "demo" does not exist. Installing it now.\n' + json.dumps(release_json(4)))
    with Helm(host(), run_command, str(fake.binary), str(work)) as helm:
        release = helm.render(ReleaseSpec("demo", "vcluster-demo", IN_REPOSITORY, {}))
    assert (release.revision, release.manifest, release.labels) == (4, "kind: Service\n", {})
    assert release.secret_name == "sh.helm.release.v1.demo.v4"


@pytest.mark.parametrize("answer", ["", "Release upgraded. Happy Helming!", '{"name": "demo"', "{}", '{"a": 1} x'])
def test_an_answer_that_is_no_release(answer: str, fake: FakeHelm, work: Path) -> None:
    fake.says(answer)
    with (
        pytest.raises(HelmError, match="JSON"),
        Helm(host(), run_command, str(fake.binary), str(work)) as helm,
    ):
        helm.render(ReleaseSpec("demo", "ns", IN_REPOSITORY, {}))


# --- which helm -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "expected"),
    [("v3.14.0", (3, 14)), ("v3.22.0", (3, 22)), ("v4.0.0-rc.1", (4, 0)), ("v4.3.1+gabcdef", (4, 3))],
)
def test_versions_that_work(version: str, expected: tuple[int, int], fake: FakeHelm) -> None:
    fake.says(version=version)
    assert helm_cli.binary_version(str(fake.binary), run_command) == expected


@pytest.mark.parametrize(
    ("answer", "word"),
    [
        ({"version": "v3.13.3"}, "3.13"),
        ({"version": "v2.17.0"}, "2.17"),
        ({"version": "GNU bash, version 5.2"}, "does not answer like helm"),
        ({"version": ""}, "does not answer like helm"),
        ({"version": "v4.3.1", "version_status": 1}, "does not answer like helm"),
    ],
)
def test_versions_that_do_not(answer: dict[str, Any], word: str, fake: FakeHelm, work: Path) -> None:
    fake.says(**answer)
    with pytest.raises(OptionError) as caught:
        Helm(host(), run_command, str(fake.binary), str(work))
    assert word in str(caught.value)
    assert str(caught.value).startswith("binary_path: ")
    assert "helm 3.14 or later" in str(caught.value)
    assert list(work.iterdir()) == []


def test_a_helm_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    text = tmp_path / "text"
    text.write_text("no program")
    for binary in (None, "helm", str(tmp_path / "helm"), str(text)):
        with pytest.raises(OptionError, match=r"binary_path: .*no such program.*helm\.sh"):
            helm_cli.find_binary(binary)


def test_a_file_that_cannot_be_run(tmp_path: Path) -> None:
    binary = tmp_path / "helm"
    binary.write_text("#!/nonexistent/interpreter\n")
    binary.chmod(0o755)
    with pytest.raises(OptionError, match="binary_path"):
        helm_cli.binary_version(helm_cli.find_binary(str(binary)), run_command)


def test_helm_on_the_path(fake: FakeHelm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(fake.binary.parent), prepend=os.pathsep)
    assert helm_cli.find_binary(None) == str(fake.binary)


def test_a_helm_that_is_named_from_here(fake: FakeHelm, work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(fake.binary.parent)
    with Helm(host(), run_command, "./helm", str(work)) as helm:
        helm.uninstall("demo", "ns")
    assert len(fake.runs) == 1


# --- refusals: texts of helm 3.22.0 and 4.3.1 -------------------------------------------------------------

SCHEMA = """Error: values don't meet the specifications of the schema(s) in the following chart(s):
vcluster:
- at '/sync/toHost/pods/enabled': got string, want boolean
- at '/controlPlane': additional properties 'nope' not allowed
"""
NO_VERSION = 'Error: chart "vcluster" version "9.9.9" not found in https://charts.loft.sh repository'
NO_OCI_VERSION = 'Error: failed to perform "FetchReference" on source: ghcr.io/x/vcluster:9.9.9: not found'
REFUSED = "dial tcp 127.0.0.1:1: connect: connection refused"
UNREACHABLE = (
    'Error: looks like "https://charts.loft.sh" is not a valid chart repository or cannot be reached: '
    f'Get "https://charts.loft.sh/index.yaml": {REFUSED}'
)
NO_INDEX = (
    'Error: looks like "https://charts.loft.sh" is not a valid chart repository or cannot be reached: '
    "failed to fetch https://charts.loft.sh/index.yaml : 404 File not found"
)
OCI_UNREACHABLE = (
    f'Error: failed to perform "FetchReference" on source: Get "https://ghcr.io/v2/x/manifests/9": {REFUSED}'
)
PENDING = "Error: UPGRADE FAILED: another operation (install/upgrade/rollback) is in progress"
HELM_4_LOG = 'level=WARN msg="unable to find exact version" chart=vcluster\n'
OCI = Chart("oci://ghcr.io/x/vcluster", REPOSITORY, "9.9.9")
LOCAL = Chart("/charts/vcluster", REPOSITORY, None)
WANTED = Chart("vcluster", REPOSITORY, "9.9.9")


@pytest.mark.parametrize(
    ("text", "chart", "option", "words"),
    [
        (SCHEMA, LOCAL, "values", ["got string, want boolean", "additional properties 'nope' not allowed"]),
        (HELM_4_LOG + SCHEMA, LOCAL, "values", ["/sync/toHost/pods/enabled"]),
        (NO_VERSION, WANTED, "vcluster_version", ["9.9.9", REPOSITORY]),
        (HELM_4_LOG + NO_VERSION, WANTED, "vcluster_version", ["9.9.9", REPOSITORY]),
        (NO_OCI_VERSION, OCI, "vcluster_version", ["9.9.9", "oci://ghcr.io/x/vcluster"]),
        (UNREACHABLE, WANTED, "chart_repo_url", [REPOSITORY, REFUSED, "chart_ref"]),
        (NO_INDEX, WANTED, "chart_repo_url", [REPOSITORY, "404"]),
    ],
)
def test_a_refusal_that_an_option_caused(text: str, chart: Chart, option: str, words: list[str]) -> None:
    error = helm_cli.explain(text.strip(), "upgrade", chart)
    assert isinstance(error, OptionError)
    assert error.data["option"] == option
    assert [word for word in words if word not in str(error)] == []
    assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("text", "chart", "words"),
    [
        (PENDING, WANTED, ["another operation", "run again"]),
        (OCI_UNREACHABLE, OCI, ["ghcr.io", REFUSED]),
        (
            'Error: UPGRADE FAILED: namespaces "x" not found',
            WANTED,
            ['namespaces "x" not found; somebody deleted it meanwhile: run again'],
        ),
        (
            'Error: UPGRADE FAILED: could not patch: statefulsets.apps "x" not found',
            WANTED,
            ['"x" not found; somebody deleted it meanwhile: run again'],
        ),
        ('Error: UPGRADE FAILED: secrets "x" is forbidden', LOCAL, ['secrets "x" is forbidden']),
        ("Error: uninstall: Release not loaded: demo: release: not found", None, ["Release not loaded"]),
        ("Error: UPGRADE FAILED: a webhook said: Error: no such team", LOCAL, ["UPGRADE FAILED", "no such team"]),
        (
            'Error: UPGRADE FAILED: roles is forbidden: User "bob" cannot list resource "roles"',
            LOCAL,
            ['User "bob"', "ask for a role"],
        ),
        (
            'Error: failed to create: secrets "x" is forbidden: unable to create new content in namespace demo because '
            "it is being terminated",
            LOCAL,
            ["namespace demo", "being terminated; somebody is deleting it: run again, which waits until it is gone"],
        ),
        (
            "Error: kubernetes cluster unreachable: the server has asked for the client to provide credentials",
            LOCAL,
            ["does not know the credentials of the connection options"],
        ),
        ("Error: UPGRADE FAILED: could not patch: Unauthorized", LOCAL, ["does not know the credentials"]),
        ("segmentation fault", LOCAL, ["segmentation fault"]),
        ("", LOCAL, ["helm upgrade"]),
    ],
)
def test_a_refusal_that_is_helms_own(text: str, chart: Chart | None, words: list[str]) -> None:
    error = helm_cli.explain(text, "upgrade", chart)
    assert isinstance(error, HelmError)
    assert isinstance(error, NestedClustersError)
    assert str(error).startswith("helm upgrade: ")
    assert [word for word in words if word not in str(error)] == []


def test_a_webhook_without_its_service_was_not_deleted_meanwhile() -> None:
    error = helm_cli.explain(
        'Error: UPGRADE FAILED: failed calling webhook "a": service "x" not found', "upgrade", LOCAL
    )
    assert str(error).endswith('service "x" not found')


def test_the_logs_of_helm_4_are_no_message() -> None:
    error = helm_cli.explain(f"{HELM_4_LOG}{PENDING}", "upgrade", LOCAL)
    assert "level=WARN" not in str(error)
    assert "level=WARN" in error.data["helm_output"]


def test_a_refusal_of_a_run(fake: FakeHelm, work: Path) -> None:
    fake.says(status=1, stderr=NO_VERSION)
    with (
        pytest.raises(OptionError, match=r"vcluster_version: '0\.36\.1'"),
        Helm(host(), run_command, str(fake.binary), str(work)) as helm,
    ):
        helm.render(ReleaseSpec("demo", "ns", IN_REPOSITORY, {}))
