#!/usr/bin/python
# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module nested.clusters.vcluster_orphans."""

from __future__ import annotations

DOCUMENTATION = r"""
module: vcluster_orphans
short_description: Find and remove resources left behind by deleted virtual clusters
version_added: 0.1.0
author:
  - The nested.clusters contributors (@nested-clusters)
deprecated:
  removed_in: 1.0.0
  why: A module that only queries in one of its states is against Ansible's rules, so it became two modules.
  alternative: >-
    Use M(nested.clusters.vcluster_orphan_info) instead of O(state=reported) and M(nested.clusters.vcluster_orphan)
    instead of O(state=absent). The other options keep their names.
description:
  - Finds resources that failed installations, other tools, and interrupted deletions left behind on host clusters, and
    says for each object why it counts as orphaned.
  - Removes them only if O(state=absent).
  - A virtual cluster exists while it has a control plane, paused or not, or a deployed Helm release, or pods of a
    control plane or an etcd whose workload was deleted. Its resources are never orphans.
  - An object that a virtual cluster synced to its host cluster belongs to that virtual cluster only, whatever its other
    labels say. That includes what tenants install with Helm, such as a virtual cluster inside a virtual cluster.
  - Before it removes anything, the module reads and judges everything again. It removes an object only if both
    readings find it orphaned, and only in the version that it read.
  - The module lists each kind of object once for a whole host cluster, and reads all host clusters at the same time.
options:
  state:
    description:
      - V(reported) finds orphans and changes nothing.
      - V(absent) removes them.
    type: str
    choices: [reported, absent]
    default: reported
extends_documentation_fragment:
  - nested.clusters.connection
  - nested.clusters.host_clusters
  - nested.clusters.orphans
  - nested.clusters.orphans.removal
  - nested.clusters.requirements
  - nested.clusters.attributes
  - nested.clusters.attributes.action_group
seealso:
  - module: nested.clusters.vcluster_orphan_info
    description: Find resources left behind by deleted virtual clusters.
  - module: nested.clusters.vcluster_orphan
    description: Remove resources left behind by deleted virtual clusters.
"""

EXAMPLES = r"""
- name: Find all orphaned resources
  nested.clusters.vcluster_orphans:
  register: found

- name: Remove orphans on two host clusters, but no volumes and nothing younger than a day
  nested.clusters.vcluster_orphans:
    host_clusters:
      - name: host-a
        context: host-a
      - name: host-b
        context: host-b
    kinds:
      - releases
      - objects
      - cluster_objects
      - namespaces
      - shares
    older_than: 86400
    state: absent

- name: Remove everything that is left of one virtual cluster, including kept volumes
  nested.clusters.vcluster_orphans:
    names:
      - team-a
    kept_volumes: true
    state: absent
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
        - V(orphan) is no longer needed. O(state=absent) removes it.
        - V(kept) was kept on purpose. O(state=absent) removes it only with O(kept_volumes=true).
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
    changed:
      description: Whether the module requested its removal, or in check mode would.
      type: bool
      returned: always
      sample: true
    failed:
      description: Whether its removal failed.
      type: bool
      returned: always
      sample: false
    msg:
      description: Why its removal failed; otherwise empty.
      type: str
      returned: always
      sample: ""
failed_host_clusters:
  description: Names of the host clusters that did not answer.
  returned: when a host cluster did not answer
  type: list
  elements: str
  sample:
    - host-b
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.nested.clusters.plugins.module_utils.deletion import orphan_report
from ansible_collections.nested.clusters.plugins.module_utils.k8s.connection import auth_argument_spec
from ansible_collections.nested.clusters.plugins.module_utils.k8s.host_clusters import host_clusters_spec
from ansible_collections.nested.clusters.plugins.module_utils.k8s.module import ModuleResult, run_module


def argument_spec() -> dict[str, Any]:
    """Return the options of the module."""
    return {
        **auth_argument_spec(),
        **orphan_report.selection_spec(),
        "host_clusters": host_clusters_spec(),
        **orphan_report.removal_spec(),
        "state": {"type": "str", "choices": ["reported", "absent"], "default": "reported"},
    }


def run(module: AnsibleModule) -> ModuleResult:
    """Find orphans, and remove them if the task says so. Raises NestedClustersError."""
    return orphan_report.remove(module, only_report=module.params["state"] == "reported")


def main() -> None:
    """Run the module."""
    run_module(argument_spec(), run)


if __name__ == "__main__":
    main()
