#!/usr/bin/python
# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Report virtual clusters."""

from __future__ import annotations

DOCUMENTATION = r"""
module: vcluster_info
short_description: List virtual clusters and their status
description:
  - Lists virtual clusters with their phase, versions and endpoint. It finds the virtual clusters of the vCluster CLI,
    of Helm, and of M(nested.clusters.vcluster).
  - The number of requests to the API of a host cluster does not depend on the number of virtual clusters, except that
    the module reads lists of more than 2500 objects in pages.
  - The options O(name), O(namespace), O(label_selectors), O(phases), O(group) and O(owner) filter the list. The module
    returns virtual clusters that match every option that is set.
  - The module skips a host cluster that does not answer, with a warning. The task fails only if no host cluster
    answers.
version_added: 0.1.0
author:
  - The nested.clusters contributors (@nested-clusters)
options:
  name:
    description:
      - Name of a virtual cluster. Several namespaces can each have one with this name.
      - By default, virtual clusters with any name match.
    type: str
  namespace:
    description:
      - Namespace on the host cluster.
      - By default, the module reads all namespaces, which requires permission to list StatefulSets and Deployments in
        all of them.
    type: str
  label_selectors:
    description:
      - Label selectors that the StatefulSet or Deployment of the control plane must all match. The values
        C(controlPlane.statefulSet.labels) of the vCluster chart set these labels.
      - By default, all labels match.
    type: list
    elements: str
    default: []
  phases:
    description:
      - Phases of virtual clusters to return; see RV(virtual_clusters[].phase).
      - By default, all phases match.
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
      - Cluster group of the virtual clusters.
      - By default, virtual clusters of all groups and of none match.
    type: str
  owner:
    description:
      - Owner of virtual clusters in a group. An empty string matches virtual clusters in a group that have no owner.
      - By default, virtual clusters of all owners and of no group match.
    type: str
extends_documentation_fragment:
  - nested.clusters.connection
  - nested.clusters.host_clusters
  - nested.clusters.requirements
  - nested.clusters.attributes
  - nested.clusters.attributes.action_group
  - nested.clusters.attributes.info_module
notes:
  - Reads StatefulSets, Deployments, Services, Ingresses, TLSRoutes, and the Namespaces that belong to a group. While a
    virtual cluster is not ready, it also reads Pods and Events.
  - StatefulSets and Deployments must be permitted, and with O(group) or O(owner) also Namespaces. The module skips
    other kinds that it may not list, with a warning except for TLSRoutes. With O(namespace), it reads only that
    Namespace.
  - The module never reads a Secret.
seealso:
  - module: nested.clusters.vcluster
    description: Manage one virtual cluster.
  - module: nested.clusters.vcluster_state
    description: Pause, resume, restart or delete a selection of virtual clusters.
  - module: nested.clusters.vcluster_endpoint_info
    description: Check the path to the endpoint of a virtual cluster.
  - module: nested.clusters.vcluster_group_info
    description: View the capacity and usage of groups of host clusters.
  - module: nested.clusters.vcluster_orphan_info
    description: Find resources left behind by deleted virtual clusters.
"""

