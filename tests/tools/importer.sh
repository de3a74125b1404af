#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Check the built artifact as Automation Hub does on upload. Any error or warning fails, and so does a module, filter or
# role without documentation.
set -euo pipefail
tools="$(dirname "$(realpath "${BASH_SOURCE[0]}")")"
. "$tools/env.sh"
tarball="$("$tools/build.sh")"
export GALAXY_IMPORTER_CONFIG="$tools/galaxy-importer.cfg"

cd "$(dirname "$tarball")" # the importer leaves its result in the current directory

# import_with LOG COMMAND...: run the importer, and fail on any error or warning.
import_with() {
    local log="$1" status=0
    shift
    "$@" python -m galaxy_importer.main "$tarball" 2>&1 | tee "$log" || status=$?
    if ((status)) || grep -Eq '^(WARNING|ERROR|CRITICAL)' "$log"; then
        echo "galaxy-importer reported errors or warnings (above)" >&2
        exit 1
    fi
}

# As on Galaxy, nothing but the collection is in reach, not even what it depends on. ansible-lint has its turn below: it
# cannot tell a module of another collection from a misspelt one there, and Galaxy takes its warnings for advice.
import_with importer-alone.log env -u PYTHONPATH -u ANSIBLE_COLLECTIONS_PATH -u ANSIBLE_COLLECTIONS_PATHS \
    GALAXY_IMPORTER_RUN_ANSIBLE_LINT=false
python "$tools/imported_docs.py" importer_result.json
import_with importer.log
tar -tzf "$tarball" | wc -l | sed 's/^/files and directories in the artifact: /'
