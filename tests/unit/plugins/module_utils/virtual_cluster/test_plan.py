# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of plan: what counts as a difference, and what the diff shows."""

from __future__ import annotations

import base64
import copy
import itertools
import random
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from ansible_collections.nested.clusters.plugins.module_utils.common import well_known, yaml_io
from ansible_collections.nested.clusters.plugins.module_utils.common.errors import OptionError
from ansible_collections.nested.clusters.plugins.module_utils.helm import post_renderer
from ansible_collections.nested.clusters.plugins.module_utils.helm.release import Release
from ansible_collections.nested.clusters.plugins.module_utils.virtual_cluster import drift as virtual_cluster_drift
from ansible_collections.nested.clusters.plugins.module_utils.virtual_cluster import manifests
from ansible_collections.nested.clusters.plugins.module_utils.virtual_cluster.change import (
    Change,
    ChangeKind,
    ChangeTarget,
    diff_entries,
)
from ansible_collections.nested.clusters.plugins.module_utils.virtual_cluster.metadata import (
    check_metadata,
    metadata_patch,
)
from ansible_collections.nested.clusters.plugins.module_utils.virtual_cluster.plan import Plan

NAMESPACE = "vcluster-demo"
STATEFUL_SET = ("apps/v1", "StatefulSet", NAMESPACE, "demo")
SECRET = ("v1", "Secret", NAMESPACE, "vc-config-demo")

Path = tuple[Any, ...]


def namespaced(_api_version: str, kind: str) -> bool:
    return not kind.startswith("ClusterRole") and kind not in ("Namespace", "PriorityClass")


# --- project: a table -------------------------------------------------------------------------------------

SAME: list[tuple[str, Any, Any]] = [
    ("a default of the API server", {"a": 1, "clusterIP": "10.0.0.1"}, {"a": 1}),
    ("a default deeper down", {"spec": {"a": 1, "b": {"c": 2}}, "status": {}}, {"spec": {"a": 1}}),
    ("a default in an item", {"ports": [{"port": 1, "protocol": "TCP"}]}, {"ports": [{"port": 1}]}),
    ("null asks for the default", {"a": 30}, {"a": None}),
    ("null and nothing", {}, {"a": None}),
    ("null below nothing", {}, {"annotations": {"a": None}}),
    ("node port of the API server's choice", {"ports": [{"nodePort": 31234}]}, {"ports": [{"nodePort": 0}]}),
    ("empty text", {}, {"a": ""}),
    ("empty dictionary", {}, {"a": {}}),
    ("empty dictionary, defaults in it", {"a": {"b": 1}}, {"a": {}}),
    ("empty list", {}, {"a": []}),
    ("false", {}, {"a": False}),
    ("empty below empty", {}, {"a": {"b": {"c": []}}}),
    ("cpu", {"limits": {"cpu": "1"}}, {"limits": {"cpu": "1000m"}}),
    ("cpu as a number", {"limits": {"cpu": "2"}}, {"limits": {"cpu": 2}}),
    ("memory", {"resources": {"requests": {"storage": "5Gi"}}}, {"resources": {"requests": {"storage": 5368709120}}}),
    ("quota", {"hard": {"limits.cpu": "20", "services": "20"}}, {"hard": {"limits.cpu": 20, "services": "20"}}),
    ("size limit", {"emptyDir": {"sizeLimit": "1Gi"}}, {"emptyDir": {"sizeLimit": "1024Mi"}}),
]
DIFFERENT: list[tuple[str, Any, Any]] = [
    ("another text", {"a": "x"}, {"a": "y"}),
    ("nothing", {}, {"a": 1}),
    ("nothing below nothing", {}, {"a": {"b": 1}}),
    ("true and nothing", {}, {"a": True}),
    ("false and true", {"a": True}, {"a": False}),
    ("text and nothing", {"a": "x"}, {"a": ""}),
    ("a node port that is asked for", {"nodePort": 31234}, {"nodePort": 30000}),
    ("longer list", {"a": [1, 2]}, {"a": [1]}),
    ("shorter list", {"a": [1]}, {"a": [1, 2]}),
    ("entries and none", {"a": [1]}, {"a": []}),
    ("other order", {"a": [1, 2]}, {"a": [2, 1]}),
    ("an item changed", {"a": [{"name": "x", "b": 1}]}, {"a": [{"name": "x", "b": 2}]}),
    ("another size", {"limits": {"cpu": "2"}}, {"limits": {"cpu": "1000m"}}),
    ("a version is no size", {"labels": {"version": "1.1"}}, {"labels": {"version": "1.10"}}),
    ("an environment variable is no size", {"env": [{"value": "1000"}]}, {"env": [{"value": "1e3"}]}),
    ("another shape", {"a": {"b": 1}}, {"a": "b"}),
    ("a text and a dictionary", {"a": "b"}, {"a": {"b": 1}}),
]


