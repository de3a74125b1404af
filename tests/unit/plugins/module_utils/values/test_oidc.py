# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of logins at an issuer: plain data, the flags of the API server, and the user of a kubeconfig."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.nested.clusters.plugins.module_utils.common.errors import OptionError
from ansible_collections.nested.clusters.plugins.module_utils.values.oidc import Oidc

EVERYTHING: dict[str, Any] = {
    "issuer_url": "https://id.example.com",
    "client_id": "kube",
    "username_claim": "email",
    "username_prefix": "oidc:",
    "groups_claim": "groups",
    "groups_prefix": "sso:",
    "extra_scopes": ["email", "groups"],
}


def test_oidc_as_plain_data_is_what_it_was_made_of() -> None:
    assert Oidc.of(EVERYTHING).as_dict() == EVERYTHING
    little = {"issuer_url": "https://id.example.com", "client_id": "kube"}
    assert Oidc.of({**dict.fromkeys(EVERYTHING), "extra_scopes": [], **little}).as_dict() == little


def test_oidc_flags_are_those_of_kube_apiserver() -> None:
    assert Oidc.of(EVERYTHING).flags() == [
        "--oidc-issuer-url=https://id.example.com",
        "--oidc-client-id=kube",
        "--oidc-username-claim=email",
        "--oidc-username-prefix=oidc:",
        "--oidc-groups-claim=groups",
        "--oidc-groups-prefix=sso:",
    ]


def test_oidc_user_of_a_kubeconfig_asks_for_all_scopes() -> None:
    arguments = Oidc.of(EVERYTHING).exec_user()["exec"]["args"]
    assert arguments[-2:] == ["--oidc-extra-scope=email", "--oidc-extra-scope=groups"]


@pytest.mark.parametrize(
    ("option", "refused"),
    [
        ({"client_id": "kube"}, "oidc.issuer_url"),
        ({"issuer_url": "http://id.example.com", "client_id": "kube"}, "oidc.issuer_url"),
        ({"issuer_url": "https://id.example.com"}, "oidc.client_id"),
    ],
)
def test_oidc_that_nobody_could_log_in_with_is_refused(option: dict[str, Any], refused: str) -> None:
    with pytest.raises(OptionError) as error:
        Oidc.of(option).check()
    assert error.value.data["option"] == refused
