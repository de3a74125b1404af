#!/usr/bin/python
# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module nested.clusters.vcluster_group_info."""

from __future__ import annotations

DOCUMENTATION = r"""
module: vcluster_group_info
short_description: Report groups of host clusters, what they have to give, and their virtual clusters
version_added: 0.1.0
author:
  - The nested.clusters contributors (@nested-clusters)
description:
  - Reports groups that M(nested.clusters.vcluster_group) has made, with the capacity of their host clusters, what of it
    is allocated, used and available, and their virtual clusters.
  - What is allocated counts whether it is used or not, so a paused virtual cluster keeps its share. It counts the
    virtual clusters of all groups on a host cluster, which share its capacity, and volumes that were kept when one was
    deleted.
  - The number of requests to a host cluster's API does not grow with the number of virtual clusters, except that a
    list of more than 2500 is read in pages.
  - A host cluster that does not answer is reported as such, with a warning. The task fails only if none answers.
options:
  name:
    description:
      - Name of the group. The result is empty if there is none of this name.
      - By default, all groups of the host clusters.
    type: str
extends_documentation_fragment:
  - nested.clusters.connection
  - nested.clusters.host_clusters
  - nested.clusters.requirements
  - nested.clusters.attributes
  - nested.clusters.attributes.action_group
  - nested.clusters.attributes.info_module
notes:
  - The names of host clusters in the result are those in the group's record, whatever O(host_clusters) calls them.
  - Reads the ConfigMaps of namespace C(nested-clusters), Namespaces, StatefulSets and Deployments, which must be
    permitted, and Nodes, ResourceQuotas and the metrics of pods. Pods and Events are read only while a virtual cluster
    is not ready, and PersistentVolumeClaims only where no ResourceQuota counts them. Where a kind may not be
    listed, what it tells is null, and a warning says so.
  - An amount is also null where there is no limit, as for storage of which no capacity is declared.
seealso:
  - module: nested.clusters.vcluster_group
  - module: nested.clusters.vcluster_info
"""

EXAMPLES = r"""
- name: Look at the group of the development teams
  nested.clusters.vcluster_group_info:
    name: dev
    host_clusters:
      - name: host-a
        context: a
      - name: host-b
        context: b
  register: found

- name: Say what is left of each host cluster
  ansible.builtin.debug:
    msg: "{{ item.available.cpu }} cores, {{ item.available.memory }} of memory. {{ item.reason }}"
  loop: "{{ found.groups[0].host_clusters | selectattr('reachable') }}"
  loop_control:
    label: "{{ item.name }}"

- name: Look at all groups of the host cluster that the connection options name
  nested.clusters.vcluster_group_info:
  register: all

- name: Fail while virtual clusters differ from their groups
  ansible.builtin.assert:
    that: all.groups | map(attribute='virtual_clusters') | flatten | selectattr('pending') | length == 0
"""

