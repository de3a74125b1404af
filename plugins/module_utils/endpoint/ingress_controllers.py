# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ingress controllers with NGINX on a host cluster: which there are, and whether they pass TLS through. Pure functions.

Nothing but the flags of its workload says whether a controller passes TLS through.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

COMMUNITY = "community"  # kubernetes/ingress-nginx, retired in March 2026
F5 = "f5"  # nginx/kubernetes-ingress
F5_API = "k8s.nginx.org/v1"
F5_CLASS = "nginx.org/ingress-controller"
COMMUNITY_CLASS = "k8s.io/ingress-nginx"
CONTROLLER_KINDS = {"deployments": "Deployment", "daemonsets": "DaemonSet", "statefulsets": "StatefulSet"}

# What F5's controller waits for before it does anything, and what it waits for besides if a flag is set.
_KINDS = ("policies", "transportservers", "virtualserverroutes", "virtualservers")
_KINDS_OF_FLAG = {"global-configuration": "globalconfigurations"}
_COMMUNITY_IMAGE = re.compile(r"(ingress-nginx/controller|nginx-ingress-controller)[^/]*$")
_F5_IMAGE = re.compile(r"(^|/)nginx(-plus)?-ingress([:@][^/]*)?$")


@dataclass(frozen=True)
class Controller:
    """A controller: whose it is (COMMUNITY or F5), its workload, and the flags that it was started with."""

    product: str
    kind: str
    namespace: str
    name: str
    image: str
    flags: Mapping[str, str]

    @property
    def what(self) -> str:
        """Return the workload, in words."""
        return f"{self.kind} {self.namespace}/{self.name}"

    def takes(self, ingress_class: Mapping[str, Any]) -> bool:
        """Return whether it serves an IngressClass."""
        name, controller = ingress_class["metadata"]["name"], (ingress_class.get("spec") or {}).get("controller")
        own = self.flags.get("ingress-class") or "nginx"
        if self.product == F5:
            return bool(controller == F5_CLASS and name == own)
        by_name = _is_true(self.flags.get("ingress-class-by-name")) and name == own
        return bool(by_name or controller == (self.flags.get("controller-class") or COMMUNITY_CLASS))

    def missing(self, served: Collection[str] | None = None) -> list[str]:
        """Return what it lacks to pass TLS through to virtual clusters, one sentence each.

        ``served`` are the plurals of F5_API that the host cluster serves; None where that is not to be looked at.
        """
        return [*self._unset_flags(), *self._missing_kinds(served), *self._narrowing_flags()]

    def _unset_flags(self) -> Iterator[str]:
        dashes, flag = ("-", "enable-tls-passthrough") if self.product == F5 else ("--", "enable-ssl-passthrough")
        if self.product == F5 and not _is_true(self.flags.get("enable-custom-resources", "true")):
            yield "its flag -enable-custom-resources is false"
        if not _is_true(self.flags.get(flag)):
            yield f"its flag {dashes}{flag} is {self.flags.get(flag, 'not set')}"

    def _missing_kinds(self, served: Collection[str] | None) -> Iterator[str]:
        if self.product != F5 or served is None:
            return
        needed = {*_KINDS, *(kind for flag, kind in _KINDS_OF_FLAG.items() if self.flags.get(flag))}
        absent = sorted(needed - set(served))
        if absent:
            yield f"the host cluster has no {', '.join(absent)} of {F5_API}: install its CustomResourceDefinitions"

    def _narrowing_flags(self) -> Iterator[str]:
        dashes = "-" if self.product == F5 else "--"
        for flag in ("watch-namespace", "watch-namespace-label", "watch-namespace-selector"):
            if self.flags.get(flag):
                yield f"it looks at some namespaces only: its flag {dashes}{flag} is {self.flags[flag]}"


def controllers(workloads: Iterable[Mapping[str, Any]]) -> list[Controller]:
    """Return the controllers among Deployments, DaemonSets and StatefulSets, listed with their ``kind``."""
    found = []
    for workload in workloads:
        for container in workload["spec"]["template"]["spec"].get("containers") or []:
            words = [str(word) for word in [*(container.get("command") or []), *(container.get("args") or [])]]
            flags, image = _flags(words), str(container.get("image") or "")
            product = _product(words, flags, image)
            if product:
                meta = workload["metadata"]
                kind = str(workload.get("kind"))
                found.append(Controller(product, kind, meta["namespace"], meta["name"], image, flags))
    return found


def served(definitions: Iterable[Mapping[str, Any]]) -> set[str]:
    """Return the plurals of F5_API that CustomResourceDefinitions serve."""
    group, version = F5_API.split("/")
    return {
        definition["spec"]["names"]["plural"]
        for definition in definitions
        if definition["spec"]["group"] == group
        and any(one["name"] == version and one.get("served") for one in definition["spec"].get("versions") or [])
    }


def _product(words: Iterable[str], flags: Mapping[str, str], image: str) -> str | None:
    programs = {word.rpartition("/")[2] for word in words}
    if "nginx-ingress-controller" in programs or "controller-class" in flags or _COMMUNITY_IMAGE.search(image):
        return COMMUNITY
    if "nginx-configmaps" in flags or _F5_IMAGE.search(image):
        return F5
    return None


def _flags(words: list[str]) -> dict[str, str]:
    """Return flags as Go programs read them: -a, --a, -a=b and -a b, the last one of a name."""
    found = {}
    for word, following in zip(words, [*words[1:], "-"], strict=False):
        if word.startswith("-"):
            name, equals, value = word.lstrip("-").partition("=")
            found[name] = value if equals else ("true" if following.startswith("-") else following)
    return found


def _is_true(value: str | None) -> bool:
    return (value or "").lower() in ("1", "t", "true")
