# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check the name and the namespace of a virtual cluster, and whether what vCluster makes of both is its alone."""

from __future__ import annotations

import re

from ..common.errors import OptionError
from ..common.well_known import LABEL_LENGTH

# --- names ------------------------------------------------------------------------------------------------

# Services accept only RFC 1035 labels on host clusters before Kubernetes 1.36, where the feature gate
# RelaxedServiceNameValidation became true by default (Kubernetes source: pkg/features/kube_features.go),
# and the chart names a Service NAME (source: chart/templates/service.yaml). So: a letter first, everywhere.
_RFC1035_LABEL = re.compile(r"[a-z](?:[-a-z0-9]*[a-z0-9])?")
_RFC1123_LABEL = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?")

_HELM_RELEASE_LENGTH = 53
# A StatefulSet labels its pods controller-revision-hash: STATEFULSET-HASH; the hash is a 32-bit number in
# decimal, letter by letter (Kubernetes source: pkg/controller/history/controller_history.go).
_REVISION_HASH_LENGTH = len(str(2**32 - 1))
# Derived from NAME and bound to 63 characters (source: chart/templates); Secrets, ConfigMaps, Roles and
# ServiceAccounts (vc-config-NAME, vc-workload-NAME) have 253, and synced names are hashed when too long
# (source: pkg/util/translate, SafeConcatName).
_DERIVED_LENGTHS = {
    "the Helm release": LABEL_LENGTH - _HELM_RELEASE_LENGTH,
    "Service NAME-headless": len("-headless"),
    "Service NAME-etcd-headless": len("-etcd-headless"),
    "pod label NAME-HASH": len("-") + _REVISION_HASH_LENGTH,
    "pod label NAME-etcd-HASH": len("-etcd-") + _REVISION_HASH_LENGTH,
    "the namespace vcluster-NAME": len("vcluster-"),
}
NAME_LENGTH = LABEL_LENGTH - max(_DERIVED_LENGTHS.values())


# Between the two in what vCluster writes on synced objects that are in no namespace, NAMESPACE-x-NAME (source:
# pkg/util/translate, MarkerLabelCluster).
_BETWEEN = "-x-"


def readings(marker: str) -> list[tuple[str, str]]:
    """Return (namespace, name) of all virtual clusters that can have a marker, if vCluster did not shorten it."""
    places = [at for at in range(len(marker)) if marker.startswith(_BETWEEN, at)]
    pairs = [(marker[:at], marker[at + len(_BETWEEN) :]) for at in places]
    return [pair for pair in pairs if all(_RFC1123_LABEL.fullmatch(text) for text in pair)]


def is_ambiguous(name: str, namespace: str) -> bool:
    """Return whether another virtual cluster can have its marker: a-x-b in team has that of b in team-x-a."""
    return len(readings(f"{namespace}{_BETWEEN}{name}")) > 1


def check_names(name: str, namespace: str) -> None:
    """Raise OptionError where no virtual cluster can have this name, or no namespace that one.

    The longest name is 47 characters: with a deployed etcd its pods carry the label value NAME-etcd-HASH,
    with 16 characters after the name. Without etcd 52 would do; one limit for all is simpler. Ask only
    before creating: what was made elsewhere with a longer name works. vCluster reserves no
    namespace: kube-system or default are allowed here because they are there.
    """
    if not isinstance(name, str) or not _RFC1035_LABEL.fullmatch(name) or len(name) > NAME_LENGTH:
        raise OptionError(
            "name",
            name,
            f"at most {NAME_LENGTH} lowercase letters, digits and hyphens, "
            "a letter first and a letter or digit last (RFC 1035)",
            reason="Services and pod labels are named after it",
        )
    if not isinstance(namespace, str) or not _RFC1123_LABEL.fullmatch(namespace) or len(namespace) > LABEL_LENGTH:
        raise OptionError(
            "namespace",
            namespace,
            f"at most {LABEL_LENGTH} lowercase letters, digits and hyphens, "
            "a letter or digit first and last (RFC 1123)",
        )
    _check_marker(name, namespace)


def _check_marker(name: str, namespace: str) -> None:
    """Raise OptionError where objects on the host cluster would not tell this virtual cluster from another."""
    why = "vCluster marks what it syncs with NAMESPACE-x-NAME, and another virtual cluster could have the same mark"
    if _BETWEEN in name or name.startswith(_BETWEEN[1:]):
        raise OptionError("name", name, f"a name that neither has {_BETWEEN} in it nor begins with x-", reason=why)
    if is_ambiguous(name, namespace):
        allowed = f"a namespace that neither has {_BETWEEN} in it nor ends with -x"
        raise OptionError("namespace", namespace, allowed, reason=why)
