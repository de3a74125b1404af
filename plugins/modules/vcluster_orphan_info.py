#!/usr/bin/python
# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module nested.clusters.vcluster_orphan_info."""

from __future__ import annotations

DOCUMENTATION = r"""
module: vcluster_orphan_info
short_description: Find resources left behind by deleted virtual clusters
version_added: 0.1.0
author:
  - The nested.clusters contributors (@nested-clusters)
description:
  - Finds resources that failed installations, other tools, and interrupted deletions left behind on host clusters, and
    says for each object why it counts as orphaned.
  - Changes nothing. M(nested.clusters.vcluster_orphan) removes what this module finds.
  - A virtual cluster exists while it has a control plane, paused or not, or a deployed Helm release, or pods of a
    control plane or an etcd whose workload was deleted. Its resources are never orphans.
  - An object that a virtual cluster synced to its host cluster belongs to that virtual cluster only, whatever its other
    labels say. That includes what tenants install with Helm, such as a virtual cluster inside a virtual cluster.
  - The module lists each kind of object once for a whole host cluster, and reads all host clusters at the same time.
options:
  kept_volumes:
    description:
      - Judge volume claims that were kept on purpose as M(nested.clusters.vcluster_orphan) does with
        O(nested.clusters.vcluster_orphan#module:kept_volumes=true). A namespace that contains nothing else then counts
        as orphaned.
      - The claims themselves are reported in either case, with RV(orphans[].state=kept).
    type: bool
    default: false
extends_documentation_fragment:
  - nested.clusters.connection
  - nested.clusters.host_clusters
  - nested.clusters.orphans
  - nested.clusters.requirements
  - nested.clusters.attributes
  - nested.clusters.attributes.action_group
  - nested.clusters.attributes.info_module
seealso:
  - module: nested.clusters.vcluster_orphan
    description: Remove resources left behind by deleted virtual clusters.
  - module: nested.clusters.vcluster_info
    description: List virtual clusters and their status.
"""

EXAMPLES = r"""
- name: Find all orphaned resources
  nested.clusters.vcluster_orphan_info:
  register: found

- name: Show why they count as orphaned
  ansible.builtin.debug:
    msg: "{{ item.resource }} {{ item.name }} ({{ item.state }}): {{ item.reason }}"
  loop: "{{ found.orphans }}"
  loop_control:
    label: "{{ item.name }}"

- name: Find orphaned volumes on two host clusters
  nested.clusters.vcluster_orphan_info:
    host_clusters:
      - name: host-a
        context: host-a
      - name: host-b
        context: host-b
    kinds:
      - volume_claims
      - volumes
"""

RETURN = r"""
orphans:
  description: The resources that were found, sorted by host cluster and namespace.
  returned: always, except when no host cluster answers
  type: list
  elements: dict
  contains:
    host_cluster:
      description: Name of the host cluster; null if the task does not set O(host_clusters).
      type: str
      returned: always
      sample: host-a
    kind:
      description: Kind of orphan, one of the choices of O(kinds).
      type: str
      returned: always
      sample: volume_claims
    resource:
      description: Plural name of the Kubernetes resource.
      type: str
      returned: always
      sample: persistentvolumeclaims
    api_version:
      description: API version of the Kubernetes resource.
      type: str
      returned: always
      sample: v1
    namespace:
      description: Namespace of the object; null if it is cluster-scoped.
      type: str
      returned: always
      sample: vcluster-team-a
    name:
      description: Name of the object.
      type: str
      returned: always
      sample: data-team-a-0
    virtual_cluster:
      description: Virtual cluster that the object belonged to; null if there was none, or if it is not known.
      type: str
      returned: always
      sample: team-a
    state:
      description:
        - V(orphan) is no longer needed. M(nested.clusters.vcluster_orphan) removes it.
        - V(kept) was kept on purpose. M(nested.clusters.vcluster_orphan) removes it only with
          O(nested.clusters.vcluster_orphan#module:kept_volumes=true).
        - V(in_use) would be an orphan, but is used, such as a volume claim that a pod mounts. It is not removed while
          it is used.
        - V(held) cannot be removed by this collection; RV(orphans[].reason) says what to do.
      type: str
      returned: always
      sample: orphan
    reason:
      description: Why the object counts as orphaned, or what keeps it.
      type: str
      returned: always
      sample: of virtual cluster team-a, which has no control plane and no Helm release; it holds its data
failed_host_clusters:
  description: Names of the host clusters that did not answer.
  returned: when a host cluster did not answer
  type: list
  elements: str
  sample:
    - host-b
"""

from typing import Any

from ansible_collections.nested.clusters.plugins.module_utils.deletion import orphan_report
from ansible_collections.nested.clusters.plugins.module_utils.k8s.connection import auth_argument_spec
from ansible_collections.nested.clusters.plugins.module_utils.k8s.host_clusters import host_clusters_spec
from ansible_collections.nested.clusters.plugins.module_utils.k8s.module import run_module


def argument_spec() -> dict[str, Any]:
    """Return the options of the module."""
    return {
        **auth_argument_spec(),
        **orphan_report.selection_spec(),
        "host_clusters": host_clusters_spec(),
    }


def main() -> None:
    """Run the module."""
    run_module(argument_spec(), orphan_report.find)


if __name__ == "__main__":
    main()
