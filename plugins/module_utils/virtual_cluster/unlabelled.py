# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What vCluster writes at run time without labels: its name, and what tells it from another's object of this name.

Pure functions. A name alone proves nothing: cert-manager calls the Secret of a certificate NAME-certs as well.
"""

from __future__ import annotations

from collections.abc import Callable

from ..common.well_known import safe_concat
from ..k8s.objects import Object

Place = tuple[str, str, str]  # apiVersion, plural, name

# Sources: pkg/util/kubeconfig, pkg/certs/constants.go and pkg/k3s of vCluster 0.20, which labels none of them; since
# 0.24 the first two have labels. pkg/leaderelection, and pkg/certs/watcher.go of 0.36.
_KUBECONFIG = frozenset({"config", "certificate-authority", "client-certificate", "client-key"})
_CERTIFICATE_KEYS = frozenset({"ca.crt", "ca.key", "apiserver.crt", "apiserver.key"})
_CONTROLLER = "-external-vcluster-controller"
_LEASES = ("coordination.k8s.io/v1", "leases")


def unlabelled(name: str) -> dict[Place, Callable[[Object], bool]]:
    """Return the path of each object in the namespace, and a test whether an existing one is vCluster's."""
    return {
        ("v1", "secrets", f"vc-{name}"): lambda item: _keys(item) >= _KUBECONFIG,
        ("v1", "secrets", f"vc-k3s-{name}"): lambda item: _keys(item) == {"token"},
        ("v1", "secrets", f"{name}-certs"): lambda item: _keys(item) >= _CERTIFICATE_KEYS,
        (*_LEASES, safe_concat("vcluster", name, "controller")): lambda item: _holder(item).endswith(_CONTROLLER),
        # Its holder is the pod that renewed the certificates.
        (*_LEASES, safe_concat("vcluster", name, "cert-rotation")): lambda item: _holder(item).startswith(f"{name}-"),
    }


def _keys(secret: Object) -> set[str]:
    """Return the keys of a Secret of no particular type; none of another one."""
    return set(secret.get("data") or {}) if secret.get("type", "Opaque") == "Opaque" else set()


def _holder(lease: Object) -> str:
    return str((lease.get("spec") or {}).get("holderIdentity", ""))