@pytest.mark.parametrize(("live", "wanted"), [pytest.param(*pair, id=name) for name, *pair in SAME])
def test_no_difference(live: Any, wanted: Any) -> None:
    assert virtual_cluster_drift.project(live, wanted) == wanted


@pytest.mark.parametrize(("live", "wanted"), [pytest.param(*pair, id=name) for name, *pair in DIFFERENT])
def test_a_difference(live: Any, wanted: Any) -> None:
    assert virtual_cluster_drift.project(live, wanted) != wanted


@pytest.mark.parametrize(("_name", "live", "wanted"), [*SAME, *DIFFERENT])
def test_project_changes_nothing_of_its_arguments(_name: str, live: Any, wanted: Any) -> None:
    before = copy.deepcopy((live, wanted))
    virtual_cluster_drift.project(live, wanted)
    assert (live, wanted) == before


# --- project: laws ----------------------------------------------------------------------------------------

TEXTS = ("x", "demo", "1.10", "100m", "8443", "true", "", "5Gi")


def random_object(source: random.Random, depth: int = 4) -> Any:
    """JSON as a manifest has it."""
    kind = source.random()
    if depth and kind < 0.5:
        names = source.sample(["limits", "labels", "spec", "ports", "nodePort", "name", "value"], 4)
        return {name: random_object(source, depth - 1) for name in names[: source.randint(0, 4)]}
    if depth and kind < 0.65:
        return [random_object(source, depth - 1) for _each in range(source.randint(0, 3))]
    return source.choice([None, True, False, 0, 1, 443, *TEXTS])


def random_objects(count: int = 400) -> Iterator[tuple[random.Random, Any]]:
    source = random.Random(7)
    for _each in range(count):
        yield source, {"spec": random_object(source), "metadata": random_object(source)}


def dictionaries(data: Any) -> Iterator[dict[str, Any]]:
    """Every dictionary in there, but in empty ones nothing is wanted, and fields below null are the server's."""
    if isinstance(data, dict):
        yield data
    for item in data.values() if isinstance(data, dict) else data if isinstance(data, list) else []:
        yield from dictionaries(item)


def paths(data: Any, at: Path = ()) -> Iterator[Path]:
    """Where the leaves are that are neither null nor a node port of 0."""
    if isinstance(data, (dict, list)) and data:
        for name, item in data.items() if isinstance(data, dict) else enumerate(data):
            yield from paths(item, (*at, name))
    elif data is not None and data != {} and not (at[-1] == "nodePort" and not data):
        yield at


def replaced(data: Any, at: Path, value: Any) -> Any:
    result = copy.deepcopy(data)
    node = result
    for step in at[:-1]:
        node = node[step]
    node[at[-1]] = value
    return result


def test_an_object_is_like_itself() -> None:
    for _source, thing in random_objects():
        assert virtual_cluster_drift.project(thing, thing) == thing


def test_projecting_twice_is_projecting_once() -> None:
    things = [thing for _source, thing in random_objects()]
    for live, wanted in itertools.pairwise(things):
        once = virtual_cluster_drift.project(live, wanted)
        assert virtual_cluster_drift.project(once, wanted) == once


def test_fields_that_are_not_spoken_of_change_nothing() -> None:
    for source, wanted in random_objects():
        live = copy.deepcopy(wanted)
        for node in list(dictionaries(live)):
            node[f"added-{source.randint(1, 3)}"] = source.choice(["x", 1, {"y": [2]}, []])
        assert virtual_cluster_drift.project(live, wanted) == wanted


def test_any_leaf_that_changes_is_seen() -> None:
    seen = 0
    for source, wanted in random_objects():
        for where in paths(wanted):
            before = wanted
            for step in where:
                before = before[step]
            value = source.choice(["another", 12345, ["z"], {"z": 1}])
            live = replaced(wanted, where, value)
            assert virtual_cluster_drift.project(live, wanted) != wanted, (where, before, value)
            seen += 1
    assert seen > 1000


