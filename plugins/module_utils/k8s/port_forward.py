# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A connection to a pod's port through the API server."""

from __future__ import annotations

import base64
import os
import ssl
import tempfile
from collections.abc import Mapping
from typing import Any

from .errors import KubernetesError
from .tls import context_trusting


def owner_context(secret: Mapping[str, Any]) -> ssl.SSLContext:
    """Return the TLS context of a virtual cluster's owner, which trusts only the virtual cluster's CA.

    ``secret`` is ``vc-NAME``, with certificate-authority, client-certificate and client-key; everyone who may write
    Secrets there can change it. Raises KubernetesError for one that cannot be used.
    """
    context = anyone_context(secret)
    with tempfile.TemporaryDirectory(prefix="into-") as directory:  # mode 0700
        file = os.path.join(directory, "client.pem")
        with open(os.open(file, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as pem:
            pem.write(_part(secret, "client-certificate") + b"\n" + _part(secret, "client-key"))
        try:
            context.load_cert_chain(file, password=lambda: b"")  # or a terminal would be asked for a password
        except (ssl.SSLError, ValueError) as error:
            raise _unusable(secret, "client-certificate and client-key", error) from None
    return context


def anyone_context(secret: Mapping[str, Any]) -> ssl.SSLContext:
    """Return a TLS context without a credential that trusts only the virtual cluster's CA."""
    try:
        return context_trusting(_part(secret, "certificate-authority").decode("ascii"))
    except (ssl.SSLError, ValueError) as error:
        raise _unusable(secret, "certificate-authority", error) from None


def _part(secret: Mapping[str, Any], key: str) -> bytes:
    found = (secret.get("data") or {}).get(key)
    if not found:  # without certificates, ssl would trust those of this machine
        raise _unusable(secret, key, "it is empty")
    try:
        return base64.b64decode(found, validate=True)
    except (ValueError, TypeError) as error:
        raise _unusable(secret, key, error) from None


def _unusable(secret: Mapping[str, Any], key: str, why: object) -> KubernetesError:
    name = (secret.get("metadata") or {}).get("name", "with its certificates")
    return KubernetesError(
        f"Secret {name} of the virtual cluster cannot be used: {key}: {why}; find out who changed it, then delete it "
        "and restart the virtual cluster, which writes it again",
        400,
    )
