# SPDX-License-Identifier: GPL-3.0-or-later
"""The examples for AWX, held to the playbooks and to the modules of awx.awx; the execution environment's definition."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

REPOSITORY = Path(__file__).resolve().parents[3]
AWX = REPOSITORY / "examples/awx"
PLAYBOOKS = REPOSITORY / "playbooks"
MODULES = Path(sys.prefix) / "ansible_collections/awx/awx/plugins/modules"
TEMPLATES: list[dict[str, Any]] = yaml.safe_load((AWX / "job_templates.yml").read_text())["controller_templates"]
TYPES = {"text", "textarea", "password", "integer", "float", "multiplechoice", "multiselect"}

each_template = pytest.mark.parametrize("template", TEMPLATES, ids=lambda template: template["playbook"])


def options_of(module: str) -> dict[str, Any]:
    """The documented options of a module of awx.awx."""
    tree = ast.parse((MODULES / f"{module}.py").read_text())
    texts = [
        node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        and isinstance(node.value, ast.Constant)
        and getattr(node.targets[0], "id", "") == "DOCUMENTATION"
    ]
    found: dict[str, Any] = yaml.safe_load(str(texts[0]))["options"]
    return found


def verb_of(template: dict[str, Any]) -> str:
    """The playbook of the collection that a template runs."""
    (play,) = yaml.safe_load((AWX / template["playbook"]).read_text())
    return str(play["ansible.builtin.import_playbook"]).removeprefix("nested.clusters.")


@each_template
def test_job_template_has_only_options_of_awx(template: dict[str, Any]) -> None:
    options = options_of("job_template")
    python = {"str": str, "bool": bool, "list": list, "dict": dict, "int": int}
    for name, value in template.items():
        assert isinstance(value, python[options[name].get("type", "str")]), name
        assert value in options[name].get("choices", [value])


@each_template
def test_survey_of_a_template_asks_only_for_variables_of_its_playbook(template: dict[str, Any]) -> None:
    verb = verb_of(template)
    read = set()
    for name in (f"{verb}.yml", "tasks/environment.yml", "vars/options.yml"):
        text = (PLAYBOOKS / name).read_text()
        code = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
        read |= set(re.findall(r"[a-z_]+", code))
    spec = template["survey_spec"]["spec"]
    asked = [question["variable"] for question in spec]
    assert len(asked) == len(set(asked))
    assert not set(asked) - read
    for question in spec:
        assert question["type"] in TYPES
        if question["type"] == "multiplechoice":
            assert question["default"] in question["choices"]


def test_every_playbook_has_a_job_template() -> None:
    verbs = {path.stem for path in PLAYBOOKS.glob("*.yml")} - {"teardown"}
    assert {verb_of(template) for template in TEMPLATES} == verbs


def test_configuration_of_awx_has_only_options_of_awx() -> None:
    (play,) = yaml.safe_load((AWX / "configure.yml").read_text())
    modules = [(name, options) for task in play["tasks"] for name, options in task.items() if name.startswith("awx.")]
    assert len(modules) == 6
    for name, options in modules:
        assert not set(options) - set(options_of(name.removeprefix("awx.awx."))), name
    assert set(options) == set(TEMPLATES[0])  # the job templates, with all that is said of them


def test_ansible_builder_finds_requirements_of_the_collection(tmp_path: Path) -> None:
    collection = tmp_path / "ansible_collections/nested/clusters"
    collection.mkdir(parents=True)
    for name in ("meta", "requirements.txt", "galaxy.yml"):
        (collection / name).symlink_to(REPOSITORY / name)
    builder = Path(sys.prefix) / "bin/ansible-builder"
    done = subprocess.run([str(builder), "introspect", str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = yaml.safe_load(done.stdout)
    wanted = [line for line in (REPOSITORY / "requirements.txt").read_text().splitlines() if line[:1].isalpha()]
    # PyYAML comes with ansible-core, so it is left out.
    said = [line.split("  #")[0].replace(" ", "") for line in found["python"]]
    assert said == [line.replace(" ", "") for line in wanted if not line.lower().startswith("pyyaml")]
    for line in (REPOSITORY / "meta/ee-bindep.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            assert line.split()[0] in done.stdout


def test_example_of_an_execution_environment_has_the_version_of_our_own() -> None:
    own, example = (
        yaml.safe_load(path.read_text())
        for path in (REPOSITORY / "meta/execution-environment.yml", AWX / "execution-environment.yml")
    )
    assert own["version"] == example["version"] == 3
    assert {"name": "nested.clusters"} in example["dependencies"]["galaxy"]["collections"]
