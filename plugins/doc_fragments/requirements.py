# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a module requires on the machine that runs it."""

from __future__ import annotations


class ModuleDocFragment:
    """The libraries that talk to a host cluster."""

    DOCUMENTATION = r"""
options: {}
requirements:
  - "python >= 3.10"
  - "kubernetes >= 24.2.0"
  - "PyYAML >= 6.0"
"""
