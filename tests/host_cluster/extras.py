# SPDX-License-Identifier: GPL-3.0-or-later
"""Images that only some tests need: built when they are asked for, and given to one cluster."""

from __future__ import annotations

import re
import shutil
import tarfile
from pathlib import Path
from typing import Any

import binaries
import config
import images
from cluster import containerd_socket
from common import HERE, HostClusterError, locked, run, stage, versions
from packages import ensure_packages

TEXTS = HERE / "manifests"
Extra = dict[str, Any]
BUILT = ("module", "version", "packages", "stamp")  # what the binaries are made from; the rest is only the image's


def find(name: str) -> Extra:
    """What versions.toml says of an extra."""
    known = versions().get("extras", {})
    if name not in known:
        raise HostClusterError(f"no extra is called {name!r}: there are {', '.join(sorted(known))}", 2)
    extra: Extra = known[name]
    return extra


def libraries(said: str) -> list[str]:
    """The files that ldd names: the libraries that a program needs, and its loader."""
    return re.findall(r"(?:=> |^\s+)(/\S+) \(0x", said, re.MULTILINE)


def from_debian(extra: Extra) -> list[Path]:
    """The files of Debian packages that go into an image, and their libraries."""
    files = [file for files in extra["debian"].values() for file in files]
    needed = [library for file in files for library in libraries(run(["ldd", file]))]
    return [Path(file) for file in dict.fromkeys(files + needed)]


def fill(extra: Extra, built: Path, tar: tarfile.TarFile) -> None:
    """Put an image's own files into its layer."""
    files = {path: built / binary for path, binary in extra["files"].items()}
    files |= {path: TEXTS / text for path, text in extra["texts"].items()}
    files |= {str(path): path for path in from_debian(extra)}
    inside = [*files, *extra["links"], *(f"{path}/" for path in extra["writable"])]
    parents = {parent for path in inside for parent in [path.rpartition("/")[0], *map(str, Path(path).parents)]}
    for parent in sorted(parents - {"", "/", "/tmp"}):
        images.add(tar, parent, mode=0o777 if parent in extra["writable"] else 0o755)
    for path, source in files.items():
        images.add(tar, path, data=source.read_bytes(), mode=0o666 if source.parent == TEXTS else 0o755)
    for path, target in extra["links"].items():
        images.add(tar, path, link=target, mode=0o777)


def archive(name: str) -> Path:
    """The archive of an extra's image, made if it is not there."""
    extra = find(name)
    ensure_packages(extra["debian"])
    texts = [(TEXTS / text).read_text(encoding="utf-8") for text in extra["texts"].values()]
    target = binaries.cache_root() / "extras" / f"{name}-{binaries.digest([extra, texts, versions()['go']])}.tar"
    if target.exists():
        return target
    binaries.check_go()
    built = binaries.build_module(name, {key: extra[key] for key in BUILT if key in extra})
    with locked(target.parent), stage(f"assembling the image of {name}"):
        work = target.parent / f".{name}"
        shutil.rmtree(work, ignore_errors=True)
        layout = images.Layout(work / "layout")
        layout.image(extra, [layout.layer(images.base_layer), layout.layer(lambda tar: fill(extra, built, tar))])
        layout.pack(work / "image.tar")
        (work / "image.tar").rename(target)
        shutil.rmtree(work)
    return target


def chart(name: str) -> Path:
    """The directory of an extra's chart, copied out of its module, whose cache the Go client may clean."""
    extra = find(name)
    target = binaries.cache_root() / "extras" / f"{name}-{binaries.digest(extra)}" / name
    if not target.exists():
        with locked(target.parent.parent):
            work = target.parent.with_name(f".{name}-chart")
            shutil.rmtree(work, ignore_errors=True)
            binaries.copy_tree(binaries.module_dir(extra) / extra["chart"], work / name)
            shutil.rmtree(target.parent, ignore_errors=True)
            work.rename(target.parent)
    return target


def give(name: str, cluster: str) -> Path:
    """Put an extra's image into a cluster that is up; the path of its chart."""
    found = config.load(config.state_root() / cluster)
    if found is None:
        raise HostClusterError(f"no host cluster is called {cluster!r}: bring it up first", 2)
    socket = containerd_socket(found)
    if not set(find(name)["names"]) <= set(images.ctr(socket, "images", "list", "--quiet").split()):
        images.ctr(socket, "images", "import", "--digests=false", archive(name))
    return chart(name)
