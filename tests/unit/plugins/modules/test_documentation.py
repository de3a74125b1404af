# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of the documentation of all modules and filters, against their code, meta/runtime.yml and the README."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

Object = dict[str, Any]

REPOSITORY = Path(__file__).resolve().parents[4]
COLLECTION = "ansible_collections.nested.clusters.plugins"
NAMES = sorted(file.stem for file in (REPOSITORY / "plugins/modules").glob("*.py") if file.stem != "__init__")
FILTERS = sorted(file.stem for file in (REPOSITORY / "plugins/filter").glob("*.yml"))
INTERNAL_FILTERS = {"address_pool_problems": "roles", "nginx_controllers": "roles", "module_options": "playbooks"}
RUNTIME = yaml.safe_load((REPOSITORY / "meta/runtime.yml").read_text())
DEPRECATED = set(RUNTIME["plugin_routing"]["modules"])
# What a native technical writer would not say; see Ansible's style guide.
PRIVATE_WORDS = re.compile(r"\b(shall|anew|licen[c]e[sd]?|somebody|whoever|whatsoever|told|at rest|way back)\b")


def module(name: str) -> ModuleType:
    return importlib.import_module(f"{COLLECTION}.modules.{name}")


def documentation(name: str) -> Object:
    found: Object = yaml.safe_load(module(name).DOCUMENTATION)
    return found


def returned(name: str) -> Object:
    found: Object = yaml.safe_load(module(name).RETURN)
    return found


def filter_page(name: str) -> Object:
    found: Object = yaml.safe_load((REPOSITORY / f"plugins/filter/{name}.yml").read_text())
    return found


def fragment(name: str) -> Object:
    """What a documentation fragment of ours adds, such as nested.clusters.host_clusters.members."""
    parts = name.removeprefix("nested.clusters.").split(".")
    assert name.startswith("nested.clusters."), f"{name} is not there where Galaxy reads the documentation"
    source = importlib.import_module(f"{COLLECTION}.doc_fragments.{parts[0]}").ModuleDocFragment
    text = getattr(source, parts[1].upper() if len(parts) > 1 else "DOCUMENTATION")
    found: Object = yaml.safe_load(text)
    return found


def options(name: str) -> Object:
    """All documented options of a module."""
    page = documentation(name)
    found: Object = {}
    for one in [page, *(fragment(part) for part in page["extends_documentation_fragment"])]:
        assert found.keys().isdisjoint(one.get("options") or {})
        found.update(one.get("options") or {})
    return found


@pytest.mark.parametrize("name", NAMES)
def test_requirements_of_module_are_those_of_requirements_txt(name: str) -> None:
    page = documentation(name)
    pages = [page, *(fragment(part) for part in page["extends_documentation_fragment"])]
    stated = [one.replace(" ", "") for found in pages for one in found.get("requirements") or []]
    packages = [one for one in stated if not one.startswith(("python>", "helm>"))]
    lines = (REPOSITORY / "requirements.txt").read_text().splitlines()
    assert packages == [line for line in lines if line[:1].isalpha()]


def facts(given: Object) -> Object:
    """What a program reads of options: all but their texts."""
    return {
        name: {
            "type": option.get("type", "str"),
            "elements": option.get("elements"),
            "default": option.get("default"),
            "required": option.get("required", False),
            "choices": option.get("choices"),
            "aliases": sorted(option.get("aliases") or []),
            "options": facts(option.get("suboptions") or option.get("options") or {}),
        }
        for name, option in given.items()
    }


def walk(given: Object, path: str = "") -> Iterator[tuple[str, Object]]:
    """Yield every return value with its path, those in others included."""
    for name, value in given.items():
        yield f"{path}{name}", value
        yield from walk(value.get("contains") or {}, f"{path}{name}.")


def walk_options(given: Object, path: str = "") -> Iterator[tuple[str, Object]]:
    for name, option in given.items():
        yield f"{path}{name}", option
        yield from walk_options(option.get("suboptions") or {}, f"{path}{name}.")


