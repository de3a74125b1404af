#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Build the collection's artifact into build/artifact and print its path.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"
artifact="$ANSIBLE_COLLECTIONS_PATH/artifact"

rm -rf "$artifact"
# From the copy, so that nothing that git ignores can get in.
ansible-galaxy collection build --output-path "$artifact" \
    "$ANSIBLE_COLLECTIONS_PATH/ansible_collections/nested/clusters" >&2
ls "$artifact"/*.tar.gz
