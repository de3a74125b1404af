# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""TLS that verifies certificates as Kubernetes' own clients do."""

from __future__ import annotations

import ssl


def context_trusting(authority: str) -> ssl.SSLContext:
    """Return a TLS context that trusts only the CA of these PEM certificates.

    Python 3.13 asks a CA for extensions that Go, and so kubectl, does without, and that in-house CAs often lack.
    """
    context = ssl.create_default_context(cadata=authority)
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context
