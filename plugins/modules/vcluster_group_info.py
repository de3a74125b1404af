#!/usr/bin/python
# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module nested.clusters.vcluster_group_info."""

from __future__ import annotations

DOCUMENTATION = r"""
module: vcluster_group_info
short_description: View the capacity and usage of groups of host clusters
version_added: 0.1.0
author:
  - The nested.clusters contributors (@nested-clusters)
description:
  - Reports groups that M(nested.clusters.vcluster_group) created, with the capacity of their host clusters, how much of
    it is allocated, used and available, and their virtual clusters.
  - Allocated resources count whether they are used or not, so a paused virtual cluster keeps its allocation. They
    include the virtual clusters of all groups on a host cluster, because these share its capacity, and the kept volumes
    of deleted virtual clusters.
  - The number of requests to the API of a host cluster does not depend on the number of virtual clusters, except that
    the module reads lists of more than 2500 objects in pages.
  - The module reports a host cluster that does not answer as unreachable, with a warning. The task fails only if no
    host cluster answers.
options:
  name:
    description:
      - Name of the group. The result is empty if the group does not exist.
      - By default, the module reports all groups of the host clusters.
    type: str
extends_documentation_fragment:
  - nested.clusters.connection
  - nested.clusters.host_clusters
  - nested.clusters.requirements
  - nested.clusters.attributes
  - nested.clusters.attributes.action_group
  - nested.clusters.attributes.info_module
notes:
  - The result uses the names of host clusters in the group, which can differ from those in O(host_clusters).
  - Requires permission to read the ConfigMaps of the namespace C(nested-clusters), Namespaces, StatefulSets and
    Deployments. The module also reads Nodes, ResourceQuotas and the metrics of pods. It reads Pods and Events only
    while a virtual cluster is not ready, and PersistentVolumeClaims only if no ResourceQuota counts them.
  - If the module may not list a kind, the values that depend on it are null, and a warning says so.
  - An amount is also null if there is no limit, for example for storage without a declared capacity.
seealso:
  - module: nested.clusters.vcluster_group
    description: Manage groups of host clusters.
  - module: nested.clusters.vcluster_info
    description: List virtual clusters and their status.
"""

