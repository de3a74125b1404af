# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hold the rules of the house that no linter knows, by reading the source of plugins/ and running none of it."""

from __future__ import annotations

import ast
import configparser
import io
import re
import tokenize
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
PLUGINS = REPOSITORY / "plugins"
MODULE_UTILS = PLUGINS / "module_utils"
FILES = sorted(PLUGINS.rglob("*.py"))
ARCHITECTURE = REPOSITORY / "docs/architecture.md"

MOST_LINES = 350
MOST_PARAMETERS = 6
DOCUMENTATION = {"DOCUMENTATION", "EXAMPLES", "RETURN"}
# What Ansible looks for by its name, in each plugin.
PRESCRIBED = {"ActionModule", "FilterModule", "LookupModule", "ModuleDocFragment", "display", *DOCUMENTATION}

# Keys of labels, annotations and finalizers. API versions are no keys, nor are resources of an API.
KEY = re.compile(
    r"(?<![\w./-])"
    r"(?:(?:[a-z0-9-]+\.)*(?:loft\.sh|helm\.sh|kubernetes\.io|k8s\.io|x-k8s\.io|argoproj\.io|fluxcd\.io)|nested-clusters)"
    r"/(?!v\d)[a-z]"
)
WELL_KNOWN = "module_utils/common/well_known.py"
# A type of Secrets, and the controller of an IngressClass.
NO_KEYS = {"helm.sh/release.v1", "k8s.io/ingress-nginx"}

# Imports and calls that make a file impure; ``.importlinter`` forbids the imports to those that are listed there.
IMPURE_CALLS = {"open", "os.open", "datetime.now", "datetime.utcnow", "datetime.today", "date.today", "os.getenv"}
# Without any such import or call of its own: it asks a client that it is given, or has another file written by ours.
ASKS = {"admission.complete", "common.progress", "k8s.module", "lifecycle.export"}


@cache
def tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text())


def name_of(file: Path) -> str:
    return str(file.relative_to(PLUGINS))


def docstrings(node: ast.AST) -> Iterator[ast.Constant]:
    """The docstrings in a tree."""
    for one in ast.walk(node):
        if isinstance(one, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) and one.body:
            first = one.body[0]
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                yield first.value


def assigned(statement: ast.stmt) -> list[str]:
    """The names that a statement of a module defines."""
    targets: list[ast.expr] = []
    if isinstance(statement, ast.Assign):
        targets = statement.targets
    elif isinstance(statement, ast.AnnAssign):
        targets = [statement.target]
    return [one.id for target in targets for one in ast.walk(target) if isinstance(one, ast.Name)]


def is_documentation(statement: ast.stmt) -> bool:
    return bool(DOCUMENTATION & set(assigned(statement)))


def span(node: ast.stmt | ast.expr) -> range:
    return range(node.lineno, (node.end_lineno or node.lineno) + 1)


def lines_of_code(file: Path) -> int:
    """Lines without documentation, docstrings, comments and blank ones."""
    ignored = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    found: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(file.read_text()).readline):
        if token.type not in ignored:
            found.update(range(token.start[0], token.end[0] + 1))
    left_out = [span(one) for one in docstrings(tree(file))]
    left_out += [span(one) for one in tree(file).body if is_documentation(one)]
    return len(found.difference(*left_out))


def parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    """The parameters of a function but for self and cls."""
    given = function.args
    named = [one.arg for one in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
    more = [one.arg for one in (given.vararg, given.kwarg) if one]
    return [*(named[1:] if named[:1] in (["self"], ["cls"]) else named), *more]


def defined_twice(names: list[tuple[str, str]]) -> dict[str, list[str]]:
    """(name, file) of definitions to the files of each name that has several."""
    found: dict[str, list[str]] = defaultdict(list)
    for name, file in names:
        found[name].append(file)
    return {name: files for name, files in found.items() if len(files) > 1 and name not in PRESCRIBED}


def test_no_file_is_too_long() -> None:
    long = {name_of(file): lines_of_code(file) for file in FILES}
    assert not {name: count for name, count in long.items() if count > MOST_LINES}


def test_no_function_takes_too_much() -> None:
    found = {}
    for file in FILES:
        for node in ast.walk(tree(file)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and len(parameters(node)) > MOST_PARAMETERS:
                found[f"{name_of(file)}: {node.name}"] = parameters(node)
    assert not found


def test_a_class_name_stands_for_one_thing() -> None:
    classes = [
        (node.name, name_of(file)) for file in FILES for node in ast.walk(tree(file)) if isinstance(node, ast.ClassDef)
    ]
    assert not defined_twice(classes)


def test_a_constant_is_defined_once() -> None:
    constants = [
        (name, name_of(file)) for file in FILES for statement in tree(file).body for name in assigned(statement)
    ]
    assert not defined_twice(constants)


def test_well_known_keys_stand_in_one_file() -> None:
    found = []
    for file in FILES:
        left_out = {id(one) for one in docstrings(tree(file))}
        for statement in tree(file).body:
            if name_of(file) == WELL_KNOWN or is_documentation(statement) or "doc_fragments" in file.parts:
                continue
            for node in ast.walk(statement):
                if not (isinstance(node, ast.Constant) and isinstance(node.value, str)) or id(node) in left_out:
                    continue
                if KEY.search(node.value) and node.value not in NO_KEYS:
                    found.append(f"{name_of(file)}:{node.lineno}: {node.value}")
    assert not found


def packages() -> list[str]:
    """Return the packages of module_utils."""
    return sorted(file.parent.name for file in MODULE_UTILS.glob("*/__init__.py"))


def package_table() -> dict[str, str]:
    """Return the sentence that docs/architecture.md has for each package, in the order of the table."""
    return dict(re.findall(r"^\| `(\w+)` \| (.+?) \|$", ARCHITECTURE.read_text(), re.MULTILINE))


def test_package_table_names_every_package_in_the_order_of_layers() -> None:
    config = configparser.ConfigParser()
    config.read(REPOSITORY / ".importlinter")
    layers = config["importlinter:contract:layers"]["layers"].split()
    assert list(package_table()) == layers[::-1]
    assert sorted(package_table()) == packages()


@pytest.mark.parametrize("package", packages())
def test_package_has_its_job_in_one_sentence(package: str) -> None:
    text = package_table()[package]
    assert re.findall(r"[.!?](?=\s|$)", text) == ["."], text
    assert text.endswith(".")


def test_init_files_of_packages_are_empty() -> None:
    """Sanity of ansible-core 2.16 and 2.17 demands that (its test empty-init), and certification runs that of 2.16."""
    assert not [name_of(file) for file in MODULE_UTILS.rglob("__init__.py") if file.read_bytes()]


def test_file_tables_name_every_file_of_module_utils() -> None:
    listed = re.findall(r"^\| `(\w+/\w+\.py)` \|", ARCHITECTURE.read_text(), re.MULTILINE)
    files = [str(file.relative_to(MODULE_UTILS)) for file in MODULE_UTILS.glob("*/*.py") if file.name != "__init__.py"]
    assert sorted(listed) == sorted(files)


def test_map_for_contributors_names_paths_that_exist() -> None:
    text = (REPOSITORY / "docs/contributing.md").read_text()
    rows = re.findall(r"^\| .+ \| .+ \| .+ \|$", text.partition("## Where to change what")[2], re.MULTILINE)
    paths = [one for row in rows for one in re.findall(r"`([\w./]+/[\w./]+|\w+\.\w+)`", row) if "NAME" not in one]
    assert paths
    assert not [one for one in paths if not (REPOSITORY / one).exists() and not (MODULE_UTILS / one).exists()]


def imported_packages() -> dict[str, set[str]]:
    """Return the packages that each package imports, and those that the modules import."""
    found = {package: set[str]() for package in packages()}
    for file in MODULE_UTILS.glob("*/*.py"):
        names = {one.split(".")[0] for one in imports(file)}
        found[file.parent.name] |= names & found.keys() - {file.parent.name}
    modules = "\n".join(file.read_text() for file in (PLUGINS / "modules").glob("*.py"))
    found["modules"] = set(re.findall(r"plugins\.module_utils\.(\w+)", modules)) & found.keys()
    return found


def reached(package: str, arrows: dict[str, set[str]]) -> set[str]:
    """Return the packages to which the arrows of a package lead, directly or not."""
    return {other for one in arrows[package] for other in ({one} | reached(one, arrows))}


def test_package_picture_has_an_arrow_for_each_import_that_no_other_implies() -> None:
    """An arrow that follows from others is left out, so that the picture can be read."""
    arrows = imported_packages()
    expected = {
        (package, one)
        for package, found in arrows.items()
        for one in found
        if not any(one in reached(other, arrows) for other in found)
    }
    picture = re.findall(r"^    (\w+)(?:\[[^\]]*\])? --> (\w+)$", ARCHITECTURE.read_text(), re.MULTILINE)
    assert sorted(picture) == sorted(expected)


def test_packages_are_all_of_module_utils() -> None:
    """A file stands in a package, which has one job."""
    assert {file.name for file in MODULE_UTILS.glob("*.py")} == {"__init__.py"}


@cache
def contract() -> tuple[set[str], set[str]]:
    """(what only computes, what it may not import), as .importlinter lists them; modules of ours without the prefix."""
    config = configparser.ConfigParser()
    config.read(REPOSITORY / ".importlinter")
    prefix = f"{config['importlinter']['root_package']}."
    section = config["importlinter:contract:pure"]
    pure, forbidden = (section[key].split() for key in ("source_modules", "forbidden_modules"))
    return {one.removeprefix(prefix) for one in pure}, {one.removeprefix(prefix) for one in forbidden}


def module_of(file: Path) -> str:
    return ".".join(file.relative_to(MODULE_UTILS).with_suffix("").parts)


def imports(file: Path) -> set[str]:
    """What a file imports anywhere in it: modules of ours as PACKAGE.FILE, and others by their first name."""
    package, found = module_of(file).split(".", maxsplit=1)[0], set()
    for node in ast.walk(tree(file)):
        if isinstance(node, ast.Import):
            found |= {one.name.split(".")[0] for one in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level:
            base = ".".join(filter(None, [package if node.level == 1 else "", node.module]))
            found |= {base, *(f"{base}.{one.name}" for one in node.names)}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").split(".")[0])
    return found


def impure_calls(file: Path) -> set[str]:
    nodes = list(ast.walk(tree(file)))
    calls = {ast.unparse(one.func) for one in nodes if isinstance(one, ast.Call)} & IMPURE_CALLS
    names = {ast.unparse(one) for one in nodes if isinstance(one, ast.Attribute)}
    return calls | (names & {"os.environ", "sys.stdin", "sys.stdout"})


def test_what_only_computes_is_listed() -> None:
    """The contract of .importlinter names all files that ask nobody, and these have no other way to do so."""
    listed, forbidden = contract()
    asking: set[str] = set()
    computing: set[str] = set()
    for file in MODULE_UTILS.rglob("*.py"):
        if file.name == "__init__.py":
            continue
        module = module_of(file)
        asks = imports(file) & forbidden or impure_calls(file) or module in ASKS
        (asking if asks else computing).add(module)
    packages = {one for one in listed if "." not in one}
    assert not {one for one in asking if one in listed or one.split(".")[0] in packages}
    assert not {one for one in computing if one not in listed and one.split(".")[0] not in packages}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("loft.sh/paused", True),
        ("vcluster.loft.sh/created", True),
        ("nested-clusters/owner", True),
        ("!app.kubernetes.io/managed-by", True),
        ("label meta.helm.sh/release-name=", True),
        ("rbac.authorization.k8s.io/v1", False),
        ("networking.k8s.io/v1", False),
        ("https://charts.loft.sh", False),
        ("https://helm.sh/docs/intro/install", False),
        ("nested-clusters", False),
    ],
)
def test_keys_are_told_from_other_texts(text: str, found: bool) -> None:
    assert bool(KEY.search(text)) is found
