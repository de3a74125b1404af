# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ingress controllers with NGINX: found by what they run, with what they lack."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.nested.clusters.plugins.filter import nginx_controllers as module

nginx_controllers = module.FilterModule().filters()["nginx_controllers"]

COMMUNITY_IMAGE = "registry.k8s.io/ingress-nginx/controller:v1.15.1@sha256:0123"
F5_IMAGE = "nginx/nginx-ingress:5.5.4"
ABSENT = "the host cluster has no {} of k8s.nginx.org/v1: install its CustomResourceDefinitions"
F5_KINDS = ("policies", "transportservers", "virtualserverroutes", "virtualservers")


def workload(*words: str, image: str = "example.com/x:1", kind: str = "Deployment") -> dict[str, Any]:
    container = {"name": "x", "image": image, "command": list(words[:1]), "args": list(words[1:])}
    return {
        "kind": kind,
        "metadata": {"namespace": "edge", "name": "gate"},
        "spec": {"template": {"spec": {"containers": [{"name": "sidecar", "image": "busybox"}, container]}}},
    }


def ingress_class(name: str, controller: str) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": {"controller": controller}}


def definition(plural: str, version: str = "v1", served: bool = True) -> dict[str, Any]:
    spec = {"group": "k8s.nginx.org", "names": {"plural": plural}, "versions": [{"name": version, "served": served}]}
    return {"metadata": {"name": f"{plural}.k8s.nginx.org"}, "spec": spec}


DEFINITIONS = [definition(plural) for plural in F5_KINDS]


@pytest.mark.parametrize(
    ("found", "product"),
    [
        (workload("/nginx-ingress-controller", "--election-id=x"), "community"),
        (workload("/usr/bin/dumb-init", "--", "/nginx-ingress-controller"), "community"),
        (workload("x", "--controller-class=k8s.io/ingress-nginx"), "community"),
        (workload("x", image=COMMUNITY_IMAGE), "community"),
        (workload("x", image="docker.io/bitnami/nginx-ingress-controller:1.9"), "community"),
        (workload("x", "-nginx-configmaps=$(POD_NAMESPACE)/nginx"), "f5"),
        (workload("x", image=F5_IMAGE), "f5"),
        (workload("x", image="private-registry.nginx.com/nginx-ic/nginx-plus-ingress:5.5.4"), "f5"),
        (workload("x", image="nginx-ingress"), "f5"),
    ],
)
def test_controller_is_found_by_its_image_or_arguments(found: dict[str, Any], product: str) -> None:
    (one,) = nginx_controllers([found])
    assert (one["controller"], one["what"]) == (product, "Deployment edge/gate")


@pytest.mark.parametrize(
    "image",
    [
        "nginx:1.27",
        "registry.k8s.io/ingress-nginx/custom-error-pages:v1",
        "example.com/nginx-ingress/exporter:1",
        "traefik:3",
    ],
)
def test_other_workload_is_no_controller(image: str) -> None:
    assert nginx_controllers([workload("nginx", "-c", "/etc/nginx.conf", image=image)]) == []


@pytest.mark.parametrize(
    "words", [("--enable-ssl-passthrough",), ("--enable-ssl-passthrough=true", "--v=2"), ("-enable-ssl-passthrough=1",)]
)
def test_flag_of_a_controller_is_read_as_go_reads_it(words: tuple[str, ...]) -> None:
    (one,) = nginx_controllers([workload("/nginx-ingress-controller", *words)])
    assert one["missing"] == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), ["its flag --enable-ssl-passthrough is not set"]),
        (("--enable-ssl-passthrough=false",), ["its flag --enable-ssl-passthrough is false"]),
        (
            ("--enable-ssl-passthrough", "--watch-namespace", "team"),
            ["it looks at some namespaces only: its flag --watch-namespace is team"],
        ),
    ],
)
def test_missing_setting_of_the_community_controller_is_named(words: tuple[str, ...], said: list[str]) -> None:
    (one,) = nginx_controllers([workload("/nginx-ingress-controller", *words)], [], [])
    assert one["missing"] == said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("-enable-tls-passthrough",), []),
        (("-enable-tls-passthrough=true", "-watch-namespace=", "-enable-custom-resources=true"), []),
        (("-enable-tls-passthrough=false",), ["its flag -enable-tls-passthrough is false"]),
        (
            ("-enable-custom-resources=false",),
            ["its flag -enable-custom-resources is false", "its flag -enable-tls-passthrough is not set"],
        ),
        (
            ("-enable-tls-passthrough", "-global-configuration=edge/gate"),
            [ABSENT.format("globalconfigurations")],
        ),
        (
            ("-enable-tls-passthrough", "-watch-namespace-label=a=b"),
            ["it looks at some namespaces only: its flag -watch-namespace-label is a=b"],
        ),
    ],
)
def test_missing_setting_of_the_f5_controller_is_named(words: tuple[str, ...], said: list[str]) -> None:
    (one,) = nginx_controllers([workload("/nginx-ingress", *words, image=F5_IMAGE)], [], DEFINITIONS)
    assert one["missing"] == said


@pytest.mark.parametrize(
    "other", [definition("transportservers", "v1alpha1"), definition("transportservers", "v1", False)]
)
def test_required_kind_counts_in_its_version_only(other: dict[str, Any]) -> None:
    passing = workload("x", "-enable-tls-passthrough", image=F5_IMAGE)
    rest = [one for one in DEFINITIONS if one["spec"]["names"]["plural"] != "transportservers"]
    (one,) = nginx_controllers([passing], [], [*rest, other])
    assert one["missing"] == [ABSENT.format("transportservers")]
    assert nginx_controllers([passing])[0]["missing"] == []


def test_classes_of_a_controller_are_those_that_it_serves() -> None:
    classes = [
        ingress_class("nginx", "k8s.io/ingress-nginx"),
        ingress_class("public", "k8s.io/ingress-nginx"),
        ingress_class("inner", "k8s.io/ingress-nginx-inner"),
        ingress_class("edge", "nginx.org/ingress-controller"),
        ingress_class("traefik", "traefik.io/ingress-controller"),
    ]
    found = nginx_controllers(
        [
            workload("/nginx-ingress-controller"),
            workload("/nginx-ingress-controller", "--controller-class=k8s.io/ingress-nginx-inner"),
            workload(
                "/nginx-ingress-controller", "--ingress-class=edge", "--ingress-class-by-name", "--controller-class=x"
            ),
            workload("x", "-ingress-class=edge", image=F5_IMAGE),
            workload("x", image=F5_IMAGE),
        ],
        classes,
    )
    assert [one["classes"] for one in found] == [["nginx", "public"], ["inner"], ["edge"], ["edge"], []]


def test_input_without_objects_is_one_error() -> None:
    with pytest.raises(AnsibleFilterError, match=r"nested\.clusters\.nginx_controllers: KeyError: 'spec'"):
        nginx_controllers([{"kind": "Deployment"}])