EXAMPLES = r"""
- name: List all virtual clusters of the host cluster
  nested.clusters.vcluster_info:
  register: all

- name: Show which virtual clusters do not run, and why
  ansible.builtin.debug:
    msg: "{{ item.namespace }}/{{ item.name }} is {{ item.phase }}: {{ item.message }}"
  loop: "{{ all.virtual_clusters | rejectattr('phase', 'eq', 'running') }}"
  loop_control:
    label: "{{ item.name }}"

- name: Read one virtual cluster
  nested.clusters.vcluster_info:
    name: team-a
    namespace: team-a

- name: List paused CI clusters
  nested.clusters.vcluster_info:
    label_selectors:
      - env=ci
    phases:
      - paused

- name: List the virtual clusters of an owner in a group
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
  description: The virtual clusters that match, sorted by host cluster, namespace and name.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Name of the virtual cluster and of its Helm release.
      type: str
      returned: always
      sample: team-a
    namespace:
      description: Namespace on the host cluster.
      type: str
      returned: always
      sample: vcluster-team-a
    host_cluster:
      description:
        - Name of the host cluster in O(host_clusters).
        - Null for the host cluster of the task's own connection options.
      type: str
      returned: always
      sample: host-a
    group:
      description: Cluster group of the virtual cluster; null if it is in none.
      type: str
      returned: always
      sample: dev
    owner:
      description:
        - Owner in the group; empty if it has none, and null if it is in no group.
      type: str
      returned: always
      sample: alice
    size:
      description:
        - Maximum resources that it can claim.
        - Null if it is in no group.
      type: dict
      returned: always
      contains:
        cpu:
          description: CPU cores.
          type: str
          returned: always
          sample: "4"
        memory:
          description: Memory in bytes.
          type: str
          returned: always
          sample: 4Gi
        storage:
          description: Storage in bytes.
          type: str
          returned: always
          sample: 2Gi
    phase:
      description:
        - V(running) if every replica of the control plane is ready.
        - V(paused) if the vCluster CLI or this collection paused it.
        - V(sleeping) if the sleep mode of the vCluster Platform scaled the control plane down. If only its workloads
          sleep, its API answers and the phase is V(running).
        - V(failed) if it cannot become ready as declared; RV(virtual_clusters[].message) says why. Replicas from before
          the last change can still serve.
        - V(deleting) if the control plane is being deleted.
        - V(pending) otherwise, for example while it starts, or if it was scaled to 0 other than by a pause.
      type: str
      returned: always
      sample: running
    message:
      description: Why it is V(failed), or what it waits for while V(pending); otherwise empty.
      type: str
      returned: always
      sample: ""
    vcluster_version:
      description: Version of vCluster; null if the image of the control plane has no tag.
      type: str
      returned: always
      sample: 0.36.1
    kubernetes_version:
      description: Version of Kubernetes in the virtual cluster; null if the tag of its image does not say.
      type: str
      returned: always
      sample: v1.36.0
    chart_version:
      description: Version of the vCluster chart; null if the workload does not have the label of the chart.
      type: str
      returned: always
      sample: 0.36.1
    endpoint:
      description:
        - URL of its API for clients outside of the host cluster, from its Ingress, TLSRoute or load balancer.
        - Null if it has none of these, or is reached only from inside of the host cluster.
      type: str
      returned: always
      sample: https://team-a.dev.example.com
    created:
      description: When the workload was created, in UTC (RFC 3339).
      type: str
      returned: always
      sample: "2026-11-20T08:15:42Z"
    age:
      description: Time since the workload was created, in seconds.
      type: int
      returned: always
      sample: 68652
    kind:
      description: Kind of the workload, V(StatefulSet) or V(Deployment).
      type: str
      returned: always
      sample: StatefulSet
    replicas:
      description: Desired number of replicas of the control plane; 0 while it is paused.
      type: int
      returned: always
      sample: 1
    ready_replicas:
      description: Number of replicas that are ready.
      type: int
      returned: always
      sample: 1
    protected:
      description: Whether it is protected from deletion (annotation C(loft.sh/non-deletable)).
      type: bool
      returned: always
      sample: false
    managed:
      description: Whether M(nested.clusters.vcluster) manages it.
      type: bool
      returned: always
      sample: true
    labels:
      description: Labels of the workload, without those that the chart sets on every virtual cluster.
      type: dict
      returned: always
      contains:
        LABEL:
          description: Value of a label. The key is the name of the label.
          type: str
          returned: for each label
          sample: ci
      sample:
        env: ci
    annotations:
      description: Annotations of the workload, without those of Helm, kubectl and the Deployment controller.
      type: dict
      returned: always
      contains:
        ANNOTATION:
          description: Value of an annotation. The key is the name of the annotation.
          type: str
          returned: for each annotation
          sample: "true"
      sample:
        nested-clusters/managed: "true"
failed_host_clusters:
  description: Names of the host clusters that did not answer.
  returned: when a host cluster did not answer
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
    """Return the options of the module."""
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