def test_any_leaf_that_goes_is_seen_unless_it_is_empty() -> None:
    for _source, wanted in random_objects(200):
        for where in paths(wanted):
            *parents, last = where
            live = copy.deepcopy(wanted)
            node, value = live, wanted
            for step in parents:
                node = node[step]
            for step in where:
                value = value[step]
            del node[last]
            empty = isinstance(last, str) and value in ("", [], False, 0)
            assert (virtual_cluster_drift.project(live, wanted) == wanted) == empty, (where, value)


# --- as_found, drift --------------------------------------------------------------------------------------


def stateful_set(replicas: int = 1, **metadata: Any) -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": "demo", "namespace": NAMESPACE, **metadata},
        "spec": {"replicas": replicas, "serviceName": "demo-headless", "template": {"spec": {}}},
    }


def from_a_list(thing: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """As an item of a LIST: without apiVersion and kind, with what the API server adds."""
    item = {name: copy.deepcopy(value) for name, value in thing.items() if name not in ("apiVersion", "kind")}
    item["metadata"] = {**item["metadata"], "uid": "1", "resourceVersion": "7"}
    return {**item, "status": {"readyReplicas": 1}, **changes}


def drift_steps(found: Any, manifest: Any) -> list[str]:
    return [change.text for change in virtual_cluster_drift.drift(found, manifest)]


def drift(live: dict[str, Any] | None, wanted: dict[str, Any] | None = None) -> list[str]:
    manifest = {STATEFUL_SET: wanted or stateful_set()}
    found = virtual_cluster_drift.as_found(manifest, {STATEFUL_SET: live} if live else {})
    return drift_steps(found, manifest)


def test_what_the_release_made_is_no_drift() -> None:
    assert drift(from_a_list(stateful_set())) == []


def test_what_was_edited_is_repaired() -> None:
    assert drift(from_a_list(stateful_set(replicas=3))) == ["repair StatefulSet demo"]


def test_what_was_deleted_is_restored() -> None:
    assert drift(None) == ["restore StatefulSet demo"]


PAUSED = {post_renderer.PAUSED: "true", post_renderer.PAUSED_REPLICAS: "1"}
CONTROL_PLANE = {"app": "vcluster"}
ETCD = ("apps/v1", "StatefulSet", NAMESPACE, "demo-etcd")
RELEASE = Release("demo", NAMESPACE, 1, "deployed", "vcluster", "0.36.1", {}, "")


def etcd(replicas: int = 1, **metadata: Any) -> dict[str, Any]:
    return stateful_set(replicas, **{"name": "demo-etcd", "labels": {"app": "vcluster-etcd"}, **metadata})


def test_the_replicas_of_a_paused_one_are_ignored_and_nothing_else() -> None:
    paused = stateful_set(replicas=0, annotations=PAUSED, labels=CONTROL_PLANE)
    assert drift(from_a_list(paused)) == []
    paused["spec"]["serviceName"] = "other"
    assert drift(from_a_list(paused)) == ["repair StatefulSet demo"]


@pytest.mark.parametrize(
    "metadata",
    [
        {"labels": CONTROL_PLANE},
        {"labels": CONTROL_PLANE, "annotations": {post_renderer.PAUSED: "false"}},
        {"labels": {"app": "other"}, "annotations": PAUSED},
        {"annotations": PAUSED},
    ],
)
def test_what_is_not_paused_is_repaired(metadata: dict[str, Any]) -> None:
    assert drift(from_a_list(stateful_set(replicas=0, **metadata))) == ["repair StatefulSet demo"]


@pytest.mark.parametrize(
    ("control_plane", "etcd_replicas", "steps", "at_rest"),
    [
        (0, 0, [], ["demo", "demo-etcd"]),
        (0, 1, [], ["demo"]),  # as the CLI leaves it
        (1, 0, ["repair StatefulSet demo-etcd"], None),  # resumed by the CLI, which does not know of etcd
    ],
)
def test_the_replicas_of_etcd_beside_a_paused_one(
    control_plane: int, etcd_replicas: int, steps: list[str], at_rest: list[str] | None
) -> None:
    manifest = {STATEFUL_SET: stateful_set(), ETCD: etcd()}
    annotations = {} if control_plane else PAUSED
    live = {
        STATEFUL_SET: from_a_list(stateful_set(control_plane, labels=CONTROL_PLANE, annotations=annotations)),
        ETCD: from_a_list(etcd(etcd_replicas, annotations=PAUSED)),
        ("v1", "Service", NAMESPACE, "demo"): {"metadata": {"labels": CONTROL_PLANE}},
    }
    assert drift_steps(virtual_cluster_drift.as_found(manifest, live), manifest) == steps
    found = manifests.at_rest(RELEASE, live, manifest)
    assert (found.names if found else None) == at_rest


def test_another_paused_one_in_the_namespace_is_not_this_one() -> None:
    """Before vCluster 0.25 there could be several in one."""
    other = stateful_set(0, name="other", labels=CONTROL_PLANE, annotations=PAUSED)
    live = {
        STATEFUL_SET: from_a_list(stateful_set(0, labels=CONTROL_PLANE)),
        (*STATEFUL_SET[:3], "other"): from_a_list(other),
    }
    manifest = {STATEFUL_SET: stateful_set()}
    assert drift_steps(virtual_cluster_drift.as_found(manifest, live), manifest) == [
        "repair StatefulSet demo"
    ]
    assert manifests.at_rest(RELEASE, live, manifest) is None


def test_a_manifest_that_helm_stored_at_rest_is_read_as_rendered() -> None:
    rendered = stateful_set(3, annotations={"own": "x"})
    text = yaml_io.dump(rendered)
    stored = post_renderer.at_rest(text, ["demo"], {well_known.RAN: "x"})
    assert "replicas: 0" in stored
    for manifest in (text, stored):
        assert manifests.objects(manifest, NAMESPACE, namespaced) == {STATEFUL_SET: rendered}
    del rendered["metadata"]["annotations"]
    stored = post_renderer.at_rest(yaml_io.dump(rendered), ["demo"], {})
    assert manifests.objects(stored, NAMESPACE, namespaced) == {STATEFUL_SET: rendered}


def test_what_is_in_the_cluster_besides_is_not_found() -> None:
    other = ("v1", "Service", NAMESPACE, "other")
    assert virtual_cluster_drift.as_found({}, {other: {"metadata": {}}}) == {}


def test_drift_is_in_a_fixed_order() -> None:
    keys = [("v1", "Service", NAMESPACE, name) for name in "bca"]
    wanted = {k: {"kind": "Service"} for k in keys}
    assert drift_steps({}, wanted) == [f"restore Service {name}" for name in "abc"]


def test_a_repair_leaves_nothing_to_repair() -> None:
    """Whatever somebody did to an object: the merge patch makes it what the release wants, and holds no more."""
    things = [thing for _source, thing in random_objects()]
    repaired = 0
    for edited, wanted in itertools.pairwise(things):
        # What Helm has merged: another object, in which some fields are as wanted.
        live = {**edited, "metadata": wanted["metadata"], "status": {"phase": "x"}}
        found = virtual_cluster_drift.project(live, wanted)
        patch = virtual_cluster_drift.repair_patch(found, wanted)
        assert "metadata" not in patch
        assert virtual_cluster_drift.project(merge_patch(live, patch), wanted) == wanted
        assert bool(patch) <= (found != wanted)
        repaired += bool(patch)
    assert repaired > 100


@pytest.mark.parametrize(
    ("found", "wanted", "patch"),
    [
        ({"a": 1}, {"a": 1}, {}),
        ({"a": 1}, {"a": None}, {}),
        ({}, {"a": 1}, {"a": 1}),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}}, {"a": {"c": 3}}),
        ({"a": [1, 2]}, {"a": [1]}, {"a": [1]}),
        ({"a": "text"}, {"a": {"b": 1}}, {"a": {"b": 1}}),
        ({"a": {"b": 1}}, {"a": "text"}, {"a": "text"}),
    ],
)
def test_repair_patch(found: Any, wanted: Any, patch: Any) -> None:
    assert virtual_cluster_drift.repair_patch(found, wanted) == patch


