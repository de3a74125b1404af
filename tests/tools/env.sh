# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
# Source this: it builds the tools if need be, lays out the collection, and points PATH and Ansible at
# both. Works from any directory. NESTED_CLUSTERS_CORE names another ansible-core than the default one, such as 2.21.
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
toolbox="$("${PYTHON:-python3}" "$here/toolbox.py")" || return
# Each core has a copy of its own, beside the collections that it is tested with.
export ANSIBLE_COLLECTIONS_PATH="${here%/tests/tools}/build${NESTED_CLUSTERS_CORE:+/core-$NESTED_CLUSTERS_CORE}"
"$toolbox/bin/python" "$here/collection_root.py" "$toolbox" "$ANSIBLE_COLLECTIONS_PATH" || return 1

export PATH="$toolbox/bin:$PATH"
export PYTHONPATH="$ANSIBLE_COLLECTIONS_PATH"
# Modules run where the tools are: discovery might choose a Python that has no Kubernetes client.
export ANSIBLE_PYTHON_INTERPRETER="$toolbox/bin/python"
# Tests and modules are compiled once, not by each of the hundreds of processes that import them.
unset PYTHONDONTWRITEBYTECODE
# A user's own packages would shadow the pinned ones.
export PYTHONNOUSERSITE=1
unset here toolbox