RETURN = r"""
groups:
  description: The groups, sorted by name.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: The name.
      type: str
      returned: always
      sample: dev
    description:
      description: What the group is for.
      type: str
      returned: always
      sample: Development teams
    tags:
      description: Names and values of the administrator's own.
      type: dict
      returned: always
      sample:
        cost-center: "4711"
    vcluster_version:
      description: The vCluster version that every virtual cluster of the group shall run, or null.
      type: str
      returned: always
      sample: 0.36.1
    kubernetes_version:
      description: The version of Kubernetes in its virtual clusters where their tasks name none, or null.
      type: str
      returned: always
      sample: v1.35.4
    replicas:
      description: How many replicas their control planes have where their tasks do not say, or null for one.
      type: int
      returned: always
      sample: 3
    backing_store:
      description: Where new ones keep their data where their tasks do not say. Empty for the embedded database.
      type: dict
      returned: always
      sample:
        type: deployed_etcd
        replicas: 3
    distribution:
      description: The Kubernetes distribution of its virtual clusters.
      type: str
      returned: always
      sample: k8s
    endpoint:
      description: How its virtual clusters are reached, as in M(nested.clusters.vcluster_group).
      type: dict
      returned: always
      sample:
        type: ingress
        ingress_class: nginx
    oversubscription:
      description: How much of the capacity may be allocated, in percent.
      type: int
      returned: always
      sample: 120
    placement:
      description: How a host cluster is chosen, V(spread) or V(pack).
      type: str
      returned: always
      sample: spread
    size:
      description: The size of a virtual cluster that asks for none, and the least and the most that one may have.
      type: dict
      returned: always
      sample:
        default: {cpu: "4", memory: 4Gi, storage: 2Gi}
        minimum: {cpu: "4", memory: 4Gi, storage: 2Gi}
        maximum: {cpu: "8", memory: 16Gi, storage: null}
    owner_quota:
      description:
        - The most that one owner may have. Null if there is no limit and the group is not exempt.
      type: dict
      returned: always
      sample: {virtual_clusters: 4, cpu: "20", memory: 32Gi, storage: null, exempt: false}
    oidc:
      description: The OpenID Connect issuer of its virtual clusters, empty if there is none.
      type: dict
      returned: always
      sample:
        issuer_url: https://login.example.com
        client_id: kubernetes
    pending_upgrade:
      description: Whether a virtual cluster does not run the locked version, so that the group takes no new ones.
      type: bool
      returned: always
      sample: true
    pending_upgrade_virtual_clusters:
      description: The names of those virtual clusters.
      type: list
      elements: str
      returned: always
      sample:
        - team-a
    host_clusters:
      description: The host clusters of the group, sorted by name.
      type: list
      elements: dict
      returned: always
      contains:
        name:
          description: The name in the group.
          type: str
          returned: always
          sample: host-a
        reachable:
          description: Whether it was asked and answered. If not, its numbers are all null.
          type: bool
          returned: always
          sample: true
        reason:
          description:
            - Why it did not answer, or takes no new virtual clusters; otherwise empty.
            - It takes none if no node can be used, or the smallest that the group allows has no room.
          type: str
          returned: always
          sample: 2 of 9600m cpu left
        nodes:
          description: How many of its nodes count. Null if they may not be listed.
          type: int
          returned: always
          sample: 2
        dns_pattern:
          description: Host name of a virtual cluster there, with C(*) in the place of its name, or null.
          type: str
          returned: always
          sample: "*.a.dev.example.com"
        virtual_clusters:
          description: How many virtual clusters of the group are there.
          type: int
          returned: always
          sample: 2
        used_from:
          description:
            - V(metrics), if what is used of CPU and memory was measured (C(metrics.k8s.io)).
            - V(requests), if it is what pods request, as nobody measures.
            - Null, if neither may be read.
          type: str
          returned: always
          sample: requests
        capacity:
          description: What its nodes, or the group's record, say that it has.
          type: dict
          returned: always
          sample: {cpu: "8", memory: 32Gi, storage: 2Ti}
        limit:
          description: What may be allocated, which is the capacity times the oversubscription.
          type: dict
          returned: always
          sample: {cpu: 9600m, memory: 41231686041, storage: 2638827906662}
        allocated:
          description: What virtual clusters of all groups, and volumes that were kept, may claim.
          type: dict
          returned: always
          sample: {cpu: 7600m, memory: 8Gi, storage: 4Gi}
        used:
          description:
            - What the virtual clusters of all groups use, those that are paused no CPU and no memory.
            - Storage counts as used when it is claimed.
          type: dict
          returned: always
          sample: {cpu: 540m, memory: 1344Mi, storage: 2Gi}
        available:
          description: What is left to allocate. Negative if more is allocated than the limit.
          type: dict
          returned: always
          sample: {cpu: "2", memory: 32641751449, storage: 2634532939366}
    capacity:
      description: The total of the host clusters that answered; null if none of the group did.
      type: dict
      returned: always
      sample: {cpu: "16", memory: 64Gi, storage: 4Ti}
    limit:
      description: The total of what may be allocated.
      type: dict
      returned: always
      sample: {cpu: 19200m, memory: 82463372083, storage: 5277655813324}
    allocated:
      description: The total of what is allocated.
      type: dict
      returned: always
      sample: {cpu: 7600m, memory: 8Gi, storage: 4Gi}
    used:
      description: The total of what is used.
      type: dict
      returned: always
      sample: {cpu: 540m, memory: 1344Mi, storage: 2Gi}
    available:
      description: The total of what is left to allocate.
      type: dict
      returned: always
      sample: {cpu: 11600m, memory: 73873437491, storage: 5273360846028}
    virtual_clusters:
      description: The virtual clusters of the group, sorted by name.
      type: list
      elements: dict
      returned: always
      contains:
        name:
          description: The name.
          type: str
          returned: always
          sample: team-a
        namespace:
          description: The namespace on its host cluster.
          type: str
          returned: always
          sample: vcluster-team-a
        host_cluster:
          description: The host cluster that it is on.
          type: str
          returned: always
          sample: host-a
        phase:
          description:
            - As in M(nested.clusters.vcluster_info).
            - Or V(reserved), if it has its namespace and its size but no workload yet. Its task is just at it, or was
              interrupted and can be run again.
          type: str
          returned: always
          sample: running
        message:
          description: Why it is V(failed) or what is awaited while V(pending); otherwise empty.
          type: str
          returned: always
          sample: ""
        owner:
          description: Who it is for, empty if nobody was named.
          type: str
          returned: always
          sample: alice
        size:
          description: The most that it may claim.
          type: dict
          returned: always
          sample: {cpu: "4", memory: 4Gi, storage: 2Gi}
        used:
          description: What it uses. An amount that is not known is null.
          type: dict
          returned: always
          sample: {cpu: 270m, memory: 672Mi, storage: 1Gi}
        created:
          description: When its workload was created, or its namespace if it has none, in UTC (RFC 3339).
          type: str
          returned: always
          sample: "2026-11-20T08:15:42Z"
        age:
          description: Seconds since then.
          type: int
          returned: always
          sample: 68652
        vcluster_version:
          description: The version of vCluster that it runs, or null if that is not known.
          type: str
          returned: always
          sample: 0.36.1
        kubernetes_version:
          description: The version of its Kubernetes, or null if that is not known.
          type: str
          returned: always
          sample: v1.35.4
        pending:
          description: What of the group it does not have yet. Its M(nested.clusters.vcluster) task brings it there.
          type: list
          elements: str
          returned: always
          sample:
            - "vcluster_version: 0.36.0 applied, 0.36.1 in the group"
"""

from datetime import datetime, timezone
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.nested.clusters.plugins.module_utils.groups import group_report
from ansible_collections.nested.clusters.plugins.module_utils.k8s.connection import auth_argument_spec
from ansible_collections.nested.clusters.plugins.module_utils.k8s.host_clusters import host_clusters_spec, open_hosts
from ansible_collections.nested.clusters.plugins.module_utils.k8s.module import ModuleResult, run_module


def argument_spec() -> dict[str, Any]:
    """The options of the module."""
    return {**auth_argument_spec(), "name": {"type": "str"}, "host_clusters": host_clusters_spec()}


def run(module: AnsibleModule) -> ModuleResult:
    """Read the groups. Raises NestedClustersError if no host cluster answers."""
    found, warnings = group_report.read(open_hosts(module), module.params["name"], datetime.now(timezone.utc))
    return ModuleResult({"groups": found}, warnings=warnings)


def main() -> None:
    """Run the module."""
    run_module(argument_spec(), run)


if __name__ == "__main__":
    main()
