# SPDX-License-Identifier: GPL-3.0-or-later
"""A playbook variable that is null or an empty text counts as not given: AWX sends one of them for a blank answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from playing import REPOSITORY, Playbooks

# What these playbooks need, and what else they take. The others need a file, and take what is in that.
SELECTING = "name owner group selector phases all max_selected host_clusters"
GIVEN: dict[str, tuple[dict[str, Any], str]] = {
    "pause": ({"names": "v1"}, f"{SELECTING} at_once accept_data_loss wait_timeout"),
    "resume": ({"names": "v1"}, f"{SELECTING} at_once wait_timeout"),
    "delete": ({"names": "v1"}, f"{SELECTING} keep_volumes wait_timeout"),
    "orphans": ({}, "remove names name namespaces kinds older_than kept_volumes host_clusters"),
    "report": ({}, "group host_clusters report_path"),
    "resize": (
        {"group": "dev", "all": True, "memory": "8Gi"},
        "names name owner selector phases max_selected cpu storage force host_clusters chart_ref",
    ),
    "update": ({"group": "dev"}, "host_clusters chart_ref"),
    "upgrade": ({"group": "dev"}, "vcluster_version canary batch wait_timeout host_clusters chart_ref"),
    "create": (
        {"virtual_cluster": "v1"},
        "group owner host_cluster cpu memory storage vcluster_version kubernetes_version protected chart_ref"
        " wait_timeout vcluster_values kubeconfig_path host_clusters",
    ),
}
# Together in one process, because that costs the most.
TOGETHER = ["pause resume delete", "orphans report", "resize", "update upgrade", "create"]
NO_GROUP: dict[str, Any] = {"vcluster_group_info": {"groups": []}}


@pytest.fixture
def playbooks(tmp_path: Path) -> Playbooks:
    return Playbooks(tmp_path)


def test_variables_of_this_table_are_those_of_the_playbooks() -> None:
    """All that a survey asks for is among them; the table is held to the texts of the playbooks."""
    templates = yaml.safe_load((REPOSITORY / "examples/awx/job_templates.yml").read_text())["controller_templates"]
    surveys = {Path(one["playbook"]).stem: one["survey_spec"]["spec"] for one in templates}
    assert surveys.keys() == GIVEN.keys() | {"environment"}
    assert sorted(" ".join(TOGETHER).split()) == sorted(GIVEN)
    for verb, (needed, more) in GIVEN.items():
        for question in surveys[verb]:
            assert question["variable"] in {*needed, *more.split()}, (verb, question["variable"])
        text = (REPOSITORY / f"playbooks/{verb}.yml").read_text().partition("\n- name:")[0]
        for name in (*needed, *more.split()):
            assert name in text, f"the header of {verb} does not say {name}"


@pytest.mark.parametrize("verbs", TOGETHER)
def test_variable_that_is_null_or_empty_counts_as_not_set(verbs: str, playbooks: Playbooks) -> None:
    """Every module gets what it gets without them. Host clusters are a list also where they are given as text."""
    needed = {name: value for verb in verbs.split() for name, value in GIVEN[verb][0].items()}
    optional = {name for verb in verbs.split() for name in GIVEN[verb][1].split()} - needed.keys()
    answers = NO_GROUP if "report" in verbs else {}
    clusters = [{"name": "host-a", "context": "a"}]
    expected = playbooks.run(verbs, {**needed, "host_clusters": yaml.safe_dump(clusters)}, answers=answers)
    assert expected.rc == 0, expected.said
    assert expected.tasks
    for _module, options in expected.options:
        assert options.pop("host_clusters") == clusters
    for blank in (None, ""):
        played = playbooks.run(verbs, {**dict.fromkeys(optional, blank), **needed}, answers=answers)
        assert played.rc == 0, played.said
        assert played.tasks == expected.tasks


def test_relative_path_of_a_connection_starts_from_the_current_directory(
    playbooks: Playbooks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A module would start from the directory of the playbook, which is inside of the installed collection."""
    monkeypatch.chdir(tmp_path)
    told = {"host_clusters": [{"name": "a", "kubeconfig": "a.yml", "context": "a"}], "kubeconfig_path": "out/v1"}
    options = playbooks.run("create", {**told, "virtual_cluster": "v1"}).only("vcluster")
    assert options["host_clusters"] == [{"name": "a", "kubeconfig": f"{tmp_path}/a.yml", "context": "a"}]
    assert options["export_kubeconfig"] == {"path": f"{tmp_path}/out/v1"}


