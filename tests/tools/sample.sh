#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Run a sample of the unit tests, and of the API tier a playbook and every module, mostly to see what another ansible-core
# does differently. A control plane takes half a minute, so a core other than 2.16, which AAP has, runs that part
# with every fourth seed only:
#   NESTED_CLUSTERS_CORE=2.16 tests/tools/sample.sh
# NESTED_CLUSTERS_SEED, which is printed, chooses the sample, and NESTED_CLUSTERS_SAMPLE says how many unit tests it has.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
export NESTED_CLUSTERS_SEED="${NESTED_CLUSTERS_SEED:-$RANDOM}"
echo "repeat with: NESTED_CLUSTERS_SEED=$NESTED_CLUSTERS_SEED NESTED_CLUSTERS_CORE=${NESTED_CLUSTERS_CORE-} $0"
NESTED_CLUSTERS_SAMPLE="${NESTED_CLUSTERS_SAMPLE:-30}" pytest tests/unit --numprocesses=2
[ "${NESTED_CLUSTERS_CORE-2.16}" = 2.16 ] || [ $((NESTED_CLUSTERS_SEED % 4)) = 0 ] || exit 0
NESTED_CLUSTERS_SAMPLE=1 pytest tests/api/test_every_module.py tests/api/test_playbooks_run.py
