# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests that free what is to be deleted or kept: marks and finalizers."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from ..common.well_known import FINALIZERS, KEPT
from ..k8s.client import Kubernetes, parallel
from ..listing.contents import ObjectRef


def mark_kept(kubernetes: Kubernetes, claims: Iterable[ObjectRef]) -> None:
    """Write on volume claims that they stay on purpose, so that nobody takes them for left over."""
    marks = {"metadata": {"annotations": {KEPT: "true"}}}
    parallel([partial(kubernetes.patch, claim.path(claim.namespace), marks) for claim in claims])


def release_hold(kubernetes: Kubernetes, ref: ObjectRef, namespace: str | None) -> None:
    """Take off an object the finalizers that only a running virtual cluster would take off."""
    held = ref.meta.get("finalizers") or []
    free = [finalizer for finalizer in held if not finalizer.startswith(FINALIZERS)]
    if free != held:
        kubernetes.patch(ref.path(namespace), {"metadata": {"finalizers": free}})
