# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read, merge, mask and check vcluster.yaml, and know what each vCluster version can do."""

# Pure functions over plain data: no I/O. Every refusal is an OptionError that names the option, the value
# and what is allowed, raised before anything is changed. What the chart's JSON schema says well is left to
# helm; here is what it does not say, or says without the version or the replacement.
#
# "Source" in the comments is the tree of github.com/loft-sh/vcluster at the tags v0.20.0 to v0.37.0-rc.1,
# "documentation" is github.com/loft-sh/vcluster-docs of 2026-08-21. A pre-release counts as its minor.
#
# Where ``values`` are asked for, they are the user-supplied vcluster.yaml as a dict, not merged with the
# chart's own values.yaml: the defaults that matter are known here.
