# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""YAML in and out. YAMLError is what reading raises."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import IO, Any

try:
    import yaml

    # A release's manifest parses ten times faster in C.
    _Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    YAMLError: type[Exception] = yaml.YAMLError
except ImportError:  # reported by k8s/client.py before anything is asked
    YAMLError = ValueError

# Those that plain scalars have of themselves.
_TAGS = {f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null", "timestamp", "merge", "value")}
# What some take for another type, although PyYAML does not; every number begins with no letter.
_NO_TEXT = re.compile(r"[^a-z].*|y|n", re.IGNORECASE | re.DOTALL)


def load(text: str | bytes | IO[bytes]) -> Any:
    """Return the one document of a text or file."""
    return yaml.load(text, Loader=_Loader)


def load_all(text: str) -> Iterator[Any]:
    """Return the documents of a text."""
    return iter(yaml.load_all(text, Loader=_Loader))


def compose_all(text: str) -> Iterator[Any]:
    """Return the documents of a text as nodes, whose scalars are the text that is there; see :func:`entries`."""
    return iter(yaml.compose_all(text, Loader=_Loader))


def is_mapping(node: Any) -> bool:
    return isinstance(node, yaml.MappingNode)


def entries(mapping: Any) -> dict[str, Any]:
    """Return the nodes of a mapping by name. Raises ValueError for what parsers read in different ways."""
    found: dict[str, Any] = {}
    for key, value in mapping.value:
        name = scalar(key)
        if name == "<<" or name in found:
            raise ValueError(f"line {key.start_mark.line + 1}: '{name}' is merged, or there twice")
        found[name] = value
    return found


def items(node: Any) -> list[Any]:
    """Return the nodes of a list, none of anything else."""
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


def scalar(node: Any) -> str:
    """Return the text of a node, "" where it is none. Raises ValueError for a tag that can make another text of it."""
    if not isinstance(node, yaml.ScalarNode):
        return ""
    if node.tag not in _TAGS:
        raise ValueError(f"line {node.start_mark.line + 1}: tag {node.tag}")
    return str(node.value)


def is_text(node: Any) -> bool:
    """Return whether a scalar is text to every parser: in quotes, or not like a number, a truth value or null."""
    if node.tag != "tag:yaml.org,2002:str":
        return False
    return bool(node.style) or not _NO_TEXT.fullmatch(node.value)


def dump(data: Any) -> str:
    """Return data as block-style YAML with sorted keys."""
    return str(yaml.safe_dump(data, sort_keys=True, default_flow_style=False))


def dump_commented(data: Any, comments: Mapping[tuple[str, ...], str], at: tuple[str, ...] = ()) -> str:
    """Dump as ``dump`` does, with the comment of each path: ``size: 1Gi  # built-in``."""
    if not isinstance(data, dict) or not data:
        return dump(data)
    text = ""
    for key in sorted(data):
        where = (*at, str(key))
        if isinstance(data[key], dict) and data[key] and where not in comments:
            text += dump({key: None}).removesuffix(" null\n") + "\n"
            text += "".join(f"  {line}\n" for line in dump_commented(data[key], comments, where).splitlines())
            continue
        lines = dump({key: data[key]}).splitlines()
        if where in comments:
            # After a list's name. In a text of several lines, a very long name too, it would be a part of the text.
            after_name = isinstance(data[key], (dict, list)) and not lines[0].startswith("? ")
            lines[0 if after_name else -1] += f"  # {comments[where]}"
        text += "".join(f"{line}\n" for line in lines)
    return text
