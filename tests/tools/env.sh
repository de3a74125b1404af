# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
# Source this: it builds the tools if need be, lays out the collection, and points PATH and Ansible at
# both. Works from any directory.
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
toolbox="$("${PYTHON:-python3}" "$here/toolbox.py")" || return 1
"$toolbox/bin/python" "$here/collection_root.py" "$toolbox" || return 1

export PATH="$toolbox/bin:$PATH"
export ANSIBLE_COLLECTIONS_PATH="${here%/tests/tools}/build"
export PYTHONPATH="$ANSIBLE_COLLECTIONS_PATH"
# A PATH that finds pip's user packages or a user's collections would test something else.
export PYTHONNOUSERSITE=1
unset here toolbox
