#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Run every ansible-test sanity test that can run here, with no ignore file. Arguments go to ansible-test.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"
tools="$(dirname "$(realpath "${BASH_SOURCE[0]}")")"
collection="$ANSIBLE_COLLECTIONS_PATH/ansible_collections/nested/clusters"

if compgen -G "$collection/tests/sanity/ignore*" >/dev/null; then
    echo "sanity ignore files are not allowed: repair what they hide" >&2
    exit 1
fi

# ansible-test looks here before it downloads get-pip.py, in the versions of pip that this ansible-core asks for.
cache=~/.ansible/test/cache
mkdir -p "$cache"
requirements="$(python -c 'import ansible_test; print(ansible_test.__path__[0])')/_internal/python_requirements.py"
sed -n "s/.*\bpip='\([0-9.]*\)'.*/\1/p" "$requirements" | while read -r pip; do
    bootstrap="$cache/get_pip_${pip//./_}.py"
    [[ -e $bootstrap ]] || cp "$tools/get_pip.py" "$bootstrap"
done

python_version="$(python -c 'import sys; print("%d.%d" % sys.version_info[:2])')"
cd "$collection"
# Named, because ansible-test would else find the checkout's .git above, in which all of build/ is ignored.
export ANSIBLE_TEST_CONTENT_ROOT="$collection"
ansible-test sanity --local --color no --python "$python_version" "$@"
