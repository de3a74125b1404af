# SPDX-License-Identifier: GPL-3.0-or-later
"""Check galaxy-importer's result: it found the documentation of every module, filter and role.

python3 imported_docs.py importer_result.json
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any


def undocumented(contents: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Yield the kind and name of each module and filter without its documentation, and each role without a README."""
    for content in contents:
        kind, name = content["content_type"], content["content_name"]
        if kind in ("module", "filter"):
            documentation = (content.get("doc_strings") or {}).get("doc") or {}
            if not (documentation.get("short_description") and documentation.get("options")):
                yield f"{kind} {name}"
        elif kind == "role" and not content.get("readme_html"):
            yield f"{kind} {name}"


def main(file: Path) -> str:
    """Return what is wrong with the result in a file, "" for nothing."""
    contents = json.loads(file.read_text())["docs_blob"]["contents"]
    if not any(content["content_type"] == "module" for content in contents):
        return "galaxy-importer found no module"
    missing = sorted(undocumented(contents))
    return f"galaxy-importer found no documentation for: {', '.join(missing)}" if missing else ""


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])) or 0)
