# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Logins at an OpenID Connect issuer: from the option of a group to the API server's flags and to kubeconfigs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from ..common.errors import OptionError


@dataclass(frozen=True)
class Oidc:
    """Where the users of virtual clusters log in; "" and () are what nobody says."""

    issuer_url: str = ""
    client_id: str = ""
    username_claim: str = ""
    username_prefix: str = ""
    groups_claim: str = ""
    groups_prefix: str = ""
    extra_scopes: tuple[str, ...] = ()  # that clients ask for

    @classmethod
    def of(cls, option: Mapping[str, Any]) -> Oidc:
        """Make one from a module's option or a record."""
        parts = {one.name: option.get(one.name) or "" for one in fields(cls) if one.name != "extra_scopes"}
        return cls(**parts, extra_scopes=tuple(option.get("extra_scopes") or ()))

    def as_dict(self) -> dict[str, Any]:
        """Return what is said, as plain data; :meth:`of` reads it."""
        said = {one.name: getattr(self, one.name) for one in fields(self)} | {"extra_scopes": [*self.extra_scopes]}
        return {name: value for name, value in said.items() if value}

    def check(self) -> None:
        """Raise OptionError where nobody could log in."""
        if not str(self.issuer_url).startswith("https://"):
            raise OptionError(
                "oidc.issuer_url", self.issuer_url or None, "an https:// URL", reason="Kubernetes accepts no other"
            )
        if not self.client_id:
            raise OptionError("oidc.client_id", None, "the client's ID at the issuer")

    def flags(self) -> list[str]:
        """Return the flags of kube-apiserver."""
        parts = [(one.name, getattr(self, one.name)) for one in fields(self) if one.name != "extra_scopes"]
        return [f"--oidc-{name.replace('_', '-')}={value}" for name, value in parts if value]

    def exec_user(self) -> dict[str, Any]:
        """Return the user of a kubeconfig, with no credential in it.

        The login is done by the kubectl plugin oidc-login (https://github.com/int128/kubelogin), on the machine of
        the user of the kubeconfig.
        """
        arguments = [f"--oidc-issuer-url={self.issuer_url}", f"--oidc-client-id={self.client_id}"]
        arguments += [f"--oidc-extra-scope={scope}" for scope in self.extra_scopes]
        login = {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": "kubectl",
            "args": ["oidc-login", "get-token", *arguments],
            "interactiveMode": "IfAvailable",
            "installHint": "kubectl krew install oidc-login",
        }
        return {"exec": login}
