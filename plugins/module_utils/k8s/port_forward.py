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


def owner_context(secret: Mapping[str, Any]) -> ssl.SSLContext:
    """TLS as the owner of a virtual cluster's kubeconfig has it, who trusts the virtual cluster's CA alone.

    ``secret`` is ``vc-NAME``, with certificate-authority, client-certificate and client-key.
    """
    certificates = {name: base64.b64decode(text) for name, text in secret["data"].items()}
    context = ssl.create_default_context(cadata=certificates["certificate-authority"].decode())
    with tempfile.TemporaryDirectory(prefix="into-") as directory:  # mode 0700
        file = os.path.join(directory, "client.pem")
        with open(os.open(file, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as pem:
            pem.write(certificates["client-certificate"] + b"\n" + certificates["client-key"])
        context.load_cert_chain(file)
    return context
