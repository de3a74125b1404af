# SPDX-License-Identifier: GPL-3.0-or-later
"""What playbooks take for a selection, and what they refuse because it is none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from playing import REPOSITORY, Playbooks

NEAR_MISSES = yaml.safe_load((REPOSITORY / "playbooks/tasks/near_misses.yml").read_text())[0]["vars"]["near_misses"]


@pytest.fixture
def playbooks(tmp_path: Path) -> Playbooks:
    return Playbooks(tmp_path)


def survey(verb: str) -> dict[str, Any]:
    """What AWX sends for a survey that is left blank."""
    templates = yaml.safe_load((REPOSITORY / "examples/awx/job_templates.yml").read_text())["controller_templates"]
    (spec,) = (one["survey_spec"]["spec"] for one in templates if Path(one["playbook"]).stem == verb)
    return {question["variable"]: question["default"] for question in spec}


@pytest.mark.parametrize("verb", ["pause", "resume", "delete", "resize"])
def test_group_or_phases_alone_select_nothing(verb: str, playbooks: Playbooks) -> None:
    asked = {**survey(verb), "group": "dev"}
    assert (asked["all"], asked["max_selected"]) == ("false", 10)
    said = playbooks.refused(verb, asked, *(["--check"] if verb == "delete" else []))
    assert "give names, owner or selector, or all=true for every one of group dev" in said
    assert "a group or phases alone select nothing. Nothing was changed." in said


def test_selection_of_a_whole_group_reaches_the_module(playbooks: Playbooks) -> None:
    played = playbooks.run("pause resume delete", {"group": "dev", "all": "true", "max_selected": "5"})
    assert played.rc == 0, played.said
    for (module, options), state in zip(played.options, ("paused", "running", "absent"), strict=True):
        assert module == "vcluster_state"
        assert options == {"group": "dev", "all": "true", "max_selected": "5", "state": state}
    resized = playbooks.run("resize", {"group": "dev", "all": True, "max_selected": 2, "memory": "8Gi"})
    assert [one["name"] for one in resized.only("vcluster_fleet")["virtual_clusters"]] == ["v1", "v2"]


def test_resize_of_more_than_max_selected_is_refused(playbooks: Playbooks) -> None:
    for arguments in ((), ("--check",)):
        played = playbooks.run("resize", {"group": "dev", "all": True, "max_selected": "1", "cpu": "4"}, *arguments)
        assert played.rc == 2
        assert "max_selected: 1 is not usable: 2 virtual clusters are selected" in " ".join(played.said.split())
        assert [task["module"] for task in played.tasks] == ["vcluster_info"]


def test_variable_name_counts_as_names(playbooks: Playbooks) -> None:
    played = playbooks.run("delete orphans", {"name": "v1, v2", "remove": "true"})
    assert played.rc == 0, played.said
    assert [options["names"] for _module, options in played.options] == [["v1", "v2"], ["v1", "v2"]]
    resized = playbooks.run("resize", {"group": "dev", "name": "v2", "cpu": 3})
    assert [one["name"] for one in resized.only("vcluster_fleet")["virtual_clusters"]] == ["v2"]


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        (
            {"name": "a", "names": "b", "all": True, "max_selected": 0},
            [
                "name and names mean the same: set only one of them",
                "names and all=true exclude each other: set only one of them",
                "max_selected: 0 is not usable; allowed: 1 or more",
            ],
        ),
        (
            {"owner": "alice", "names": [], "selector": [], "phases": " , "},
            ["names is given and empty", "selector is given and empty", "phases is given and empty"],
        ),
        ({"selector": ["env=ci", " "]}, ["selector is given and empty"]),
        ({"owner": "alice", "names": "{{ nowhere }}"}, ["'nowhere' is undefined"]),
        ({"names": "v1", "host_clusters": "{{ nowhere }}"}, ["'nowhere' is undefined"]),
        ({"names": "v1", "group": "{{ nowhere }}"}, ["'nowhere' is undefined"]),
        ({"owner": "alice", "phases": "{{ nowhere }}"}, ["'nowhere' is undefined"]),
        ({"all": True, "owner": "{{ nowhere }}"}, ["'nowhere' is undefined"]),
        ({"all": True, "max_selected": "{{ nowhere }}"}, ["'nowhere' is undefined"]),
    ],
    ids=["contradictions", "empty", "blank", "names", "host_clusters", "group", "phases", "owner", "max_selected"],
)
def test_contradictory_selection_is_refused(extra: dict[str, Any], words: list[str], playbooks: Playbooks) -> None:
    said = playbooks.refused("pause", extra)
    for word in words:
        assert word in said


def test_near_miss_beside_a_selection_is_refused_by_name(playbooks: Playbooks) -> None:
    """Beside a selection that is none the less much more than was meant."""
    takes = {"names", "group", "owner", "selector", "phases", "all", "max_selected", "host_clusters"}
    wrong = dict.fromkeys(NEAR_MISSES.keys() - takes, "x")
    assert {"label", "labels", "label_selectors", "virtual_clusters", "host_cluster", "phase"} <= wrong.keys()
    said = playbooks.refused("delete", {"owner": "alice", **wrong})
    for name in wrong:
        meant = NEAR_MISSES[name]["use"]
        advice = f": use {meant}" if meant in takes else ", and would select nothing: leave it out"
        assert f"{name} is no variable of this playbook{advice}" in said


@pytest.mark.parametrize(
    ("verb", "extra", "words"),
    [
        ("update", {"group": "dev", "names": "v1"}, "names is no variable of this playbook"),
        ("upgrade", {"group": "dev", "selector": "env=ci"}, "selector is no variable of this playbook"),
        ("upgrade", {"group": "dev", "name": "v1"}, "name is no variable of this playbook, which is"),
        ("orphans", {"remove": True, "group": "dev"}, "group is no variable of this playbook"),
        ("delete", {"owner": "alice", "namespace": "x"}, "namespace is no variable of this playbook"),
        ("orphans", {"remove": True, "namespace": "x"}, "namespace is no variable of this playbook: use namespaces"),
        ("orphans", {"remove": True, "kind": "volumes"}, "kind is no variable of this playbook: use kinds"),
    ],
)
def test_variable_that_would_narrow_nothing_is_refused(
    verb: str, extra: dict[str, Any], words: str, playbooks: Playbooks
) -> None:
    assert words in playbooks.refused(verb, extra)


def test_near_miss_of_an_inventory_is_ignored(playbooks: Playbooks, tmp_path: Path) -> None:
    """So may the list of an environment, whose file names the group. What an importing one says is for it."""
    variables = dict.fromkeys(NEAR_MISSES, "x") | {"owner": "alice", "names": None, "selector": None, "all": None}
    inventory = {"all": {"hosts": {"localhost": {"ansible_connection": "local", **variables, "max_selected": 3}}}}
    (tmp_path / "inventory.yml").write_text(yaml.safe_dump(inventory))
    asked = {"group": "dev", "phases": "paused", "virtual_clusters": [{"name": "v1"}]}
    played = playbooks.run("resume", asked, "-i", str(tmp_path / "inventory.yml"))
    assert played.rc == 0, played.said
    told = played.only("vcluster_state")
    assert int(told.pop("max_selected")) == 3  # before 2.19 a template makes it a text
    assert told == {"group": "dev", "owner": "alice", "phases": ["paused"], "state": "running"}
    outer = {"ansible.builtin.import_playbook": "nested.clusters.delete", "vars": {"owner": "alice", "label": "env=ci"}}
    (tmp_path / "outer.yml").write_text(yaml.safe_dump([outer]))
    said = playbooks.refused(str(tmp_path / "outer.yml"), {}, "-i", str(tmp_path / "inventory.yml"))
    assert "label is no variable of this playbook: use selector" in said
    assert "labels is no variable" not in said


def test_teardown_with_a_selection_is_refused(playbooks: Playbooks, tmp_path: Path) -> None:
    """It would be one of all."""
    file = tmp_path / "dev.yml"
    dev = {"group": "dev", "host_clusters": [{"name": "a"}], "virtual_clusters": [{"name": "v1"}]}
    file.write_text(yaml.safe_dump(dev))
    of_some = dict.fromkeys(("names", "selector", "label", "owner", "phases", "namespace"), "v1")
    for extra in (of_some, {"name": "v1"}):
        said = playbooks.refused("teardown", {"environment_file": str(file), **extra})
        assert [key for key in extra if f"{key} is no variable of this playbook" not in said] == []
    whole = playbooks.run("teardown", {"environment_file": str(file)})
    assert whole.rc == 0, whole.said
    assert whole.only("vcluster_state")["all"] is True
