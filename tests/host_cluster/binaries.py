# SPDX-License-Identifier: GPL-3.0-or-later
"""Build what no registry ships, with the ordinary Go client, once per version, into the cache."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

from common import HostClusterError, locked, run, stage, versions, write

Module = dict[str, Any]


def cache_root() -> Path:
    """Where everything built is kept; outside of the repository."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("NESTED_CLUSTERS_CACHE") or Path(base) / "nested-clusters").resolve()


def digest(value: Any) -> str:
    """Give a short key for a recipe."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:12]


def bundle_root() -> Path:
    """The directory that belongs to exactly these versions; extras are kept beside it."""
    return cache_root() / digest({key: value for key, value in versions().items() if key != "extras"})


def bin_dir() -> Path:
    """Binaries under their usual names: kubectl, helm (v4), helm3, vcluster (the CLI) and the servers."""
    return bundle_root() / "bin"


def chart_versions() -> list[str]:
    """The vCluster versions that there are a chart and an image of; the first is the one of most tests."""
    modules = versions()["modules"]
    return [modules[name]["version"].removeprefix("v") for name in versions()["charts"]["modules"]]


def older_chart_versions() -> list[str]:
    """The vCluster versions that there is only a chart of, to be rendered."""
    return [version.removeprefix("v") for version in versions()["charts"]["older"]]


def chart_path(version: str | None = None) -> Path:
    """The packaged vCluster chart of a version."""
    known = [*chart_versions(), *older_chart_versions()]
    version = version or known[0]
    if version not in known:
        raise HostClusterError(f"there is no chart of version {version}, only of {', '.join(known)}", 2)
    return bundle_root() / "charts" / f"vcluster-{version}.tgz"


def stages_path() -> Path:
    """kwok's own fast stages, in one file."""
    return bundle_root() / "kwok-stages.yaml"


def check_go() -> None:
    """Refuse a Go that builds something broken."""
    wanted = versions()["go"]["minor"]
    said = run(["go", "version"]) if shutil.which("go") else ""
    found = re.search(r"\bgo(\d+\.\d+)\S*", said)
    if not found or found[1] != wanted:
        have = found[0] if found else "none"
        raise HostClusterError(f"needs Go {wanted} as go on PATH and found {have}", 2)


def ldflags(module: Module) -> str:
    """Linker flags: stripped and stamped, because clients parse the version."""
    version = module["version"].removeprefix("v")
    stamps = [f"-X {name}={value.format(version=version)}" for name, value in module.get("stamp", {}).items()]
    return " ".join(["-s -w", *stamps])


def go_mod(name: str, module: Module, upstream: str) -> str:
    """Write the go.mod that requires one module; staging modules and empty ones need a replace."""
    lines = [f"module host-cluster.test/{name}", "", "go 1.26.3", ""]
    lines += re.findall(r"^godebug .*$", upstream, re.MULTILINE)
    lines += [f"require {module['module']} {module['version']}"]
    for path in sorted(set(re.findall(r"\./staging/src/(k8s\.io/[a-z0-9-]+)", upstream))):
        lines.append(f"replace {path} => {path} {module['staging']}")
    for path in module.get("empty", []):
        lines.append(f"replace {path} => ./empty/{path.rsplit('/', 1)[-1]}")
    return "\n".join(lines) + "\n"


def go(*argv: str | Path, cwd: Path) -> str:
    """Run the Go client: static binaries, our own go.mod, the toolchain that is installed."""
    settings = {
        "CGO_ENABLED": "0",
        "GOFLAGS": "-mod=mod -buildvcs=false",
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
    }
    return run(["go", *argv], env={**os.environ, **settings}, cwd=cwd, timeout=3600)


def module_dir(module: Module) -> Path:
    """Fetch a module and give the directory it lies in."""
    said = go("mod", "download", "-json", f"{module['module']}@{module['version']}", cwd=cache_root())
    return Path(json.loads(said)["Dir"])


