# SPDX-License-Identifier: GPL-3.0-or-later
"""The images: pulled where a registry answers, otherwise put together from busybox and our binaries.

Either way the result is one archive in the cache that every new cluster imports.
"""

from __future__ import annotations

import hashlib
import io
import json
import platform
import shutil
import sys
import tarfile
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import binaries
from common import HostClusterError, locked, run, stage, versions, write

Image = dict[str, Any]
BUSYBOX = Path("/bin/busybox")
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
DIRECTORIES = [
    "bin",
    "etc",
    "etc/ssl",
    "etc/ssl/certs",
    "root",
    "usr",
    "usr/bin",
    "usr/local",
    "usr/local/bin",
]
LAYER = "application/vnd.oci.image.layer.v1.tar"


def architecture() -> str:
    """Name this machine's architecture as images do."""
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())


def archive_path() -> Path:
    """The archive of all images."""
    return binaries.bundle_root() / "images.tar"


def names() -> list[str]:
    """Every image name that is provided."""
    return [name for image in versions()["images"] for name in image["names"]]


def registry_answers() -> bool:
    """Ask once, briefly, whether a registry can be reached; that it wants a login is an answer."""
    try:
        urllib.request.urlopen(versions()["registry"]["probe"], timeout=3).close()
    except urllib.error.HTTPError as error:
        return error.code == 401
    except OSError:
        return False
    return True


def add(tar: tarfile.TarFile, name: str, *, mode: int = 0o755, data: bytes | None = None, link: str = "") -> None:
    """Put one entry into a layer, always with the same owner and time: same input, same digest."""
    entry = tarfile.TarInfo(name.lstrip("/"))
    entry.mode = mode
    if link:
        entry.type, entry.linkname = tarfile.SYMTYPE, link
    elif data is None:
        entry.type = tarfile.DIRTYPE
    else:
        entry.size = len(data)
    tar.addfile(entry, io.BytesIO(data) if data is not None else None)


def base_layer(tar: tarfile.TarFile) -> None:
    """A tiny system: busybox under all its names, users, certificates."""
    for name in DIRECTORIES:
        add(tar, name)
    add(tar, "tmp", mode=0o1777)
    add(tar, "bin/busybox", data=BUSYBOX.read_bytes())
    for applet in run([BUSYBOX, "--list"]).split():
        if applet != "busybox":
            add(tar, f"bin/{applet}", link="busybox", mode=0o777)
    add(tar, "usr/bin/env", link="/bin/busybox", mode=0o777)
    users = b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n"
    add(tar, "etc/passwd", mode=0o644, data=users)
    add(tar, "etc/group", mode=0o644, data=b"root:x:0:\nnobody:x:65534:\n")
    add(tar, "etc/nsswitch.conf", mode=0o644, data=b"hosts: files dns\n")
    if CERTIFICATES.exists():
        add(tar, str(CERTIFICATES), mode=0o644, data=CERTIFICATES.read_bytes())


def file_layer(files: dict[str, str]) -> Callable[[tarfile.TarFile], None]:
    """A layer with some of our binaries."""

    def fill(tar: tarfile.TarFile) -> None:
        for parent in sorted({str(p) for path in files for p in Path(path).parents if p != Path("/")}):
            add(tar, parent)
        for path, binary in files.items():
            add(tar, path, data=(binaries.bin_dir() / binary).read_bytes())

    return fill


class Layout:
    """An OCI layout under construction."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.manifests: list[dict[str, Any]] = []

    def blob(self, data: bytes, media_type: str) -> dict[str, Any]:
        """Store content under its digest and describe it."""
        name = hashlib.sha256(data).hexdigest()
        write(self.directory / "blobs" / "sha256" / name, data)
        return {"mediaType": media_type, "digest": f"sha256:{name}", "size": len(data)}

    def layer(self, fill: Callable[[tarfile.TarFile], None]) -> dict[str, Any]:
        """Store a layer, uncompressed: it is read much more often than it is kept."""
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as tar:
            fill(tar)
        return self.blob(buffer.getvalue(), LAYER)

    def image(self, image: Image, layers: list[dict[str, Any]]) -> None:
        """Store an image under all of its names."""
        settings: dict[str, Any] = {"Env": ["PATH=/usr/local/bin:/usr/bin:/bin"], "WorkingDir": "/"}
        keys = {"Entrypoint": "entrypoint", "Cmd": "command"}
        settings |= {key: image[name] for key, name in keys.items() if name in image}
        rootfs = {"type": "layers", "diff_ids": [layer["digest"] for layer in layers]}
        content = {"architecture": architecture(), "os": "linux", "config": settings, "rootfs": rootfs}
        config = self.blob(json.dumps(content).encode(), "application/vnd.oci.image.config.v1+json")
        manifest_type = "application/vnd.oci.image.manifest.v1+json"
        manifest = {"schemaVersion": 2, "mediaType": manifest_type, "config": config, "layers": layers}
        described = self.blob(json.dumps(manifest).encode(), manifest_type)
        for name in image["names"]:
            self.manifests.append({**described, "annotations": {"io.containerd.image.name": name}})

    def pack(self, target: Path) -> None:
        """Write the archive."""
        write(self.directory / "oci-layout", json.dumps({"imageLayoutVersion": "1.0.0"}))
        write(self.directory / "index.json", json.dumps({"schemaVersion": 2, "manifests": self.manifests}))
        with tarfile.open(target, "w") as tar:
            for path in sorted(self.directory.rglob("*")):
                if path.is_file():
                    tar.add(path, str(path.relative_to(self.directory)))


def assemble() -> Path:
    """Make an archive without a registry."""
    target = archive_path()
    with locked(binaries.cache_root() / ".images"):
        if target.exists():
            return target
        work = binaries.cache_root() / ".images" / "work"
        shutil.rmtree(work, ignore_errors=True)
        with stage("assembling images"):
            layout = Layout(work / "layout")
            base = layout.layer(base_layer)
            for image in versions()["images"]:
                layers = [base] + ([layout.layer(file_layer(image["files"]))] if "files" in image else [])
                layout.image(image, layers)
            layout.pack(work / "images.tar")
            (work / "images.tar").rename(target)
        shutil.rmtree(work)
    return target


def ctr(socket: Path, *argv: str | Path) -> str:
    """Talk to a cluster's containerd. ctr fetches in its own process: it uses the machine's network,
    so the cluster itself needs none."""
    return run(["ctr", "--address", socket, "--namespace", "k8s.io", *argv], timeout=1800)


def load(socket: Path) -> None:
    """Import the archive, unless everything is there."""
    if not set(names()) <= set(ctr(socket, "images", "list", "--quiet").split()):
        with stage("importing images"):
            ctr(socket, "images", "import", "--digests=false", archive_path())


def pull(socket: Path) -> None:
    """Pull every image over the assembled one of the same name, and keep the result as the archive.
    A name that cannot be pulled stays what was assembled, and is named."""
    only = f"linux/{architecture()}"
    for name in names():
        with stage(f"pulling {name}"):
            try:
                ctr(socket, "images", "pull", "--platform", only, name)
            except HostClusterError as error:
                print(f"  {name} stays the assembled one: {error}", file=sys.stderr)
    work = archive_path().with_name("pulled.tar")
    ctr(socket, "images", "export", "--platform", only, work, *names())
    work.rename(archive_path())


def provide(socket: Path) -> None:
    """Put all images into a cluster's containerd. Whether a registry answers is asked once: as long as
    there is no archive for these versions."""
    if archive_path().exists():
        load(socket)
        return
    reachable = registry_answers()
    assemble()
    load(socket)
    if reachable:
        pull(socket)
