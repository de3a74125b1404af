# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run helm; nothing else does.

helm gets an argument list, the connection and the values as files that only this user can read, and is
asked for JSON. What is deployed is read from helm's own release Secret, so that a virtual cluster that
needs no change costs no helm process.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from types import TracebackType
from typing import Any, TypeAlias

from ..common.errors import NestedClustersError, OptionError
from ..k8s.client import Kubernetes
from ..k8s.errors import TERMINATED, WHEN_GONE, WHEN_TERMINATED
from . import post_renderer
from .chart import Chart
from .post_renderer import PausedWorkloads
from .release import HelmError, Release

# What starts helm when it is first needed, for one host cluster, and for the one that it is called with. An unchanged
# task needs none, and to find helm and to ask for its version would take most of its time. Whoever makes such a
# function also ends what it has started.
OpenHelm: TypeAlias = "Callable[[], Helm]"
OpenHelmOn: TypeAlias = "Callable[[Kubernetes], Helm]"

OLDEST = (3, 14)  # the first that takes --dry-run=server and release labels together
HOW_TO_GET = "helm 3.14 or later, or 4, on the PATH or named by binary_path (https://helm.sh/docs/intro/install)"
RunCommand = Callable[..., tuple[int, str, str]]  # AnsibleModule.run_command
POST_RENDERER = "nested-clusters-at-rest"  # name of our post-renderer, which is a plugin for helm 4


@dataclass(frozen=True)
class ReleaseSpec:
    """A release to make: its name and namespace, and its chart and values."""

    name: str
    namespace: str
    chart: Chart
    values: dict[str, Any]