# --- objects, workload_key --------------------------------------------------------------------------------


def test_objects_by_key() -> None:
    manifest = """---
# Source: empty
---
apiVersion: v1
kind: Service
metadata: {name: demo}
---
apiVersion: v1
kind: Service
metadata: {name: demo, namespace: elsewhere}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: vc-demo, namespace: ignored}
---
apiVersion: postgresql.cnpg.io/v1
kind: Cluster
metadata: {name: database}
---
apiVersion: scheduling.k8s.io/v1
kind: PriorityClass
metadata: {name: high}
"""
    assert set(manifests.objects(manifest, NAMESPACE, namespaced)) == {
        ("v1", "Service", NAMESPACE, "demo"),
        ("v1", "Service", "elsewhere", "demo"),
        ("rbac.authorization.k8s.io/v1", "ClusterRole", "", "vc-demo"),
        ("postgresql.cnpg.io/v1", "Cluster", NAMESPACE, "database"),
        ("scheduling.k8s.io/v1", "PriorityClass", "", "high"),
    }
    assert manifests.objects("", NAMESPACE, namespaced) == {}


def test_string_data_is_compared_as_it_is_stored() -> None:
    manifest = "apiVersion: v1\nkind: Secret\nmetadata: {name: vc-config-demo}\nstringData: {a: hunter2, b: 7}\n"
    wanted = manifests.objects(manifest, NAMESPACE, namespaced)
    stored = {"metadata": {"name": "vc-config-demo"}, "data": {"a": "aHVudGVyMg==", "b": "Nw=="}}
    assert drift_steps(virtual_cluster_drift.as_found(wanted, {SECRET: stored}), wanted) == []
    stored["data"]["a"] = "aHVudGVyMw=="
    assert drift_steps(virtual_cluster_drift.as_found(wanted, {SECRET: stored}), wanted) == [
        "repair Secret vc-config-demo"
    ]