@pytest.mark.parametrize("wrong", ["a", [1], [{"name": "a", "kubeconfig": "apiVersion: v1\nkind: Config"}], {"a": 1}])
def test_host_clusters_that_are_no_list_of_connections_reach_the_module(wrong: Any, playbooks: Playbooks) -> None:
    options = playbooks.run("report", {"host_clusters": wrong}, answers=NO_GROUP).only("vcluster_group_info")
    assert options["host_clusters"] == wrong


@pytest.mark.parametrize(
    ("verb", "extra", "words"),
    [
        ("create", {"virtual_cluster": ""}, "virtual_cluster is not given"),
        ("update", {"group": ""}, "group is not given"),
        ("upgrade", {"group": None}, "group is not given"),
        ("resize", {"group": "", "names": "v1", "cpu": 1}, "Say which cluster group"),
    ],
)
def test_required_variable_that_is_blank_is_refused(
    verb: str, extra: dict[str, Any], words: str, playbooks: Playbooks
) -> None:
    assert words in playbooks.refused(verb, extra)


@pytest.mark.parametrize("batch", ["many", 0])
def test_impossible_batch_is_refused_before_the_lock_moves(batch: str | int, playbooks: Playbooks) -> None:
    assert f"batch: {batch} is not usable" in playbooks.refused("upgrade", {"group": "dev", "batch": batch})


def test_canary_that_does_not_exist_is_refused(playbooks: Playbooks) -> None:
    played = playbooks.run("upgrade", {"group": "dev", "canary": "v3"})
    assert played.rc == 2
    assert "canary: v3 is not usable: there is none of this name in group dev; allowed: v1, v2" in played.said
    assert [task["module"] for task in played.tasks] == ["vcluster_group_info"]


@pytest.mark.parametrize("blank", [None, ""])
def test_environment_without_a_group_is_refused(blank: str | None, playbooks: Playbooks, tmp_path: Path) -> None:
    """Without one, what a teardown deletes would be all there is."""
    told = {"group": blank, "host_clusters": [{"name": "a"}], "virtual_clusters": [{"name": "v1"}]}
    (tmp_path / "dev.yml").write_text(yaml.safe_dump(told))
    for verb in ("teardown", "environment"):
        said = playbooks.refused(verb, {"environment_file": str(tmp_path / "dev.yml")})
        assert "The environment cannot be: missing required arguments: group" in said


def test_blank_in_the_file_of_an_environment_counts_as_not_set(playbooks: Playbooks, tmp_path: Path) -> None:
    told = {"group": "dev", "host_clusters": [{"name": "a"}], "virtual_clusters": [{"name": "v1"}]}
    blank = {"prune": None, "keep_volumes": "", "at_once": "", "host_settings": "", "kubeconfig_directory": None}
    (tmp_path / "dev.yml").write_text(yaml.safe_dump({**told, **blank, "group_settings": None}))
    answers: dict[str, Any] = {"vcluster_group": {"steps": []}, "vcluster_fleet": {"virtual_clusters": []}}
    played = playbooks.run("environment", {"environment_file": str(tmp_path / "dev.yml")}, answers=answers)
    assert played.rc == 0, played.said
    clusters = {"host_clusters": told["host_clusters"]}
    assert played.only("vcluster_fleet") == {"group": "dev", "virtual_clusters": told["virtual_clusters"], **clusters}
