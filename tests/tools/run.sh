#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Run a command with the pinned tools, from the top of the checkout: tests/tools/run.sh pytest tests/unit
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
exec "$@"
