# SPDX-License-Identifier: GPL-3.0-or-later
"""What the host cluster is made of, without one: no root, no network, no build."""

from __future__ import annotations

import errno
import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

import binaries
import cgroups
import client
import cluster
import components
import config
import extras
import images
import inotify
import node
import packages
import pki
from common import HostClusterError, locked, run, versions, write

HERE = Path(__file__).resolve().parent
ONE = config.Cluster("nested", 0, Path("/var/lib/nested-clusters/nested"))
TWO = config.Cluster("a-rather-long-name-x", 15, Path("/var/lib/nested-clusters/a-rather-long-name-x"))


def test_addresses_of_two_clusters_do_not_meet() -> None:
    for name in (
        "node_ip",
        "gateway",
        "device",
        "pod_cidr",
        "service_cidr",
        "load_balancer_range",
        "cgroup",
        "client_ip",
    ):
        assert getattr(ONE, name) != getattr(TWO, name)


def test_device_name_fits_the_kernel() -> None:
    assert ONE.device == "nc0-nested"
    assert len(TWO.device) <= 15
    assert len(TWO.client_device) <= 15


@pytest.mark.parametrize("name", ["Nested", "1a", "a_b", "a-", "", "x" * 21, "../x"])
def test_bad_names_are_refused(name: str) -> None:
    with pytest.raises(HostClusterError, match="no valid name"):
        config.check_name(name)


def test_free_index() -> None:
    assert config.free_index([]) == 0
    assert config.free_index([0, 1, 3]) == 2
    with pytest.raises(HostClusterError, match="take one down"):
        config.free_index(config.INDEXES)


def test_record_survives_and_half_a_record_is_none(tmp_path: Path) -> None:
    assert config.load(tmp_path) is None
    recorded = config.Cluster("x", 3, tmp_path)
    config.save(recorded)
    assert config.load(tmp_path) == recorded
    (tmp_path / "config.json").write_text('{"name":', encoding="utf-8")
    assert config.load(tmp_path) is None


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_inotify_instances_are_counted_and_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    before = descriptors()
    assert 1 <= inotify.left(2) <= 2
    made: list[int] = []
    real = inotify.init

    def only_five() -> int:
        if len(made) == 5:
            raise OSError(errno.EMFILE, "Too many open files")
        made.append(real())
        return made[-1]

    monkeypatch.setattr(inotify, "init", only_five)
    assert inotify.left(9) == 5
    assert descriptors() == before


def test_too_few_inotify_instances_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inotify, "left", lambda wanted: wanted - 1)
    with pytest.raises(HostClusterError, match="only 29 inotify instances") as caught:
        inotify.check()
    assert "sysctl -w fs.inotify.max_user_instances=" in str(caught.value)
    monkeypatch.setattr(inotify, "left", lambda wanted: wanted)
    inotify.check()


def test_a_new_cluster_needs_inotify_and_one_that_runs_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    class Reached(Exception):
        pass

    def reached(*_arguments: object) -> None:
        raise Reached

    monkeypatch.setattr(cluster, "check_machine", lambda: None)
    monkeypatch.setattr(cluster, "ensure_packages", reached)
    monkeypatch.setattr(inotify, "left", lambda wanted: 0)
    monkeypatch.setattr(cluster, "first_process", lambda state: None)
    with pytest.raises(HostClusterError, match="only 0 inotify"):
        cluster.up("nested")
    monkeypatch.setattr(cluster, "first_process", lambda state: 17)
    with pytest.raises(Reached):
        cluster.up("nested")


def test_plan_starts_the_api_server_after_etcd_and_kwok_only_when_asked() -> None:
    plan = components.plan(ONE, Path("/stages.yaml"))
    order = [part.name for part in plan]
    assert order.index("etcd") < order.index("kube-apiserver") < order.index("kubelet")
    assert {part.name: part.switch for part in plan if part.switch} == {"kwok": ONE.state / "fake-nodes"}


def test_fleet_settings() -> None:
    argv = components.controller_manager(ONE)
    assert {"--kube-api-qps=500", "--kube-api-burst=500", "--concurrent-statefulset-syncs=50"} <= set(argv)
    assert "--kube-api-qps=500" in components.scheduler(ONE)


def test_configuration_files_are_valid_and_agree() -> None:
    files = components.files(ONE, "/usr/lib/cni")
    parsed = {path.name: json.loads(text) for path, text in files.items() if path.suffix in (".json", ".conflist")}
    assert parsed["kubelet.json"]["cgroupRoot"] == "/nested-clusters-nested"
    assert parsed["kubelet.json"]["clusterDNS"] == [ONE.dns_ip]
    assert components.PAUSE in images.names()
    assert components.HELPER in images.names()


def test_fake_nodes_are_tainted_and_large() -> None:
    fake = cluster.fake_node(7)
    assert fake["metadata"]["annotations"] == {"kwok.x-k8s.io/node": "fake"}
    assert fake["spec"]["taints"] == [{"key": "kwok.x-k8s.io/node", "value": "fake", "effect": "NoSchedule"}]
    assert int(fake["status"]["allocatable"]["pods"]) >= 1000


