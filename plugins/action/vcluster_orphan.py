# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from ansible_collections.nested.clusters.plugins.modules import vcluster_orphan
from ansible_collections.nested.clusters.plugins.plugin_utils.in_fork import InFork


class ActionModule(InFork):
    """The module vcluster_orphan."""

    module = vcluster_orphan
