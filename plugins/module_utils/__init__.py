# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the modules of the collection share, in packages: each imports only those above it.

In this order: common, k8s, helm, values, virtual_cluster, listing, endpoint, power,
lifecycle, scheduling, groups, admission, deletion, fleet.
"""