EXAMPLES = r"""
- name: View the group of the development teams
  nested.clusters.vcluster_group_info:
    name: dev
    host_clusters:
      - name: host-a
        context: a
      - name: host-b
        context: b
  register: found

- name: Show what is left on each host cluster
  ansible.builtin.debug:
    msg: "{{ item.available.cpu }} cores, {{ item.available.memory }} of memory. {{ item.reason }}"
  loop: "{{ found.groups[0].host_clusters | selectattr('reachable') }}"
  loop_control:
    label: "{{ item.name }}"

- name: View all groups of the host cluster that the connection options name
  nested.clusters.vcluster_group_info:
  register: all

- name: Fail if virtual clusters differ from their groups
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
      description: Name of the group.
      type: str
      returned: always
      sample: dev
    description:
      description: Purpose of the group.
      type: str
      returned: always
      sample: Development teams
    tags:
      description: Tags of the group, as keys and values of your own.
      type: dict
      returned: always
      contains:
        TAG:
          description: Value of a tag. The key is the name of the tag.
          type: str
          returned: for each tag
          sample: "4711"
      sample:
        cost-center: "4711"
    vcluster_version:
      description:
        - Locked version of vCluster, which every virtual cluster of the group must run; null if there is no lock.
      type: str
      returned: always
      sample: 0.36.1
    kubernetes_version:
      description:
        - Version of Kubernetes in virtual clusters whose tasks do not set it; null for the default of their vCluster
          version.
      type: str
      returned: always
      sample: v1.35.4
    replicas:
      description: Number of replicas of control planes whose tasks do not set it; null for 1.
      type: int
      returned: always
      sample: 3
    backing_store:
      description:
        - Where new virtual clusters keep their data if their tasks do not set it. Empty for the embedded database.
      type: dict
      returned: always
      contains:
        type:
          description: Type of the backing store.
          type: str
          returned: unless empty
          sample: deployed_etcd
        replicas:
          description: Number of members of a deployed etcd.
          type: int
          returned: when set
          sample: 3
        endpoint:
          description: Address of an external etcd, with C(*) for the name of the virtual cluster.
          type: str
          returned: when set
          sample: etcd-*.stores.svc:2379
        tls_secret:
          description: Secret that authenticates to an external etcd.
          type: str
          returned: when set
          sample: etcd-client
      sample:
        type: deployed_etcd
        replicas: 3
    distribution:
      description: Kubernetes distribution of the virtual clusters.
      type: str
      returned: always
      sample: k8s
    endpoint:
      description: How clients reach the virtual clusters, as in M(nested.clusters.vcluster_group).
      type: dict
      returned: always
      contains:
        type:
          description: Type of the endpoint.
          type: str
          returned: always
          sample: ingress
        ingress_class:
          description: IngressClass of the controller.
          type: str
          returned: when set
          sample: nginx
        gateway_name:
          description: Name of the Gateway.
          type: str
          returned: when set
          sample: virtual-clusters
        gateway_namespace:
          description: Namespace of the Gateway.
          type: str
          returned: when set
          sample: nested-gateway
        annotations:
          description: Annotations for the Service, Ingress or TLSRoute.
          type: dict
          returned: when set
          contains:
            ANNOTATION:
              description: Value of an annotation. The key is the name of the annotation.
              type: str
              returned: for each annotation
              sample: internal
      sample:
        type: ingress
        ingress_class: nginx
    oversubscription:
      description: How much of the capacity can be allocated, in percent.
      type: int
      returned: always
      sample: 120
    placement:
      description: How a host cluster is chosen, V(spread) or V(pack).
      type: str
      returned: always
      sample: spread
    size:
      description: Sizes of virtual clusters.
      type: dict
      returned: always
      contains:
        default:
          description: Size of a virtual cluster whose task does not set it.
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
        minimum:
          description: Minimum size of a virtual cluster.
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
        maximum:
          description: Maximum size of a virtual cluster.
          type: dict
          returned: always
          contains:
            cpu:
              description: CPU cores; null if there is no limit.
              type: str
              returned: always
              sample: "8"
            memory:
              description: Memory in bytes; null if there is no limit.
              type: str
              returned: always
              sample: 16Gi
            storage:
              description: Storage in bytes; null if there is no limit.
              type: str
              returned: always
              sample: null
      sample:
        default: {cpu: "4", memory: 4Gi, storage: 2Gi}
        minimum: {cpu: "4", memory: 4Gi, storage: 2Gi}
        maximum: {cpu: "8", memory: 16Gi, storage: null}
    owner_quota:
      description: Maximum that one owner can have; null if there is no limit and the group is not exempt.
      type: dict
      returned: always
      contains:
        virtual_clusters:
          description: Number of virtual clusters; null if there is no limit.
          type: int
          returned: always
          sample: 4
        cpu:
          description: CPU cores; null if there is no limit.
          type: str
          returned: always
          sample: "20"
        memory:
          description: Memory in bytes; null if there is no limit.
          type: str
          returned: always
          sample: 32Gi
        storage:
          description: Storage in bytes; null if there is no limit.
          type: str
          returned: always
          sample: null
        exempt:
          description: Whether the group has no quota, and does not count for the quota of other groups.
          type: bool
          returned: always
          sample: false
      sample: {virtual_clusters: 4, cpu: "20", memory: 32Gi, storage: null, exempt: false}
    oidc:
      description: OpenID Connect issuer of the virtual clusters; empty if there is none.
      type: dict
      returned: always
      contains:
        issuer_url:
          description: URL of the issuer.
          type: str
          returned: when set
          sample: https://login.example.com
        client_id:
          description: ID of the client.
          type: str
          returned: when set
          sample: kubernetes
        username_claim:
          description: Claim that contains the name of the user.
          type: str
          returned: when set
          sample: email
        username_prefix:
          description: Prefix for user names.
          type: str
          returned: when set
          sample: "oidc:"
        groups_claim:
          description: Claim that contains the groups of the user.
          type: str
          returned: when set
          sample: groups
        groups_prefix:
          description: Prefix for group names.
          type: str
          returned: when set
          sample: "oidc:"
        extra_scopes:
          description: Scopes that the kubeconfig requests in addition to C(openid).
          type: list
          elements: str
          returned: when set
          sample: [email]
      sample:
        issuer_url: https://login.example.com
        client_id: kubernetes
    pending_upgrade:
      description:
        - Whether a virtual cluster does not run the locked version, so that the group accepts no new virtual clusters.
      type: bool
      returned: always
      sample: true
    pending_upgrade_virtual_clusters:
      description: Names of the virtual clusters that do not run the locked version.
      type: list
      elements: str
      returned: always
      sample:
        - team-a
    host_clusters:
      description: Host clusters of the group, sorted by name.
      type: list
      elements: dict
      returned: always
      contains:
        name:
          description: Name of the host cluster in the group.
          type: str
          returned: always
          sample: host-a
        reachable:
          description: Whether the task includes it and it answered. If not, its numbers are null.
          type: bool
          returned: always
          sample: true
        reason:
          description:
            - Why it did not answer or accepts no new virtual clusters; otherwise empty.
            - It accepts none if no node is usable, or if it has no room for the minimum size of the group.
          type: str
          returned: always
          sample: 2 of 9600m cpu left
        nodes:
          description: Number of usable nodes; null if the module may not list nodes.
          type: int
          returned: always
          sample: 2
        dns_pattern:
          description: Host name of a virtual cluster there, with C(*) for its name; null if there is none.
          type: str
          returned: always
          sample: "*.a.dev.example.com"
        virtual_clusters:
          description: Number of virtual clusters of the group on it.
          type: int
          returned: always
          sample: 2
        used_from:
          description:
            - V(metrics) if CPU and memory usage was measured (C(metrics.k8s.io)).
            - V(requests) if the usage is what pods request, because nothing measures it.
            - Null if the module may read neither.
          type: str
          returned: always
          sample: requests
        capacity:
          description: Capacity of its usable nodes, or the capacity declared in the group.
          type: dict
          returned: always
          contains:
            cpu:
              description: CPU cores; null if it is not known.
              type: str
              returned: always
              sample: "8"
            memory:
              description: Memory in bytes; null if it is not known.
              type: str
              returned: always
              sample: 32Gi
            storage:
              description: Storage in bytes; null if it is not known.
              type: str
              returned: always
              sample: 2Ti
          sample: {cpu: "8", memory: 32Gi, storage: 2Ti}
        limit:
          description: What can be allocated, which is the capacity times the oversubscription.
          type: dict
          returned: always
          contains:
            cpu:
              description: CPU cores; null if there is no limit.
              type: str
              returned: always
              sample: 9600m
            memory:
              description: Memory in bytes; null if there is no limit.
              type: str
              returned: always
              sample: 41231686041
            storage:
              description: Storage in bytes; null if there is no limit.
              type: str
              returned: always
              sample: 2638827906662
          sample: {cpu: 9600m, memory: 41231686041, storage: 2638827906662}
        allocated:
          description: Sizes of the virtual clusters of all groups, and kept volumes.
          type: dict
          returned: always
          contains:
            cpu:
              description: CPU cores; null if it is not known.
              type: str
              returned: always
              sample: 7600m
            memory:
              description: Memory in bytes; null if it is not known.
              type: str
              returned: always
              sample: 8Gi
            storage:
              description: Storage in bytes; null if it is not known.
              type: str
              returned: always
              sample: 4Gi
          sample: {cpu: 7600m, memory: 8Gi, storage: 4Gi}
        used:
          description:
            - What the virtual clusters of all groups use. Paused ones use no CPU and no memory.
            - Storage counts as used when it is claimed.
          type: dict
          returned: always
          contains:
            cpu:
              description: CPU cores; null if it is not known.
              type: str
              returned: always
              sample: 540m
            memory:
              description: Memory in bytes; null if it is not known.
              type: str
              returned: always
              sample: 1344Mi
            storage:
              description: Storage in bytes; null if it is not known.
              type: str
              returned: always
              sample: 2Gi
          sample: {cpu: 540m, memory: 1344Mi, storage: 2Gi}
        available:
          description: What is left to allocate. Negative if more is allocated than the limit.
          type: dict
          returned: always
          contains:
            cpu:
              description: CPU cores; null if there is no limit or it is not known.
              type: str
              returned: always
              sample: "2"
            memory:
              description: Memory in bytes; null if there is no limit or it is not known.
              type: str
              returned: always
              sample: 32641751449
            storage:
              description: Storage in bytes; null if there is no limit or it is not known.
              type: str
              returned: always
              sample: 2634532939366
          sample: {cpu: "2", memory: 32641751449, storage: 2634532939366}
    capacity:
      description: Total capacity of the host clusters that answered; null if none did.
      type: dict
      returned: always
      contains:
        cpu:
          description: CPU cores; null if it is not known.
          type: str
          returned: always
          sample: "16"
        memory:
          description: Memory in bytes; null if it is not known.
          type: str
          returned: always
          sample: 64Gi
        storage:
          description: Storage in bytes; null if it is not known.
          type: str
          returned: always
          sample: 4Ti
      sample: {cpu: "16", memory: 64Gi, storage: 4Ti}
    limit:
      description: Total that can be allocated; null if no host cluster answered.
      type: dict
      returned: always
      contains:
        cpu:
          description: CPU cores; null if there is no limit.
          type: str
          returned: always
          sample: 19200m
        memory:
          description: Memory in bytes; null if there is no limit.
          type: str
          returned: always
          sample: 82463372083
        storage:
          description: Storage in bytes; null if there is no limit.
          type: str
          returned: always
          sample: 5277655813324
      sample: {cpu: 19200m, memory: 82463372083, storage: 5277655813324}
    allocated:
      description: Total that is allocated; null if no host cluster answered.
      type: dict
      returned: always
      contains:
        cpu:
          description: CPU cores; null if it is not known.
          type: str
          returned: always
          sample: 7600m
        memory:
          description: Memory in bytes; null if it is not known.
          type: str
          returned: always
          sample: 8Gi
        storage:
          description: Storage in bytes; null if it is not known.
          type: str
          returned: always
          sample: 4Gi
      sample: {cpu: 7600m, memory: 8Gi, storage: 4Gi}
    used:
      description: Total that is used; null if no host cluster answered.
      type: dict
      returned: always
      contains:
        cpu:
          description: CPU cores; null if it is not known.
          type: str
          returned: always
          sample: 540m
        memory:
          description: Memory in bytes; null if it is not known.
          type: str
          returned: always
          sample: 1344Mi
        storage:
          description: Storage in bytes; null if it is not known.
          type: str
          returned: always
          sample: 2Gi
      sample: {cpu: 540m, memory: 1344Mi, storage: 2Gi}
    available:
      description: Total that is left to allocate; null if no host cluster answered.
      type: dict
      returned: always
      contains:
        cpu:
          description: CPU cores; null if there is no limit or it is not known.
          type: str
          returned: always
          sample: 11600m
        memory:
          description: Memory in bytes; null if there is no limit or it is not known.
          type: str
          returned: always
          sample: 73873437491
        storage:
          description: Storage in bytes; null if there is no limit or it is not known.
          type: str
          returned: always
          sample: 5273360846028
      sample: {cpu: 11600m, memory: 73873437491, storage: 5273360846028}
    virtual_clusters:
      description: Virtual clusters of the group, sorted by name.
      type: list
      elements: dict
      returned: always
      contains:
        name:
          description: Name of the virtual cluster.
          type: str
          returned: always
          sample: team-a
        namespace:
          description: Namespace on its host cluster.
          type: str
          returned: always
          sample: vcluster-team-a
        host_cluster:
          description: Name of its host cluster.
          type: str
          returned: always
          sample: host-a
        phase:
          description:
            - Phase of the virtual cluster, as in M(nested.clusters.vcluster_info).
            - V(reserved) if it has its namespace and its size but no workload yet. A task is creating it, or was
              interrupted and can run again.
          type: str
          returned: always
          sample: running
        message:
          description: Why it is V(failed), or what it waits for while V(pending); otherwise empty.
          type: str
          returned: always
          sample: ""
        owner:
          description: Owner of the virtual cluster; empty if it has none.
          type: str
          returned: always
          sample: alice
        size:
          description: Maximum resources that it can claim.
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
          sample: {cpu: "4", memory: 4Gi, storage: 2Gi}
        used:
          description: What it uses.
          type: dict
          returned: always
          contains:
            cpu:
              description: CPU cores; null if it is not known.
              type: str
              returned: always
              sample: 270m
            memory:
              description: Memory in bytes; null if it is not known.
              type: str
              returned: always
              sample: 672Mi
            storage:
              description: Storage in bytes; null if it is not known.
              type: str
              returned: always
              sample: 1Gi
          sample: {cpu: 270m, memory: 672Mi, storage: 1Gi}
        created:
          description: When its workload was created, or its namespace if it has no workload, in UTC (RFC 3339).
          type: str
          returned: always
          sample: "2026-11-20T08:15:42Z"
        age:
          description: Time since its workload or namespace was created, in seconds.
          type: int
          returned: always
          sample: 68652
        vcluster_version:
          description: Version of vCluster that it runs; null if it is not known.
          type: str
          returned: always
          sample: 0.36.1
        kubernetes_version:
          description: Version of its Kubernetes; null if it is not known.
          type: str
          returned: always
          sample: v1.35.4
        pending:
          description:
            - Settings of the group that it does not have yet. Its M(nested.clusters.vcluster) task applies them.
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
    """Return the options of the module."""
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
