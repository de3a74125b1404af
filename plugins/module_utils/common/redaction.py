# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decide what of a value may be shown: nothing below a name that speaks of a secret, and no credential in a text."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

MASK = "VALUE_HIDDEN"

# Names that speak of a secret; "secrets" is the kind that is synced.
_SECRET_NAME = re.compile(
    r"passw|passphrase|token|secret(?!s$)|datasource|credential|apikey|accesskey|privatekey|keydata|licen[cs]e"
)
_NAMES_OF_SECRETS = ("tls_secret",)  # options whose value is the name of a Secret
_DOCUMENTED = "user:password"  # what the examples in messages say

_PRIVATE_KEY = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL)
_BEARER = re.compile(r"(?i)\b(bearer\s+)[\w.~+/=-]{8,}|\beyJ[\w-]+\.[\w-]+\.[\w-]*")
# What a URL has before its last '@'. A password may hold '/', but a port before a path, as in
# oci://registry:5000/chart@sha256:..., is none.
_USER_INFO = re.compile(r"(?<=://)(?:([^\s/]*)@|([^\s/:@]+:(?![0-9]+/)\S*)@)")
_MYSQL = re.compile(r"(?<![^\s:@/'\"(])([^\s:@/'\"(]+:(?!//)\S*)@(?=(?:tcp|udp|unix)\()")
_ASSIGNMENT = re.compile(r"(?<![\w.-])([\w.-]{1,64})=([^\s&'\",;]+)")


def speaks_of_a_secret(name: str) -> bool:
    """Return whether what has this name is not to be shown."""
    return bool(_SECRET_NAME.search(re.sub("[-_.]", "", name.lower())))


def redacted_text(text: str) -> str:
    """Return a text without the user and password of a URL, ``password=...``, tokens and private keys."""
    text = _PRIVATE_KEY.sub(MASK, text)
    text = _BEARER.sub(lambda found: (found[1] or "") + MASK, text)
    text = _USER_INFO.sub(lambda found: _user_info(found[1] or found[2] or ""), text)
    text = _MYSQL.sub(lambda found: _user_info(found[1]), text)
    return _ASSIGNMENT.sub(lambda found: f"{found[1]}={MASK if speaks_of_a_secret(found[1]) else found[2]}", text)


def _user_info(found: str) -> str:
    return f"{found if found == _DOCUMENTED else MASK}@"


def redacted(value: Any, name: str = "", *, text: Callable[[str], str] = redacted_text, hide: bool = False) -> Any:
    """Return a value that can be shown. ``name`` is what it is called, such as an option or the path of a value.

    Hidden is all below a name that speaks of a secret, and the value of an environment variable with such a name.
    ``text`` says what remains of any other text.
    """
    hide = hide or (speaks_of_a_secret(name) and name.rpartition(".")[2] not in _NAMES_OF_SECRETS)
    if isinstance(value, Mapping):
        named = str(value.get("name", "")) if "value" in value else ""  # {name: DB_PASSWORD, value: ...}
        pairs = {
            key: redacted(one, named if key == "value" and named else str(key), text=text, hide=hide)
            for key, one in value.items()
        }
        return value if pairs == value else pairs
    if isinstance(value, list):
        items = [redacted(one, text=text, hide=hide) for one in value]
        return value if items == value else items
    if isinstance(value, bool) or value in (None, ""):
        return value
    if hide:
        return MASK
    return text(value) if isinstance(value, str) else value
