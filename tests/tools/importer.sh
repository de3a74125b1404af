#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Check the built artifact as Automation Hub does on upload. Any error or warning fails.
set -euo pipefail
tools="$(dirname "$(realpath "${BASH_SOURCE[0]}")")"
. "$tools/env.sh"
tarball="$("$tools/build.sh")"
export GALAXY_IMPORTER_CONFIG="$tools/galaxy-importer.cfg"

cd "$(dirname "$tarball")" # the importer leaves its result in the current directory
status=0
python -m galaxy_importer.main "$tarball" 2>&1 | tee importer.log || status=$?
if ((status)) || grep -Eq '^(WARNING|ERROR|CRITICAL)' importer.log; then
    echo "galaxy-importer reported errors or warnings (above)" >&2
    exit 1
fi
tar -tzf "$tarball" | wc -l | sed 's/^/files and directories in the artifact: /'