def texts(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            if key not in ("sample", "default", "choices"):
                yield from texts(value)
    elif isinstance(node, list):
        for item in node:
            yield from texts(item)
    elif isinstance(node, str):
        yield node


def which_module() -> dict[str, str]:
    """The table of the README: what to do, by module."""
    text = (REPOSITORY / "README.md").read_text()
    section = text.partition("### Which module do I use?\n")[2].partition("\n#")[0]
    rows = re.findall(r"^\| (.+) \| `nested\.clusters\.(\w+)` \|$", section, re.MULTILINE)
    return {name: what for what, name in rows}


@pytest.mark.parametrize("name", NAMES)
def test_options_are_documented_as_they_are(name: str) -> None:
    assert facts(options(name)) == facts(module(name).argument_spec())


@pytest.mark.parametrize("name", NAMES)
def test_every_option_has_a_text_that_says_its_default(name: str) -> None:
    """One without a default in its specification is required, or says in words what happens without it."""
    says = re.compile(r"default|By default|[Rr]equired|Defaults to")
    for path, option in walk_options({key: options(name)[key] for key in documentation(name).get("options") or {}}):
        text = " ".join(texts(option["description"]))
        assert text, path
        silent = option.get("default") is None and not option.get("required") and option.get("type") != "dict"
        inside = path.rpartition(".")[2] in ("cpu", "memory", "storage", "virtual_clusters", "type", "client_id")
        if silent and not inside and path not in ("backing_store.type", "oidc.issuer_url"):
            assert says.search(text), path


@pytest.mark.parametrize("name", NAMES)
def test_examples_are_tasks_that_the_module_takes(name: str) -> None:
    tasks = yaml.safe_load(module(name).EXAMPLES)
    validator = ArgumentSpecValidator(module(name).argument_spec())
    own = [task for task in tasks if f"nested.clusters.{name}" in task and "{{" not in str(task)]
    assert own
    for task in own:
        assert task["name"][0].isupper()
        assert validator.validate(task[f"nested.clusters.{name}"] or {}).error_messages == []


@pytest.mark.parametrize("name", NAMES)
def test_return_values_that_are_dictionaries_have_contents(name: str) -> None:
    for path, value in walk(returned(name)):
        assert value.keys() >= {"description", "type", "returned"}, path
        if value["type"] == "dict" or value.get("elements") == "dict":
            assert value.get("contains"), path
        else:
            assert "sample" in value, path


@pytest.mark.parametrize("name", FILTERS)
def test_return_values_of_filters_that_are_dictionaries_have_contents(name: str) -> None:
    page = filter_page(name)["RETURN"]
    for path, value in walk(page["_value"].get("contains") or {}):
        assert value.keys() >= {"description", "type", "returned", "sample"}, path
    for path, value in walk(page):
        if value["type"] == "dict" or value.get("elements") == "dict":
            assert value.get("contains"), path


@pytest.mark.parametrize("name", NAMES)
def test_texts_use_the_words_of_a_technical_writer(name: str) -> None:
    pages = [documentation(name), returned(name), yaml.safe_load(module(name).EXAMPLES)]
    pages += [fragment(part) for part in documentation(name)["extends_documentation_fragment"]]
    for text in texts(pages):
        assert not PRIVATE_WORDS.search(text), text


def test_the_readme_uses_the_words_of_a_technical_writer() -> None:
    for line in (REPOSITORY / "README.md").read_text().splitlines():
        assert not PRIVATE_WORDS.search(line), line


@pytest.mark.parametrize("name", FILTERS)
def test_texts_of_filters_use_the_words_of_a_technical_writer(name: str) -> None:
    for text in texts(filter_page(name)):
        assert not PRIVATE_WORDS.search(text), text


def test_the_readme_names_each_module_once() -> None:
    assert which_module().keys() == set(NAMES) - DEPRECATED


@pytest.mark.parametrize("name", NAMES)
def test_related_modules_are_described_as_in_the_readme(name: str) -> None:
    table = which_module()
    related = {entry["module"].removeprefix("nested.clusters."): entry for entry in documentation(name)["seealso"]}
    assert related
    assert name not in related
    for other, entry in related.items():
        assert entry["description"] == f"{table[other]}.", other


@pytest.mark.parametrize("name", NAMES)
def test_each_module_has_an_action_and_is_in_the_action_group(name: str) -> None:
    assert name in RUNTIME["action_groups"]["all"]
    assert "nested.clusters.attributes.action_group" in documentation(name)["extends_documentation_fragment"]
    action = importlib.import_module(f"{COLLECTION}.action.{name}")
    assert action.ActionModule.module is module(name)


def test_the_action_group_has_no_other_member() -> None:
    assert RUNTIME["action_groups"]["all"] == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_deprecations_agree_with_those_at_run_time(name: str) -> None:
    routing = (RUNTIME["plugin_routing"]["modules"].get(name) or {}).get("deprecation")
    documented = documentation(name).get("deprecated")
    assert bool(routing) == bool(documented)
    if routing and documented:
        assert str(routing["removal_version"]) == documented["removed_in"]
        named = re.findall(r"nested\.clusters\.(\w+)", routing["warning_text"])
        assert sorted(named) == sorted(re.findall(r"M\(nested\.clusters\.(\w+)\)", documented["alternative"]))
        assert set(named) <= set(NAMES) - DEPRECATED


def test_filters_for_roles_and_playbooks_are_marked_as_internal() -> None:
    for name in FILTERS:
        page = filter_page(name)["DOCUMENTATION"]
        users = INTERNAL_FILTERS.get(name)
        warned = re.match(r"For the (\w+) of this collection\. May change without notice", page["description"][0])
        assert (warned and warned[1]) == users
        assert page["short_description"].startswith("(internal) ") == bool(users)


def test_only_the_frame_of_a_module_ends_the_process() -> None:
    """Modules return a result; what a task prints, and how it fails, is written once."""
    users = [
        str(file.relative_to(REPOSITORY))
        for file in (REPOSITORY / "plugins").rglob("*.py")
        if re.search(r"\b(exit_json|fail_json)\(", file.read_text())
    ]
    assert users == ["plugins/module_utils/k8s/module.py"]
