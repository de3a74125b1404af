#!/usr/bin/python
# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Report virtual clusters."""

from __future__ import annotations

DOCUMENTATION = r"""
module: vcluster_info
short_description: Report the virtual clusters of host clusters
description:
  - Lists virtual clusters with their phase, versions and endpoint, whoever made them. Those of the vCluster
    command-line tool, of Helm and of M(nested.clusters.vcluster) are all found.
  - The number of requests to a host cluster's API does not grow with the number of virtual clusters, except
    that a list of more than 2500 is read in pages.
  - The options O(name), O(namespace), O(label_selectors), O(phases), O(group) and O(owner) narrow the list; a
    virtual cluster is returned if it fits every option that is given.
  - A host cluster that does not answer is left out with a warning, unless none does.
version_added: 0.1.0
author:
  - The nested.clusters contributors (@nested-clusters)
options:
  name:
    description:
      - The name of a virtual cluster. Several namespaces may each have one of this name.
      - By default, virtual clusters of any name.
    type: str
  namespace:
    description:
      - The namespace on the host cluster to look in.
      - By default, all namespaces, which needs the permission to list StatefulSets and Deployments in all.
    type: str
  label_selectors:
    description:
      - Label selectors that the workload of the virtual cluster, its StatefulSet or Deployment, must all fit.
      - The values C(controlPlane.statefulSet.labels) of the vCluster chart set these labels.
      - By default, any labels.
    type: list
    elements: str
    default: []
  phases:
    description:
      - Return only virtual clusters in one of these phases; see RV(virtual_clusters[].phase).
      - By default, virtual clusters in any phase.
    type: list
    elements: str
    choices:
      - running
      - paused
      - pending
      - failed
      - sleeping
      - deleting
    default: []
  group:
    description:
      - The cluster group that the virtual cluster is in.
      - By default, virtual clusters in any group and in none.
    type: str
  owner:
    description:
      - The owner that a virtual cluster in a group has. An empty string is for those that have none.
      - By default, virtual clusters of any owner, also those that are in no group.
    type: str
extends_documentation_fragment:
  - nested.clusters.connection
  - nested.clusters.host_clusters
  - nested.clusters.requirements
  - nested.clusters.attributes
  - nested.clusters.attributes.action_group
  - nested.clusters.attributes.info_module
notes:
  - Reads StatefulSets, Deployments, Services, Ingresses, TLSRoutes and those Namespaces that a group has labeled, and
    only while a virtual cluster is not ready also Pods and Events. Where one of these kinds except the first two may
    not be listed, it is left out; a warning says so, unless only TLSRoutes are concerned. With O(group) or
    O(owner), Namespaces cannot be left out. With O(namespace), only that one is read.
  - It never reads a Secret.
seealso:
  - module: nested.clusters.vcluster
  - module: nested.clusters.vcluster_state
  - module: nested.clusters.vcluster_group_info
"""

EXAMPLES = r"""
- name: List every virtual cluster of the host cluster
  nested.clusters.vcluster_info:
  register: all

- name: Say which are not running, and why
  ansible.builtin.debug:
    msg: "{{ item.namespace }}/{{ item.name }} is {{ item.phase }}: {{ item.message }}"
  loop: "{{ all.virtual_clusters | rejectattr('phase', 'eq', 'running') }}"
  loop_control:
    label: "{{ item.name }}"

- name: Look at one virtual cluster
  nested.clusters.vcluster_info:
    name: team-a
    namespace: team-a

- name: List the paused virtual clusters of the continuous integration
  nested.clusters.vcluster_info:
    label_selectors:
      - env=ci
    phases:
      - paused

- name: List what Alice has in a group of host clusters
  nested.clusters.vcluster_info:
    group: dev
    owner: alice
    host_clusters:
      - name: host-a
        context: a
      - name: host-b
        context: b
"""

