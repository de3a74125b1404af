# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Share code between modules, in packages that import one way."""

# Each imports only those before it: common, k8s, helm, values, virtual_cluster, listing, endpoint, power, lifecycle,
# scheduling, groups, admission, deletion, fleet.
