# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Versions of vCluster and Kubernetes: parse and compare them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Any

from .errors import OptionError

Minor = tuple[int, int]


# --- versions ---------------------------------------------------------------------------------------------

# Written here and not taken from a library: ansible.utils.version.SemanticVersion is not shipped to the
# host that runs a module, ansible.module_utils.compat.version (LooseVersion, StrictVersion) is not semver
# ("0.37.0-rc.1" is greater than "0.37.0" or an error there), and packaging rejects "0.37.0-next.internal.9".
_NUMBER = r"(?:0|[1-9][0-9]*)"
_SEMVER = re.compile(
    rf"v?(?P<major>{_NUMBER})\.(?P<minor>{_NUMBER})\.(?P<patch>{_NUMBER})"
    rf"(?:-(?P<prerelease>(?:{_NUMBER}|[0-9]*[A-Za-z-][0-9A-Za-z-]*)"
    rf"(?:\.(?:{_NUMBER}|[0-9]*[A-Za-z-][0-9A-Za-z-]*))*))?"
    r"(?:\+(?P<build>[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?",
    re.ASCII,
)


def _precedence(prerelease: str) -> tuple[Any, ...]:
    """Return a sort key by Semver 2.0.0 section 11: releases above pre-releases, numbers below words."""
    if not prerelease:
        return (1,)
    parts = prerelease.split(".")
    return (0, tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts))


@dataclass(frozen=True, order=True)
class Version:
    """A semantic version, ordered by semver precedence (build metadata is kept and not compared).

    ``text`` is the version as it was written, such as ``v0.36.1``: what is stored or shown stays what it was.
    """

    major: int
    minor: int
    patch: int
    precedence: tuple[Any, ...] = field(init=False, repr=False)
    prerelease: str = field(default="", compare=False)
    build: str = field(default="", compare=False)
    text: str = field(default="", compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "precedence", _precedence(self.prerelease))
        if not self.text:
            object.__setattr__(self, "text", str(self))

    def __str__(self) -> str:
        suffix = (f"-{self.prerelease}" if self.prerelease else "") + (f"+{self.build}" if self.build else "")
        return f"{self.major}.{self.minor}.{self.patch}{suffix}"

    @property
    def release(self) -> Minor:
        """Return (major, minor), which decides about compatibility."""
        return (self.major, self.minor)

    @property
    def normalized(self) -> Version:
        """Return the same version, written without ``v``."""
        return replace(self, text=str(self))

    def with_v(self) -> Version:
        """Return the same version, written with ``v``, as tags of Kubernetes are."""
        return replace(self, text=f"v{self}")


def parse_version(text: str, option: str = "vcluster_version") -> Version:
    """Parse ``0.36.1``, ``v0.36.1``, ``0.37.0-rc.1`` or ``0.36.1+build``.

    Raises OptionError for ``0.36`` or ``latest``.
    """
    match = _SEMVER.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise OptionError(option, text, "MAJOR.MINOR.PATCH", reason="not a semantic version")
    return Version(
        int(match["major"]),
        int(match["minor"]),
        int(match["patch"]),
        prerelease=match["prerelease"] or "",
        build=match["build"] or "",
        text=text,
    )


def parse_kubernetes_version(text: str) -> Version:
    """Parse ``v1.36.3``, ``1.36.3`` or ``v1.35.0-k3s1``. Raises OptionError for anything else.

    The chart uses the text as an image tag (source: chart/templates/_init-containers.tpl,
    vcluster.k8s.image.tag), so ``1.36`` would be an image that does not exist.
    """
    version = parse_version(text, "kubernetes_version")
    if version.major != 1:
        raise OptionError("kubernetes_version", text, "1.MINOR.PATCH", reason="Kubernetes has no such major version")
    return version