RETURN = r"""
virtual_clusters:
  description: The virtual clusters that fit, sorted by host cluster, namespace and name.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: The name, which is that of the Helm release.
      type: str
      returned: always
      sample: team-a
    namespace:
      description: The namespace on the host cluster.
      type: str
      returned: always
      sample: team-a
    host_cluster:
      description:
        - The name that O(host_clusters) gives to the host cluster.
        - Null for the one that the task's own connection options name.
      type: str
      returned: always
      sample: host-a
    group:
      description: The cluster group that it is in, or null.
      type: str
      returned: always
      sample: dev
    owner:
      description: The owner in its group, empty if it has none. Null if it is in no group.
      type: str
      returned: always
      sample: alice
    size:
      description: The most that it may claim, as its group allows. Null if it is in no group.
      type: dict
      returned: always
      contains:
        cpu:
          description: Cores.
          type: str
          returned: always
          sample: "4"
        memory:
          description: Bytes.
          type: str
          returned: always
          sample: 4Gi
        storage:
          description: Bytes.
          type: str
          returned: always
          sample: 2Gi
    phase:
      description:
        - V(running), if every replica of the control plane is ready.
        - V(paused), if it has been paused, by the vCluster command-line tool or by this collection.
        - V(sleeping), if the sleep mode of the vCluster platform has scaled the control plane down. One of
          which only the workloads sleep is V(running), as its API answers.
        - V(failed), if it will not become ready as declared; RV(virtual_clusters[].message) says why.
          Replicas from before the last change may still serve.
        - V(deleting), if the control plane is being deleted.
        - V(pending), otherwise, for example while it starts, or if it was scaled to 0 other than by a pause.
      type: str
      returned: always
      sample: running
    message:
      description: Why it is V(failed) or what is awaited while V(pending); otherwise empty.
      type: str
      returned: always
      sample: ""
    vcluster_version:
      description: The version of vCluster, or null if the image of the control plane has no tag.
      type: str
      returned: always
      sample: 0.36.1
    kubernetes_version:
      description: The version of the virtual cluster's Kubernetes, or null if its image's tag does not say.
      type: str
      returned: always
      sample: v1.35.4
    chart_version:
      description: The version of the vCluster chart, or null if the workload does not have its label.
      type: str
      returned: always
      sample: 0.36.1
    endpoint:
      description:
        - The URL of its API for clients outside the host cluster, by its Ingress, TLSRoute or load balancer.
        - Null, if it has none of these or may be reached only from inside the host cluster.
      type: str
      returned: always
      sample: https://team-a.dev.example.com
    created:
      description: When the workload was created, in UTC (RFC 3339).
      type: str
      returned: always
      sample: "2026-11-20T08:15:42Z"
    age:
      description: Seconds since then.
      type: int
      returned: always
      sample: 68652
    kind:
      description: The kind of the workload, V(StatefulSet) or V(Deployment).
      type: str
      returned: always
      sample: StatefulSet
    replicas:
      description: How many replicas of the control plane are asked for; 0 while paused.
      type: int
      returned: always
      sample: 1
    ready_replicas:
      description: How many of them are ready.
      type: int
      returned: always
      sample: 1
    protected:
      description: Whether it is protected against deletion (annotation C(loft.sh/non-deletable)).
      type: bool
      returned: always
      sample: false
    managed:
      description: Whether M(nested.clusters.vcluster) made it.
      type: bool
      returned: always
      sample: true
    labels:
      description: Labels of the workload, without those that the chart sets on every virtual cluster.
      type: dict
      returned: always
      sample:
        env: ci
    annotations:
      description: Annotations of the workload, without those of Helm, kubectl and the Deployment controller.
      type: dict
      returned: always
      sample:
        nested-clusters/managed: "true"
failed_host_clusters:
  description: The names of host clusters that did not answer.
  returned: when there are some
  type: list
  elements: str
  sample:
    - host-b
"""

from datetime import datetime, timezone
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.nested.clusters.plugins.module_utils.k8s.connection import auth_argument_spec
from ansible_collections.nested.clusters.plugins.module_utils.k8s.host_clusters import host_clusters_spec, open_hosts
from ansible_collections.nested.clusters.plugins.module_utils.k8s.module import ModuleResult, run_module
from ansible_collections.nested.clusters.plugins.module_utils.listing import overview, readers
from ansible_collections.nested.clusters.plugins.module_utils.virtual_cluster.phases import PHASES


def argument_spec() -> dict[str, Any]:
    """The options of the module."""
    return {
        **auth_argument_spec(),
        "name": {"type": "str"},
        "namespace": {"type": "str"},
        "label_selectors": {"type": "list", "elements": "str", "default": []},
        "phases": {"type": "list", "elements": "str", "choices": list(PHASES), "default": []},
        "group": {"type": "str"},
        "owner": {"type": "str"},
        "host_clusters": host_clusters_spec(),
    }


def run(module: AnsibleModule) -> ModuleResult:
    """List the virtual clusters. Raises NestedClustersError if no host cluster answers."""
    params = module.params
    selection = readers.Selection(
        params["name"],
        params["namespace"],
        tuple(params["label_selectors"]),
        frozenset(params["phases"]),
        params["group"],
        params["owner"],
    )
    found = overview.read(open_hosts(module), selection, datetime.now(timezone.utc))
    failed = {"failed_host_clusters": found.failed} if found.failed else {}
    return ModuleResult({"virtual_clusters": found.virtual_clusters, **failed}, warnings=found.warnings)


def main() -> None:
    """Run the module."""
    run_module(argument_spec(), run)


if __name__ == "__main__":
    main()
