# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Charts as options name them."""

from __future__ import annotations

from ansible_collections.nested.clusters.plugins.module_utils.helm.chart import Chart

REPOSITORY = "https://charts.loft.sh"
IN_REPOSITORY = Chart("vcluster", REPOSITORY, "0.36.1")
