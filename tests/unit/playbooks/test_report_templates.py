# SPDX-License-Identifier: GPL-3.0-or-later
"""The page's template escapes every value: Ansible's templates do not do it by themselves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import jinja2
import pytest
from jinja2 import nodes

TEMPLATE = Path(__file__).resolve().parents[3] / "playbooks/templates/report.html.j2"


def unescaped(text: str) -> Iterator[int]:
    """The lines that print something which is neither escaped nor made by a macro of the template itself."""
    tree = jinja2.Environment(trim_blocks=True).parse(text)
    macros = {macro.name for macro in tree.find_all(nodes.Macro)}
    for output in tree.find_all(nodes.Output):
        for part in output.nodes:
            escaped = isinstance(part, nodes.Filter) and part.name == "e"
            own = isinstance(part, nodes.Call) and isinstance(part.node, nodes.Name) and part.node.name in macros
            if not (escaped or own or isinstance(part, nodes.TemplateData)):
                yield part.lineno


def test_every_value_of_the_page_is_escaped() -> None:
    assert list(unescaped(TEMPLATE.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "text", ["{{ owner }}", "{{ owner | e | upper }}", "{{ owner | e ~ name }}", "{% if a %}{{ f(owner) }}{% endif %}"]
)
def test_value_that_is_not_escaped_is_found(text: str) -> None:
    assert list(unescaped(f"{{{{ name | e }}}}\n{text}")) == [2]
