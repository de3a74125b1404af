# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets with the kubeconfig of a virtual cluster."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import yaml


def pem(label: str, content: bytes = b"\x30\x03any") -> str:
    """Base64 of a PEM block, as a kubeconfig has it; what is in it is of no kind."""
    body = base64.b64encode(content).decode()
    return base64.b64encode(f"-----BEGIN {label}-----\n{body}\n-----END {label}-----\n".encode()).decode()


def kubeconfig_secret(name: str, namespace: str, change: Callable[[dict[str, Any]], None] | None = None) -> Any:
    """Secret ``vc-NAME`` as vCluster writes it, with a change of its kubeconfig."""
    entries: dict[str, Any] = {
        "clusters": {"server": "https://localhost:8443", "certificate-authority-data": pem("CERTIFICATE")},
        "users": {"client-certificate-data": pem("CERTIFICATE"), "client-key-data": pem("RSA PRIVATE KEY")},
        "contexts": {"cluster": "my-vcluster", "user": "my-vcluster"},
    }
    config: dict[str, Any] = {"apiVersion": "v1", "kind": "Config", "current-context": "my-vcluster", "preferences": {}}
    for section, entry in entries.items():
        config[section] = [{"name": "my-vcluster", section[:-1]: entry}]
    if change:
        change(config)
    return {
        "metadata": {"name": f"vc-{name}", "namespace": namespace},
        "data": {"config": base64.b64encode(yaml.safe_dump(config).encode()).decode()},
    }
