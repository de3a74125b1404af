# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whom a connection acts as: what a kubeconfig says of its user (``as``), and options, as kubectl takes them.

The Kubernetes client library does not know these words of a kubeconfig. Whoever leaves them out acts as the one whose
credential it is, who may do more.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote

from ..common.errors import NestedClustersError

IMPERSONATION_KEYS = ("as", "as-uid", "as-groups", "as-user-extra")
_IN_NAMES = "!#$&'*+^`|"  # legal in the name of a header, beside letters, digits and what quote() leaves
_NO_VALUE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


@dataclass(frozen=True)
class Impersonation:
    """Whom to act as; without a user as oneself."""

    user: str = ""
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def of_user(cls, user: Mapping[str, Any]) -> Impersonation:
        """Parse the user of a kubeconfig. Raises NestedClustersError if kubectl would not accept it."""
        extra = user.get("as-user-extra") or {}
        if not isinstance(extra, Mapping) or not all(isinstance(key, str) for key in extra):
            raise _unusable("as-user-extra", "a mapping of lists")
        return cls(
            _text("as", user.get("as")),
            _text("as-uid", user.get("as-uid")),
            _texts("as-groups", user.get("as-groups")),
            {key: _texts("as-user-extra", values) for key, values in extra.items()},
        )

    def overridden(self, options: Impersonation) -> Impersonation:
        """Return it with the user and the groups of the options, if set: as ``--as`` and ``--as-group`` of kubectl.

        Raises NestedClustersError where there is more to act as, but no user.
        """
        found = replace(self, user=options.user or self.user, groups=options.groups or self.groups)
        if not found.user and (found.uid or found.groups or found.extra):
            raise NestedClustersError(
                "impersonation has no user (impersonate_groups without impersonate_user, or as-groups, as-uid or "
                "as-user-extra without as in the kubeconfig), which kubectl refuses too; set the user as well"
            )
        if any(_NO_VALUE.search(value) for _name, value in found.headers()):
            raise NestedClustersError("impersonation: a name contains control characters; remove them")
        return found

    def headers(self) -> list[tuple[str, str]]:
        """Return the impersonation headers, one for each item of a list."""
        found = [("Impersonate-User", self.user)] if self.user else []
        found += [("Impersonate-Uid", self.uid)] if self.uid else []
        found += [("Impersonate-Group", group) for group in self.groups]
        for key, values in self.extra.items():
            found += [(f"Impersonate-Extra-{quote(key, safe=_IN_NAMES)}", value) for value in values]
        return found

    def entry(self) -> dict[str, Any]:
        """Return the words of a kubeconfig's user."""
        extra = {key: list(values) for key, values in self.extra.items()}
        found = zip(IMPERSONATION_KEYS, (self.user, self.uid, list(self.groups), extra), strict=True)
        return {key: value for key, value in found if value}


def _text(key: str, value: Any) -> str:
    if value is not None and not isinstance(value, str):
        raise _unusable(key, "text")
    return value or ""


def _texts(key: str, values: Any) -> tuple[str, ...]:
    if values is not None and not (isinstance(values, list) and all(isinstance(value, str) for value in values)):
        raise _unusable(key, "a list of texts" if key == "as-groups" else "a mapping of lists")
    return tuple(values or ())


def _unusable(key: str, allowed: str) -> NestedClustersError:
    return NestedClustersError(
        f"kubeconfig: {key} of its user is not usable; allowed: {allowed}, or no such key, to act as the user itself"
    )