@pytest.mark.parametrize(
    ("kind", "name", "found"),
    [
        ("StatefulSet", "demo", True),
        ("Deployment", "demo", True),
        ("StatefulSet", "demo-etcd", False),
        ("Service", "demo", False),
    ],
)
def test_the_workload_is_the_set_of_that_name(kind: str, name: str, found: bool) -> None:
    where = ("apps/v1", kind, NAMESPACE, name)
    others = [("v1", "Service", NAMESPACE, "demo"), ("apps/v1", "StatefulSet", NAMESPACE, "demo-etcd")]
    assert manifests.workload_key([*others, where], "demo") == (where if found else None)


# --- metadata ---------------------------------------------------------------------------------------------


def merge_patch(target: Any, patch: Any) -> Any:
    """RFC 7386."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merge_patch(result.get(name), value)
    return result


def test_after_the_metadata_patch_nothing_is_to_patch() -> None:
    source = random.Random(3)

    def some(absent: bool) -> dict[str, Any]:
        return {name: source.choice(["1", "2", *([None] if absent else [])]) for name in source.sample("abcd", 2)}

    for _each in range(300):
        live = {"metadata": {"labels": some(False), "annotations": source.choice([some(False), None])}}
        labels, annotations = some(True), some(True)
        patch = metadata_patch(live, labels, annotations)
        after = merge_patch(live, {"metadata": patch})
        assert metadata_patch(after, labels, annotations) == {}
        for part, wanted in (("labels", labels), ("annotations", annotations)):
            before = live["metadata"][part] or {}
            kept = {name: value for name, value in before.items() if name not in wanted}
            asked = {name: value for name, value in wanted.items() if value is not None}
            assert (after["metadata"].get(part) or {}) == {**kept, **asked}
            # It holds what differs and no more.
            assert all(before.get(name) != value for name, value in patch.get(part, {}).items())


@pytest.mark.parametrize("live", [None, {}, {"metadata": {}}, {"metadata": {"labels": None}}])
def test_metadata_of_what_has_none(live: Any) -> None:
    assert metadata_patch(live, {"a": "1", "b": None}, {}) == {"labels": {"a": "1"}}
    assert metadata_patch(live, {}, {}) == {}


@pytest.mark.parametrize(
    ("option", "wanted"),
    [
        ("labels", {"env": "prod"}),
        ("labels", {"example.com/env": "a.b_c-d"}),
        ("labels", {"env": ""}),
        ("labels", {"env": None}),
        ("labels", {"from-values": "same"}),
        ("annotations", {"note": "Any text, of any length: " + "x" * 100}),
    ],
)
def test_metadata_that_can_be_set(option: str, wanted: dict[str, Any]) -> None:
    check_metadata(option, wanted, {"from-values": "same"})


@pytest.mark.parametrize(
    ("option", "wanted", "word"),
    [
        ("labels", {"cost-center": 42}, "string"),
        ("labels", {"env": True}, "string"),
        ("annotations", {"owners": ["a"]}, "string"),
        ("labels", {"env": "a b"}, "letters"),
        ("labels", {"env": "-a"}, "letters"),
        ("labels", {"env": "a" * 64}, "63"),
        ("labels", {"a b": "c"}, "name"),
        ("labels", {"/a": "c"}, "name"),
        ("annotations", {"a/b/c": "c"}, "name"),
        ("labels", {"app": "x"}, "sets it"),
        ("labels", {"release": "x"}, "sets it"),
        ("annotations", {"meta.helm.sh/release-name": "x"}, "sets it"),
        ("annotations", {well_known.PROTECTED: "true"}, "sets it"),
        ("annotations", {post_renderer.PAUSED: "true"}, "sets it"),
        ("annotations", {well_known.MANAGED: None}, "sets it"),
        ("labels", {"from-values": "other"}, "values set"),
        ("labels", {"from-values": None}, "values set"),
    ],
)
def test_metadata_that_is_refused_before_anything_is_done(option: str, wanted: dict[str, Any], word: str) -> None:
    with pytest.raises(OptionError) as caught:
        check_metadata(option, wanted, {"from-values": "same"})
    assert word in str(caught.value)
    assert str(caught.value).startswith(f"{option}: ")
    assert caught.value.data["option"] == option


# --- what is shown ----------------------------------------------------------------------------------------


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def secret(**data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "vc-config-demo"}, "data": data}


def test_secrets_are_masked_and_what_differs_is_marked() -> None:
    before = {SECRET: secret(same=encoded("hunter2"), other=encoded("hunter3"), gone=encoded("hunter4"))}
    after = {SECRET: secret(same=encoded("hunter2"), other=encoded("hunter5"), new=encoded("hunter6"))}
    assert yaml.safe_load(virtual_cluster_drift.show(before, after, "before"))["data"] == {
        "same": "***",
        "other": "*** (before)",
        "gone": "*** (before)",
    }
    assert yaml.safe_load(virtual_cluster_drift.show(after, before, "after"))["data"] == {
        "same": "***",
        "other": "*** (after)",
        "new": "*** (after)",
    }


@pytest.mark.parametrize("part", ["data", "stringData"])
def test_nothing_that_a_secret_holds_is_ever_shown(part: str) -> None:
    source = random.Random(5)
    for _each in range(50):
        words = [f"hunter{source.randint(10**6, 10**7)}" for _word in range(4)]
        before, after = (
            {SECRET: {**secret(), "data": None, part: {name: source.choice(words) for name in "abc"}}}
            for _side in range(2)
        )
        release = Release("demo", NAMESPACE, 1, "deployed", "vcluster", "0.36.1", {"password": words[0]}, "")
        entries = virtual_cluster_drift.release_diff(release, {"password": words[1]}, before, after, "demo")
        text = "".join(entry["before"] + entry["after"] for entry in entries)
        assert not [word for word in words if word in text]
        # Hidden, but not unseen.
        assert any("manifests" in entry["before_header"] for entry in entries) == (before != after)


def test_config_maps_are_shown() -> None:
    thing = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"b": "shown"}}
    assert "shown" in virtual_cluster_drift.show({("v1", "ConfigMap", NAMESPACE, "a"): thing}, {}, "before")


def test_objects_are_shown_in_a_fixed_order() -> None:
    things = {("v1", "Service", NAMESPACE, name): {"metadata": {"name": name}} for name in "cab"}
    backwards = dict(reversed(things.items()))
    assert virtual_cluster_drift.show(things, {}, "before") == virtual_cluster_drift.show(backwards, {}, "before")


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({}, {}, None),
        ({"a": 1}, {"a": 1}, None),
        ("same", "same", None),
        ("", {"a": 1}, ("", "a: 1\n")),
        ({"b": 1, "a": 2}, {}, ("a: 2\nb: 1\n", "")),
        ("x", "y", ("x", "y")),
    ],
)
def test_diff(before: Any, after: Any, expected: tuple[str, str] | None) -> None:
    entries = diff_entries(before, after, "thing")
    assert [(entry["before"], entry["after"]) for entry in entries] == ([expected] if expected else [])
    assert all(entry["before_header"] == entry["after_header"] == "thing" for entry in entries)


def test_a_new_release_is_shown_from_nothing() -> None:
    entries = virtual_cluster_drift.release_diff(None, {"a": 1}, {}, {STATEFUL_SET: stateful_set()}, "demo")
    assert [entry["before"] for entry in entries] == ["", ""]
    assert [entry["before_header"] for entry in entries] == ["values of demo", "manifests of demo"]


ORIGINS = {("a", "b"): "group", ("c",): "request", ("password",): "built-in"}


def values_of(deployed: dict[str, Any], wanted: dict[str, Any]) -> tuple[str, str]:
    """The values before and after, with ORIGINS."""
    release = Release("demo", NAMESPACE, 1, "deployed", "vcluster", "0.36.1", deployed, "")
    entries = virtual_cluster_drift.release_diff(release, wanted, {}, {}, "demo", ORIGINS)
    return (entries[0]["before"], entries[0]["after"]) if entries else ("", "")


def test_values_say_where_they_come_from() -> None:
    before, after = values_of({"c": 1}, {"a": {"b": 1}, "c": 2})
    assert before == "c: 1\n"
    assert after == "a:\n  b: 1  # group\nc: 2  # request\n"


def test_a_value_that_stays_is_no_difference() -> None:
    before, after = values_of({"a": {"b": 1}, "c": 1, "old": 0}, {"a": {"b": 1}, "c": 2})
    assert before == "a:\n  b: 1  # group\nc: 1\nold: 0\n"
    assert after == "a:\n  b: 1  # group\nc: 2  # request\n"
    assert values_of({"a": {"b": 1}}, {"a": {"b": 1}}) == ("", "")


def test_where_a_credential_comes_from_can_be_said() -> None:
    before, after = values_of({"password": "hunter2"}, {"password": "hunter3"})
    assert (before, after) == ("password: VALUE_HIDDEN\n", "password: VALUE_HIDDEN  # built-in\n")
    assert values_of({"password": "hunter2"}, {"password": "hunter2"}) == ("", "")


def test_new_and_vanished_values_with_origins() -> None:
    assert values_of({}, {"c": 1}) == ("", "c: 1  # request\n")
    assert values_of({"c": 1}, {}) == ("c: 1\n", "")
    (entry,) = virtual_cluster_drift.release_diff(None, {"c": 1}, {}, {}, "demo", ORIGINS)
    assert (entry["before"], entry["after"]) == ("", "c: 1  # request\n")


def test_a_plan_changes_something_if_it_has_a_step() -> None:
    assert not Plan().changed
    assert Plan([Change(ChangeKind.INSTALL, ChangeTarget("release", "demo"), {"version": "0.36.1"})]).changed
    assert Plan(complete=False).changed, "Helm has something to do"


def test_changes_are_compared_by_what_they_do() -> None:
    target = ChangeTarget("release", "demo")
    one = Change(ChangeKind.INSTALL, target, {"version": "0.36.1"}, ({"before": "a"},), lambda: None)
    assert one == Change(ChangeKind.INSTALL, target, {"version": "0.36.1"})
    assert one != Change(ChangeKind.INSTALL, target, {"version": "0.36.0"})
    assert one != Change(ChangeKind.UNINSTALL, target, {"version": "0.36.1"})
    assert one != Change(ChangeKind.INSTALL, ChangeTarget("release", "other"), {"version": "0.36.1"})


def test_plan_does_together_what_neighbors_share() -> None:
    done: list[str] = []

    def apply() -> None:
        done.append("both")

    target = ChangeTarget("virtual cluster", "demo")
    changes = [Change(ChangeKind.SET_METADATA, target, {"part": part}, apply=apply) for part in ("labels", "other")]
    alone = Change(ChangeKind.REUSE, ChangeTarget("volume claim", "x"), apply=lambda: done.append("alone"))
    Plan([Change(ChangeKind.GO_BACK, target), *changes, alone]).carry_out()
    assert done == ["both", "alone"]


@pytest.mark.parametrize("kind", ChangeKind)
def test_every_kind_has_a_sentence(kind: ChangeKind) -> None:
    details = dict.fromkeys(("part", "names", "version", "status", "revision", "kubernetes", "elsewhere"), "x")
    numbers = dict.fromkeys(("count", "replicas", "before", "after"), 1)
    text = Change(kind, ChangeTarget("object", "demo"), {**details, **numbers, "last": True}).text
    assert text
    assert "{" not in text