def test_manifests_have_the_cluster_address() -> None:
    text = cluster.manifests(TWO)
    assert "@" not in text.replace("kubernetes.io", "")
    assert f'clusterIP: "{TWO.dns_ip}"' in text


def test_go_mod_pins_staging_modules_and_replaces_private_ones() -> None:
    upstream = "godebug default=go1.26\nreplace (\n\tk8s.io/api => ./staging/src/k8s.io/api\n)\n"
    text = binaries.go_mod("kubernetes", {"module": "m", "version": "v1", "staging": "v0.36.3"}, upstream)
    assert "replace k8s.io/api => k8s.io/api v0.36.3" in text
    assert "godebug default=go1.26" in text
    text = binaries.go_mod("x", {"module": "m", "version": "v1", "empty": ["a.test/b/c"]}, "")
    assert "replace a.test/b/c => ./empty/c" in text


def test_binaries_are_stamped() -> None:
    flags = binaries.ldflags(versions()["modules"]["vcluster"])
    assert "-X main.version=0.36.1" in flags
    flags = binaries.ldflags(versions()["modules"]["kubernetes"])
    assert "-X k8s.io/client-go/pkg/version.gitVersion=v1.36.3" in flags


def test_versions_name_the_key() -> None:
    assert binaries.digest({"a": 1}) != binaries.digest({"a": 2})
    assert binaries.digest({"a": 1, "b": 2}) == binaries.digest({"b": 2, "a": 1})


def test_every_image_is_made_of_binaries_that_are_built() -> None:
    built = {name for module in versions()["modules"].values() for name in module["packages"]}
    for image in versions()["images"]:
        assert set(image.get("files", {}).values()) <= built


def test_each_chart_has_its_image() -> None:
    default, before = binaries.chart_versions()
    assert binaries.chart_path() == binaries.chart_path(default) != binaries.chart_path(before)
    assert [int(part) for part in default.split(".")] > [int(part) for part in before.split(".")]
    assert {f"ghcr.io/loft-sh/vcluster-oss:{version}" for version in (default, before)} <= set(images.names())
    older = binaries.older_chart_versions()
    assert {binaries.chart_path(version).name for version in older} == {f"vcluster-{version}.tgz" for version in older}
    with pytest.raises(HostClusterError, match=r"no chart of version 0\.1\.0, only of"):
        binaries.chart_path("0.1.0")


def test_sources_are_pinned_and_an_unknown_one_is_one_sentence() -> None:
    for source in versions()["sources"].values():
        assert versions()["modules"].get(source["module"], source)["version"].startswith("v")
    with pytest.raises(HostClusterError, match=r"no source is called 'x': there are .*metallb"):
        binaries.source_path("x")


def test_images_of_metallb_have_its_version() -> None:
    version = versions()["modules"]["metallb"]["version"]
    assert {f"quay.io/metallb/{part}:{version}" for part in ("controller", "speaker")} <= set(images.names())


def test_extras_are_made_of_what_is_there_and_leave_the_bundle_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for extra in versions()["extras"].values():
        assert set(extra["files"].values()) <= set(extra["packages"])
        assert all((extras.TEXTS / text).is_file() for text in extra["texts"].values())
        assert set(extra["links"].values()) <= {file for files in extra["debian"].values() for file in files}
    with pytest.raises(HostClusterError, match=r"no extra is called 'x': there are .*ingress-nginx"):
        extras.find("x")
    before = binaries.bundle_root()
    monkeypatch.setattr(binaries, "versions", lambda: versions() | {"extras": {}})
    assert binaries.bundle_root() == before


def test_libraries_are_those_that_ldd_finds() -> None:
    said = (
        "\tlinux-vdso.so.1 (0x00007ffd)\n"
        "\tlibz.so.1 => /lib/x86_64-linux-gnu/libz.so.1 (0x00007f)\n"
        "\t/lib64/ld-linux-x86-64.so.2 (0x00007f)\n"
    )
    assert extras.libraries(said) == ["/lib/x86_64-linux-gnu/libz.so.1", "/lib64/ld-linux-x86-64.so.2"]


@pytest.mark.parametrize("said", ["go version go1.27.1 linux/amd64", "go version go1.2 linux/amd64"])
def test_another_go_is_refused(said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _name: "/usr/bin/go")
    monkeypatch.setattr(binaries, "run", lambda _argv: said)
    with pytest.raises(HostClusterError, match=r"needs Go 1\.26 as go on PATH and found go1\.2"):
        binaries.check_go()


def test_not_root_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(HostClusterError, match="needs root") as error:
        cluster.check_machine()
    assert error.value.code == 2


def test_not_linux_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.system", lambda: "Darwin")
    with pytest.raises(HostClusterError, match="needs Linux, and this is Darwin"):
        cluster.check_machine()


