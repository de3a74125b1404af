# SPDX-License-Identifier: GPL-3.0-or-later
"""What a task costs that has nothing to change."""

from __future__ import annotations

import contextlib
import re
import tempfile
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from api import PREFIX
from host import Host
from playbook import rounds, run, task
from report import Result, stage

NAME = "unchanged"
NAMESPACE = PREFIX + NAME
ROUNDS = 10
# In the index of the chart repository: one for each of the 695 tags of vCluster, and until 0.19 up to four, one a
# distribution (charts/ of each tag). The charts of other products are there as well, and are left out here.
VERSIONS = 1220
VALUES = {"controlPlane": {"statefulSet": {"image": {"repository": "loft-sh/vcluster-oss"}}}}


class QuietHandler(SimpleHTTPRequestHandler):
    """Serves files and says nothing."""

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def repository(host: Host) -> Iterator[str]:
    """The URL of a chart repository on this machine that holds the chart, among many versions of it."""
    with tempfile.TemporaryDirectory() as directory:
        Path(directory, "vcluster.tgz").write_bytes(Path(host.chart).read_bytes())
        host.run("helm", "repo", "index", directory)
        index = Path(directory, "index.yaml")
        head, entry, tail = re.split(r"(?ms)^(  - .*?)(?=^generated)", index.read_text(encoding="utf-8"))
        numbers = range(1, VERSIONS)
        others = [re.sub(r"(?m)^    version: .*$", f"    version: 0.0.{number}", entry) for number in numbers]
        index.write_text("".join([head, entry, *others, tail]), encoding="utf-8")
        server = ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=directory))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            server.server_close()


def measure(host: Host) -> list[Result]:
    """One release, looked at in turn by our task, kubernetes.core.helm, kubernetes.core.k8s and one that does nothing.

    kubernetes.core 6 refuses helm 4, so the release is made by its own task with helm 3. Both ways to name the
    chart are measured: by its repository, whose index helm loads every time, and by a file on this machine.
    """
    version = Path(host.chart).name.removeprefix("vcluster-").removesuffix(".tgz")
    common = {"kubeconfig": host.kubeconfig, "binary_path": str(host.binaries / "helm3"), "values": VALUES}
    release = {"release_name": NAME, "release_namespace": NAMESPACE, "create_namespace": True, "wait": True}
    with repository(host) as url:
        from_file = {"chart_ref": host.chart}
        of_helm = {"chart_ref": "vcluster", "chart_repo_url": url, "chart_version": version}
        of_ours = {"chart_repo_url": url, "vcluster_version": version}
        ours, helm = "nested.clusters.vcluster", "kubernetes.core.helm"
        mine = {"name": NAME, "namespace": NAMESPACE}
        tasks = {
            "ours": task(ours, common | mine | of_ours),
            "helm": task(helm, common | release | of_helm),
            "ours, file": task(ours, common | mine | from_file),
            "helm, file": task(helm, common | release | from_file),
            "k8s": task("kubernetes.core.k8s", {"kubeconfig": host.kubeconfig, "definition": config_map()}),
            "nothing": task("ansible.builtin.ping", {}),
        }
        tasks = {name: {**one, "name": name} for name, one in tasks.items()}
        with stage("unchanged: installing the release", "20 s"):
            run([tasks["helm"]], host.env)
        with stage(f"unchanged: {ROUNDS} rounds of {len(tasks)} tasks", "30 s"):
            seconds = rounds(list(tasks.values()), ROUNDS, host.env)
        with stage(f"unchanged: {ROUNDS} playbooks of one task each", "40 s"):
            alone = {name: [only(tasks[name], host) for _round in range(ROUNDS)] for name in ("ours", "helm")}
    with stage("unchanged: removing the release", "15 s"):
        host.api.clean()
    return [
        Result("unchanged vcluster against kubernetes.core.helm", seconds["ours"], seconds["helm"], 0.25),
        # It pays for all imports, which later ones find done.
        Result("the same, the only task of a playbook", alone["ours"], alone["helm"], 0.25),
        Result("the same, chart from a file", seconds["ours, file"], seconds["helm, file"], 0.25),
        # What remains for a module to add: Ansible's own cost is in both.
        Result("the same, chart from a file, a task that does nothing", seconds["nothing"], seconds["helm, file"], 0.5),
        Result("unchanged vcluster against kubernetes.core.k8s", seconds["ours"], seconds["k8s"], 1.3),
    ]


def only(one: dict[str, Any], host: Host) -> float:
    """Seconds of a task that is the first and only one of its playbook, without the start of ansible-playbook."""
    (sample,) = run([one], host.env)
    return sample.seconds


def config_map() -> dict[str, object]:
    """What kubernetes.core.k8s looks at."""
    metadata = {"name": NAME, "namespace": NAMESPACE}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"key": "value"}}