def prepare(name: str, module: Module, work: Path) -> None:
    """Write the Go module to build from. Its go.sum starts as upstream's own, so that every
    dependency is checked against what upstream recorded and not only by the public database."""
    upstream = module_dir(module)
    write(work / "go.mod", go_mod(name, module, (upstream / "go.mod").read_text(encoding="utf-8")))
    if (upstream / "go.sum").exists():
        write(work / "go.sum", (upstream / "go.sum").read_bytes())
    for path in module.get("empty", []):
        write(work / "empty" / path.rsplit("/", 1)[-1] / "go.mod", f"module {path}\n\ngo 1.26.0\n")


def build_module(name: str, module: Module) -> Path:
    """Build a module's binaries, unless they are in the cache; the finished directory appears at once."""
    recipe = {"module": module, "go": versions()["go"]}
    target = cache_root() / "modules" / f"{name}-{module['version']}-{digest(recipe)}"
    if target.exists():
        return target
    with locked(cache_root() / "modules" / f".{name}"):
        if target.exists():
            return target
        work = cache_root() / "modules" / f".{name}" / "work"
        shutil.rmtree(work, ignore_errors=True)
        with stage(f"building {name} {module['version']} ({', '.join(module['packages'])})"):
            prepare(name, module, work)
            for output, package in module["packages"].items():
                options = ["-trimpath", "-ldflags", ldflags(module), "-o", work / "out" / output]
                go("build", *options, package, cwd=work)
        (work / "out").rename(target)
        shutil.rmtree(work)
    return target


def package_charts(helm: Path, work: Path) -> None:
    """Package the charts under the versions they belong to; in the module each has version 0.0.1."""
    recipe = versions()["charts"]
    modules = [versions()["modules"][name] for name in recipe["modules"]]
    modules += [{**modules[0], "version": version} for version in recipe["older"]]
    for module, version in zip(modules, [*chart_versions(), *older_chart_versions()], strict=True):
        source = module_dir(module) / recipe["path"]
        options = [f"--version={version}", f"--app-version={version}", f"--destination={work}/charts"]
        run([helm, "package", source, *options])


def collect_stages(work: Path) -> None:
    """Join kwok's own stage files."""
    recipe = versions()["stages"]
    source = module_dir(versions()["modules"][recipe["module"]])
    texts = [(source / path).read_text(encoding="utf-8") for path in recipe["paths"]]
    write(work / "kwok-stages.yaml", "\n---\n".join(texts))


def source_path(name: str) -> Path:
    """Where the copy of a chart or of manifests lies."""
    if name not in versions()["sources"]:
        raise HostClusterError(f"no source is called {name!r}: there are {', '.join(sorted(versions()['sources']))}", 2)
    return bundle_root() / "sources" / name


def copy_tree(source: Path, target: Path) -> None:
    """Copy a directory out of the module cache, where directories are read-only and could not be removed again."""
    shutil.copytree(source, target, copy_function=shutil.copyfile)
    for directory in (target, *target.rglob("*/")):
        directory.chmod(0o755)


def copy_sources(work: Path) -> None:
    """Copy charts and manifests out of their modules, whose cache the Go client may clean."""
    for name, source in versions()["sources"].items():
        module = versions()["modules"].get(source["module"], source)
        copy_tree(module_dir(module) / source["path"], work / "sources" / name)


def build_all() -> Path:
    """Build everything and give the directory of this set of versions."""
    root = bundle_root()
    if root.exists():
        return root
    check_go()
    with locked(cache_root() / ".bundle"):
        if root.exists():
            return root
        work = cache_root() / ".bundle" / "work"
        shutil.rmtree(work, ignore_errors=True)
        (work / "bin").mkdir(parents=True)
        for name, module in versions()["modules"].items():
            built = build_module(name, module)
            for output in module["packages"]:
                (work / "bin" / output).symlink_to(built / output)
        package_charts(work / "bin" / "helm", work)
        collect_stages(work)
        copy_sources(work)
        work.rename(root)
    return root