class Helm:
    """helm, run against one host cluster. Use as a context manager: its files live as long as it does."""

    def __init__(
        self, kubernetes: Kubernetes, run_command: RunCommand, binary: str | None, directory: str | None = None
    ) -> None:
        self.binary = find_binary(binary)
        self.version = binary_version(self.binary, run_command)
        self._run_command = run_command
        self._directory = tempfile.TemporaryDirectory(prefix="helm-", dir=directory)  # mode 0700
        kubeconfig = self._private_file("kubeconfig", json.dumps(kubernetes.kubeconfig()))
        self._environment = {"KUBECONFIG": kubeconfig}

    def __enter__(self) -> Helm:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._directory.cleanup()

    def render(self, spec: ReleaseSpec, unfinished: bool = False) -> Release:
        """Return the release as :meth:`apply` would make it, checked by the API server; nothing is changed.

        ``unfinished``: there is a revision that helm did not finish. An upgrade refuses to look past it even in a
        dry run; a dry run of an installation does not ask.
        """
        verb = ("install",) if unfinished else ("upgrade", "--install")
        return self._run_release(verb, spec, ["--dry-run=server"])

    def apply(
        self,
        spec: ReleaseSpec,
        deployed: Release | None,
        labels: dict[str, str],
        at_rest: PausedWorkloads | None = None,
    ) -> Release:
        """Install the release, or bring it to this chart and these values, or undo what others changed in it.

        ``labels`` are added to those of the release's Secret. ``at_rest`` is what is paused and stays so.
        """
        extra = [f"--labels={','.join(f'{key}={value}' for key, value in labels.items())}"] if labels else []
        if self.version[0] >= 4 and (deployed is None or deployed.apply_method == "ssa"):
            # On the server, a field that kubectl or the vcluster CLI set is theirs, and helm 4 gives up half-way
            # ("conflict with kubectl"). The plan has shown the difference; take the field back.
            extra += ["--server-side=true", "--force-conflicts"]
        if at_rest:
            extra += self._post_renderer(at_rest)
        return self._run_release(("upgrade", "--install"), spec, extra)

    def rollback(self, name: str, namespace: str, revision: int, deployed: Release | None) -> None:
        """Make a new revision that is like an earlier one, and all objects as that one had them."""
        extra = []
        if self.version[0] >= 4 and deployed is not None and deployed.apply_method == "ssa":
            extra = ["--server-side=true", "--force-conflicts"]
        self._run(["rollback", name, str(revision), "--namespace", namespace, "--no-hooks", *extra])

    def uninstall(self, name: str, namespace: str) -> None:
        """Delete the release and its objects; volume claims of a StatefulSet stay, as always with Helm.

        The chart has no hooks; those that are in Helm's record are what somebody wrote there, and do not run.
        """
        self._run(["uninstall", name, "--namespace", namespace, "--ignore-not-found", "--no-hooks"])

    def _run_release(self, verb: tuple[str, ...], spec: ReleaseSpec, extra: list[str]) -> Release:
        file = self._private_file("values.json", json.dumps(spec.values))  # JSON is YAML
        reset = ["--reset-values"] if verb[0] == "upgrade" else []
        answer = self._run(
            [
                *(*verb, spec.name, *spec.chart.arguments(), "--namespace", spec.namespace),
                *("--values", file, "--output", "json", *reset, *extra),
            ],
            spec.chart,
        )
        try:
            return Release.from_json(json.loads(answer[answer.index("{") :]))
        except (ValueError, KeyError, AttributeError) as error:
            raise HelmError(f"helm {verb[0]} did not answer in JSON: {answer[:300]!r}") from error

    def _post_renderer(self, at_rest: PausedWorkloads) -> list[str]:
        """Return the arguments that make helm render these workloads without replicas."""
        directory = os.path.join(self._directory.name, "plugins", POST_RENDERER)
        os.makedirs(directory, 0o700)
        for where, source in post_renderer.sources().items():
            os.makedirs(os.path.join(directory, os.path.dirname(where)), 0o700, exist_ok=True)
            self._private_file(os.path.join(directory, where), source)
        # A shell reads it, so that it also works where files in a temporary directory cannot be executed.
        program = os.path.join(directory, "postrender.py")
        path = os.pathsep.join(filter(None, sys.path))  # where there is PyYAML
        python = ["env", f"PYTHONPATH={path}", sys.executable]
        command = [*python, program, json.dumps(at_rest.names), json.dumps(at_rest.annotations)]
        script = self._private_file(os.path.join(directory, "run.sh"), f"exec {shlex.join(command)}\n")
        if self.version[0] < 4:
            return ["--post-renderer", "sh", "--post-renderer-args", script]
        run = {"command": "sh", "args": ["${HELM_PLUGIN_DIR}/run.sh"]}
        plugin = {
            "apiVersion": "v1",
            "type": "postrenderer/v1",
            "name": POST_RENDERER,
            "version": "1.0.0",
            "runtime": "subprocess",
            "runtimeConfig": {"platformCommand": [run]},
        }
        self._private_file(os.path.join(directory, "plugin.yaml"), json.dumps(plugin))  # JSON is YAML
        self._link_plugins(os.path.dirname(directory))
        self._environment["HELM_PLUGINS"] = os.path.dirname(directory)
        return ["--post-renderer", POST_RENDERER]

    def _link_plugins(self, directory: str) -> None:
        """Put the user's own plugins beside ours: one of them may be what downloads the chart."""
        for own in self._run(["env", "HELM_PLUGINS"]).strip().split(os.pathsep):
            for plugin in os.scandir(own) if os.path.isdir(own) else ():
                target = os.path.join(directory, plugin.name)
                if not os.path.lexists(target):
                    os.symlink(plugin.path, target)

    def _private_file(self, name: str, content: str) -> str:
        target = os.path.join(self._directory.name, name)
        with open(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            file.write(content)
        return target

    def _run(self, arguments: list[str], chart: Chart | None = None) -> str:
        # Left-over HELM_KUBE* and HELM_NAMESPACE would silently point helm at another cluster or namespace. An empty
        # variable is none for helm.
        unset = {
            key: ""
            for key in os.environ
            if key.startswith("HELM_KUBE") or key in ("HELM_NAMESPACE", "HELM_DRIVER", "HELM_DEBUG")
        }
        status, out, err = self._run_command(
            [self.binary, *arguments],
            environ_update={**unset, **self._environment},
            cwd=self._directory.name,  # or a directory that is called like the chart would be taken for it
            expand_user_and_vars=False,
            handle_exceptions=False,
        )
        if status:
            raise explain(err.strip() or out.strip(), arguments[0], chart)
        return out


def find_binary(binary: str | None) -> str:
    """Return the helm to run. Raises OptionError that says how to get one."""
    found = shutil.which(os.path.expanduser(binary) if binary else "helm")
    if not found:
        message = f"there is no program {binary or 'helm'!r}; install {HOW_TO_GET}"
        raise OptionError("binary_path", binary or "helm", HOW_TO_GET, message=message)
    return os.path.abspath(found)


@lru_cache
def binary_version(binary: str, run_command: RunCommand) -> tuple[int, int]:
    """Return (major, minor) of a helm. Raises OptionError when it is no helm, or too old."""
    command = [binary, "version", "--template", "{{.Version}}"]
    try:
        status, out, _err = run_command(command, expand_user_and_vars=False, handle_exceptions=False)
    except OSError as error:
        raise OptionError("binary_path", binary, HOW_TO_GET, reason=str(error)) from error
    found = re.search(r"v(\d+)\.(\d+)", out)
    if status or not found:
        raise OptionError("binary_path", binary, HOW_TO_GET, reason="it does not answer as helm does")
    version = (int(found[1]), int(found[2]))
    if version < OLDEST:
        raise OptionError("binary_path", binary, HOW_TO_GET, reason=f"it is helm {found[0][1:]}, which is too old")
    return version


def explain(text: str, verb: str, chart: Chart | None) -> NestedClustersError:
    """Return helm's error, as an OptionError if an option caused it."""
    # helm 4 logs before its error; the last line that starts with "Error:" begins the refusal itself.
    message = re.split(r"^Error: ", text, flags=re.MULTILINE)[-1]
    if "specifications of the schema" in message:
        wrong = [line.strip(" -") for line in message.splitlines()[1:] if line.strip(" -")]
        problems = "; ".join(line for line in wrong if not line.endswith(":")) or message
        return OptionError(
            "values",
            problems,
            "what values.schema.json of this chart version describes",
            message=f"the chart's schema rejects the values: {problems}; see values.schema.json of this chart version",
        )
    if (
        chart
        and not chart.local
        and re.search(
            r"not found in .* repository|no chart version|improper constraint"
            r"|: not found|manifest unknown",
            message,
        )
    ):
        return OptionError(
            "vcluster_version",
            chart.version,
            f"a version that {chart.repository if '://' not in chart.reference else chart.reference} serves",
            reason=" ".join(message.split()),
        )
    if chart and not chart.local and "cannot be reached" in message:
        return OptionError(
            "chart_repo_url",
            chart.repository,
            "a Helm repository that this machine reaches; without one, name a local chart with chart_ref",
            reason=message.rsplit("cannot be reached: ", 1)[-1].strip(),
        )
    if "is forbidden: User" in message:
        message += "; ask for a role with this verb and resource"
    if "another operation" in message or message.endswith("already exists"):
        message += "; another task or person is changing this virtual cluster; run the task again when that is done"
    if re.search(r'(^|: )[a-z.]+ "[^"]+" not found$', message) and "webhook" not in message:
        message += f"; {WHEN_GONE}"
    if "asked for the client to provide credentials" in message or message.endswith("Unauthorized"):
        message += "; the host cluster rejects the credentials of the connection options; check them"
    if TERMINATED in message:
        message += f"; {WHEN_TERMINATED}"
    return HelmError(f"helm {verb}: {message.strip()}", helm_output=text[-4000:])
