# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The credentials in Secret ``vc-NAME``: the only part of a kubeconfig that is taken from a virtual cluster.

Whoever may write Secrets in the namespace of a virtual cluster can write anything into this one, and kubectl runs
commands, reads files and asks other servers where a kubeconfig says so. So the certificates and the token are taken,
each checked for what it is, and anything else that is said of the cluster or the user is refused by its name.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import re
from dataclasses import dataclass

from ..common.errors import NestedClustersError
from ..k8s.objects import Object

with contextlib.suppress(ImportError):  # reported by k8s/client.py before anything is asked
    import yaml

_LARGEST = 128 * 1024  # what vCluster writes has about 6 KiB
_CLUSTER = ("server", "certificate-authority-data")  # the server is known, but not taken
_CERTIFICATE, _KEY = "client-certificate-data", "client-key-data"
_USER = (_CERTIFICATE, _KEY, "token")
_BLOCK = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----([A-Za-z0-9+/=\s]+)-----END \1-----\s*")
_CERTIFICATE_LABELS = {"CERTIFICATE"}
_KEY_LABELS = {"PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY"}
_DER = (b"\x30", b"\x06")  # a sequence, or the identifier in EC PARAMETERS
_ANEW = (
    "find out who changed it, then delete the Secret and restart the virtual cluster, which writes it again; without "
    "export_kubeconfig the task does not need it"
)


@dataclass(frozen=True)
class Credentials:
    """What a client needs beside the address; entries of a kubeconfig."""

    cluster: Object
    user: Object


def check(secret: Object | None) -> None:
    """Refuse a kubeconfig that cannot be taken, before anything is changed; one that is yet to be written is fine."""
    if secret and (secret.get("data") or {}).get("config"):
        credentials(secret)


def credentials(secret: Object) -> Credentials:
    """Return the credentials in Secret ``vc-NAME``.

    Raises NestedClustersError if there are none, or something else is.
    """
    metadata = secret.get("metadata") or {}
    where = f"Secret {metadata.get('name')} in namespace {metadata.get('namespace')}"
    encoded = (secret.get("data") or {}).get("config")
    if not encoded:
        raise NestedClustersError(
            f"{where} has no kubeconfig (key config), which the virtual cluster writes when its API answers; wait "
            "until it is running, or check the log of container syncer"
        )
    config = _mapping(_text(encoded, where), where)
    context = _chosen(config, "context", config.get("current-context"), where)
    cluster = _chosen(config, "cluster", context.get("cluster"), where)
    user = _chosen(config, "user", context.get("user"), where)
    for kind, entry, known in (("cluster", cluster, _CLUSTER), ("user", user, _USER)):
        foreign = [f"{kind}s[].{kind}.{' '.join(str(name).split())[:60]}" for name in entry if name not in known]
        if foreign:
            raise NestedClustersError(
                f"the kubeconfig in {where} contains {', '.join(sorted(foreign)[:10])}, which this collection does not "
                "accept from a virtual cluster: it can make a client run a command, read a file or trust another "
                "server. vCluster writes only certificates and tokens (and insecure-skip-tls-verify, if value "
                f"exportKubeConfig.insecure is set); {_ANEW}"
            )
    authority = _pem(cluster, "certificate-authority-data", _CERTIFICATE_LABELS, where)
    if not authority:
        raise _unusable(where, "its cluster has no certificate-authority-data")
    return Credentials({"certificate-authority-data": authority}, _login(user, where))


def _login(user: Object, where: str) -> Object:
    found = {}
    if certificate := _pem(user, _CERTIFICATE, _CERTIFICATE_LABELS, where):
        found[_CERTIFICATE] = certificate
    if key := _pem(user, _KEY, _KEY_LABELS, where):
        found[_KEY] = key
    if bool(certificate) != bool(key):
        raise _unusable(where, f"its user has {_CERTIFICATE if certificate else _KEY} alone")
    if token := user.get("token"):
        if not isinstance(token, str) or not re.fullmatch("[!-~]+", token):
            raise _unusable(where, "its user has a token that is none")
        found["token"] = token
    if not found:
        raise _unusable(where, f"its user has neither {_CERTIFICATE} nor token")
    return found


def _text(encoded: str, where: str) -> str:
    if len(encoded) > _LARGEST:
        raise _unusable(where, f"it has more than {_LARGEST // 1024} KiB")
    try:
        return base64.b64decode(encoded, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError, TypeError):
        raise _unusable(where, "it is not text") from None


def _mapping(text: str, where: str) -> Object:
    """Return a kubeconfig as it is written: all scalars are text, and neither tags nor merge keys mean anything.

    The error says the line, not its content: that may be the private key. For the same reason nothing is chained.
    """
    try:
        found = yaml.load(text, Loader=yaml.BaseLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise _unusable(where, f"it is not YAML at line {mark.line + 1}" if mark else "it is not YAML") from None
    except RecursionError:
        raise _unusable(where, "it is nested too deeply") from None
    if not isinstance(found, dict):
        raise _unusable(where, "it is not a mapping")
    return found


def _chosen(config: Object, kind: str, name: object, where: str) -> Object:
    """Return the one entry of a name; without a name (a context) the first."""
    entries = config.get(f"{kind}s")
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise _unusable(where, f"{kind}s is not a list of named entries")
    if kind == "context" and not name:
        found = entries[:1]
    else:
        found = [entry for entry in entries if isinstance(name, str) and entry.get("name") == name]
    if len(found) != 1:
        raise _unusable(where, f"it has {len(found) or 'no'} entries in {kind}s of the name that it uses")
    if not isinstance(found[0].get(kind), dict):
        raise _unusable(where, f"{kind}s[].{kind} is not a mapping")
    chosen: Object = found[0][kind]
    return chosen


def _pem(entry: Object, key: str, labels: set[str], where: str) -> str:
    """Return the base64 of PEM blocks with these labels, "" where there is nothing."""
    encoded = entry.get(key)
    if not encoded:
        return ""
    try:
        text = base64.b64decode("".join(encoded.split()), validate=True).decode("ascii")
        blocks = _BLOCK.findall(text)
        content = [base64.b64decode("".join(body.split()), validate=True) for _label, body in blocks]
    except (AttributeError, ValueError):  # binascii.Error and UnicodeDecodeError are ValueErrors
        raise _unusable(where, f"{key} is not PEM in base64") from None
    found = [label for label, _body in blocks if not (labels is _KEY_LABELS and label == "EC PARAMETERS")]
    whole = not _BLOCK.sub("", text).strip() and all(part.startswith(_DER) for part in content)
    if not whole or not found or set(found) - labels or (labels is _KEY_LABELS and len(found) > 1):
        raise _unusable(where, f"{key} is not {'a private key' if labels is _KEY_LABELS else 'a certificate'} in PEM")
    return base64.b64encode(text.encode()).decode()


def _unusable(where: str, why: str) -> NestedClustersError:
    return NestedClustersError(f"{where} contains a kubeconfig that cannot be used: {why}; {_ANEW}")