def test_missing_packages(tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.touch()
    wanted = {"one": [str(there)], "two": [str(tmp_path / "absent")], "three": ["sh"]}
    assert packages.missing(wanted) == ["two"]


def test_an_old_python_is_one_sentence(tmp_path: Path) -> None:
    fake = tmp_path / "python3"
    fake.write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    fake.chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    command = [str(HERE / "host-cluster"), "status"]
    done = subprocess.run(command, env={"PATH": path}, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "host-cluster: needs Python 3.11 or later as python3 on PATH\n"


def test_hierarchies_of_both_versions() -> None:
    mountinfo = (
        "30 25 0:26 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
        "31 25 0:27 / /sys/fs/cgroup/unified rw shared:9 - cgroup2 cgroup2 rw\n"
        "32 25 0:28 / /proc rw - proc proc rw\n"
    )
    found = cgroups.hierarchies(mountinfo)
    assert found == [(Path("/sys/fs/cgroup/memory"), False), (Path("/sys/fs/cgroup/unified"), True)]


def test_a_stranger_is_no_first_process(tmp_path: Path) -> None:
    assert not cluster.is_init(os.getpid(), tmp_path)
    assert cluster.inits(tmp_path) == []
    assert cluster.first_process(tmp_path) is None


def test_only_processes_of_the_state_directory_are_killed(tmp_path: Path) -> None:
    script = write(tmp_path / "node.py", "import time; time.sleep(60)")
    other = tmp_path / "other"
    mine, stranger = (subprocess.Popen([sys.executable, script, path]) for path in (tmp_path, other))
    try:
        while not (cluster.inits(tmp_path) and cluster.inits(other)):
            assert mine.poll() is None
        assert cluster.first_process(tmp_path) is None, "it is not the first of a namespace"
        assert cluster.kill(tmp_path) == 1
        assert mine.wait(10) == -9
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_written_files_keep_their_mode_and_leave_no_half(tmp_path: Path) -> None:
    path = write(tmp_path / "deep" / "secret", "x", 0o600)
    assert path.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == ["secret"]


def test_lock_leaves_no_file(tmp_path: Path) -> None:
    with locked(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_failing_program_is_quoted() -> None:
    with pytest.raises(HostClusterError, match="sh -c echo no >&2; false failed: no"):
        run(["sh", "-c", "echo no >&2; false"])


def test_no_client_without_a_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NESTED_CLUSTERS_STATE", str(tmp_path))
    with pytest.raises(HostClusterError, match="nested does not run: bring it up first"):
        client.become("nested", None, ["true"])


def test_layers_are_reproducible() -> None:
    def layer() -> bytes:
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as tar:
            images.add(tar, "/etc/passwd", mode=0o644, data=b"root\n")
            images.add(tar, "/bin/sh", link="busybox")
        return buffer.getvalue()

    assert layer() == layer()


def test_one_image_has_all_its_names(tmp_path: Path) -> None:
    layout = images.Layout(tmp_path / "layout")
    layer = layout.layer(lambda tar: images.add(tar, "etc"))
    layout.image({"names": ["a.test/x:1", "a.test/x:2"], "entrypoint": ["/x"]}, [layer])
    layout.pack(tmp_path / "images.tar")
    with tarfile.open(tmp_path / "images.tar") as tar:
        index = json.load(tar.extractfile("index.json"))  # type: ignore[arg-type]
    names = [entry["annotations"]["io.containerd.image.name"] for entry in index["manifests"]]
    assert names == ["a.test/x:1", "a.test/x:2"]
    assert len({entry["digest"] for entry in index["manifests"]}) == 1


def test_certificates(tmp_path: Path) -> None:
    made = config.Cluster("x", 3, tmp_path)
    pki.make(made)
    assert made.kubeconfig.stat().st_mode & 0o777 == 0o600
    assert json.loads(made.kubeconfig.read_text(encoding="utf-8"))["clusters"][0]["cluster"]["server"] == made.server
    run(
        [
            "openssl",
            "verify",
            "-CAfile",
            made.pki / "ca.crt",
            made.pki / "apiserver.crt",
            made.pki / "kubelet.crt",
        ]
    )
    said = run(["openssl", "x509", "-noout", "-text", "-in", made.pki / "apiserver.crt"])
    for name in (made.node_ip, made.api_service_ip, "kubernetes.default.svc.cluster.local"):
        assert name in said


def test_a_component_waits_before_it_is_started_again(tmp_path: Path) -> None:
    made = config.Cluster("x", 3, tmp_path)
    made.logs.mkdir()
    part = components.Component("short", ["true"])
    supervisor = node.Supervisor(made, [part])
    supervisor.step()
    supervisor.processes["short"].wait()
    supervisor.step()
    assert "short" not in supervisor.processes
    assert supervisor.delay["short"] == 0.5
    assert not supervisor.may_start(part)
