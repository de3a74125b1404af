# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every module supports; a module fills in ``support`` where it differs."""

from __future__ import annotations


class ModuleDocFragment:
    """Attributes, as the modules of ansible.builtin document theirs."""

    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    description: Can run in check mode and return what would change, without changing it.
  diff_mode:
    description: Returns what changed, or in check mode would change, in diff mode.
"""

    ACTION_GROUP = r"""
options: {}
notes:
  - On the control node, with the Python of ansible-playbook, the module runs in a fork of ansible-playbook and shows
    what it waits for on standard error. Set the variable C(nested_clusters_fork) to V(false), or the environment
    variable E(NESTED_CLUSTERS_FORK), to run it in a new Python.
attributes:
  action_group:
    description: Use C(group/nested.clusters.all) in C(module_defaults) to set options for all modules.
    support: full
    membership:
      - nested.clusters.all
"""

    INFO_MODULE = r"""
options: {}
attributes:
  check_mode:
    support: full
    details:
      - This module only reads, and behaves the same in check mode.
  diff_mode:
    support: N/A
    details:
      - This module only reads.
"""
