#!/usr/bin/python
# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module nested.clusters.vcluster_group."""

from __future__ import annotations

DOCUMENTATION = r"""
module: vcluster_group
short_description: Create, change and delete a group of host clusters for virtual clusters
version_added: 0.1.0
author:
  - The nested.clusters contributors (@nested-clusters)
description:
  - A cluster group says once which host clusters virtual clusters may go to, how large they may be, how much one
    owner may have, and what they have in common. M(nested.clusters.vcluster) then only needs the group's name.
  - The group is a ConfigMap in namespace C(nested-clusters) on each of its host clusters. It holds no connection and
    no credential.
  - Changing a group changes no virtual cluster. RV(pending) says which ones differ from it; running their
    M(nested.clusters.vcluster) tasks again brings them to the new state.
  - What a task leaves out stays as it is. The defaults named here are those of a new group.
options:
  name:
    description:
      - Name of the group. At most 40 lower-case letters, digits and C(-).
    type: str
    required: true
  state:
    description:
      - V(present) creates the group, or brings it to what the task says.
      - V(absent) deletes it, which is refused while a virtual cluster is in it.
    type: str
    choices: [present, absent]
    default: present
  description:
    description:
      - What the group is for. The default is none.
    type: str
  tags:
    description:
      - Names and values of your own. The default is none.
    type: dict
  endpoint:
    description:
      - How the virtual clusters of the group are reached from outside.
    type: dict
    suboptions:
      type:
        description:
          - The kind of endpoint. The default is V(cluster_ip), which is reached from inside the host cluster.
          - Each host cluster must be able to serve it.
        type: str
        choices: [cluster_ip, node_port, load_balancer, ingress, gateway]
        default: cluster_ip
      ingress_class:
        description:
          - Ingress class of a controller with SSL passthrough. The default is the host cluster's default class.
        type: str
      gateway_name:
        description:
          - Gateway with a listener of protocol TLS and mode Passthrough.
        type: str
      gateway_namespace:
        description:
          - Namespace of O(endpoint.gateway_name). The default is C(default).
        type: str
      annotations:
        description:
          - Annotations for the Service, Ingress or TLSRoute of each virtual cluster.
        type: dict
  distribution:
    description:
      - Kubernetes distribution of the virtual clusters. The default is V(k8s), the only one from vCluster 0.33 on.
    type: str
    choices: [k8s, k3s, k0s]
  replicas:
    description:
      - How many replicas each control plane has, where the task of the virtual cluster says nothing. The default is 1.
      - More than one needs another O(backing_store) than the embedded database.
    type: int
  backing_store:
    description:
      - Where new virtual clusters of the group keep their data, where their tasks say nothing. An empty dictionary
        takes it away again. Those that are there keep the one they have.
      - An external database is an option of each virtual cluster alone, because its address holds a password.
    type: dict
    suboptions:
      type:
        description: As in M(nested.clusters.vcluster).
        type: str
        choices: [embedded_sqlite, deployed_etcd, external_etcd]
      replicas:
        description: How many members a deployed etcd has, 1, 3, 5 or 7. The default is 1.
        type: int
      endpoint:
        description:
          - Address of the external etcd of each virtual cluster, with one C(*) where the virtual cluster's name goes,
            such as V(etcd-*.stores.svc:2379). Two virtual clusters cannot share an etcd.
        type: str
      tls_secret:
        description:
          - Secret of type C(kubernetes.io/tls) in the namespace of each virtual cluster, to log in to its etcd with.
        type: str
  kubernetes_version:
    description:
      - Version of Kubernetes in the virtual clusters, where their tasks name none.
      - The default is that of their vCluster version. An empty string takes it away again.
    type: str
  vcluster_version:
    description:
      - The vCluster version that every virtual cluster of the group runs. The default is no lock.
      - While one of them runs another version, the group is waiting for an upgrade and takes no new ones.
        The playbook C(nested.clusters.upgrade) moves the lock and all of them.
      - An empty string takes the lock away.
    type: str
  oversubscription:
    description:
      - How much of the host clusters' capacity may be allocated, in percent. The default is V(120).
    type: int
  placement:
    description:
      - V(spread) puts a new virtual cluster where the largest fraction of the scarcest resource is left, V(pack)
        where the smallest is. The default is V(spread).
    type: str
    choices: [spread, pack]
  size:
    description:
      - Sizes of virtual clusters. All that they claim counts, their control planes included.
    type: dict
    suboptions:
      default:
        description:
          - For virtual clusters that ask for none. The default is 4 cores, 4Gi of memory and 2Gi of storage.
        type: dict
        suboptions: &size
          cpu:
            description: Cores, such as V(4).
            type: str
          memory:
            description: Bytes, such as V(4Gi).
            type: str
          storage:
            description: Bytes, such as V(20Gi).
            type: str
      minimum:
        description:
          - The least that a virtual cluster may ask for. The default is 4 cores, 4Gi and 2Gi; with V(k3s) it is 4
            cores, 3Gi and no storage.
        type: dict
        suboptions: *size
      maximum:
        description:
          - The most that a virtual cluster may ask for. The default is no limit. An empty string takes one away.
        type: dict
        suboptions: *size
  owner_quota:
    description:
      - The most that one owner may have, counted over all given host clusters and all groups that are not exempt.
      - When given, it is the whole quota. The default is no quota.
    type: dict
    suboptions:
      virtual_clusters:
        description: Number of virtual clusters.
        type: int
      cpu:
        description: Cores, such as V(20).
        type: str
      memory:
        description: Bytes, such as V(32Gi).
        type: str
      storage:
        description: Bytes, such as V(60Gi).
        type: str
      exempt:
        description: The group neither has a quota nor counts for the quota of others.
        type: bool
  values:
    description:
      - Configuration of all virtual clusters of the group, as in C(vcluster.yaml), under that of each one.
      - It must hold no credential, because everybody who uses the group can read it.
    type: dict
  oidc:
    description:
      - An OpenID Connect issuer, for the API servers of the virtual clusters and the kubeconfigs handed out for them.
      - When given, it is the whole configuration, and an empty dictionary takes it away. The default is none.
    type: dict
    suboptions:
      issuer_url:
        description: URL of the issuer, with C(https).
        type: str
      client_id:
        description: ID of a public client at the issuer.
        type: str
      username_claim:
        description: Claim that is the user's name. Kubernetes takes C(sub) by default.
        type: str
      username_prefix:
        description: Prefix for user names.
        type: str
      groups_claim:
        description: Claim with the user's groups.
        type: str
      groups_prefix:
        description: Prefix for groups.
        type: str
      extra_scopes:
        description: Scopes that the kubeconfig asks for beside C(openid).
        type: list
        elements: str
extends_documentation_fragment:
  - nested.clusters.connection
  - nested.clusters.host_clusters.members
  - nested.clusters.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
requirements:
  - python >= 3.10
  - kubernetes >= 24.2.0
  - PyYAML >= 3.11
seealso:
  - module: nested.clusters.vcluster_group_info
  - module: nested.clusters.vcluster
"""

EXAMPLES = r"""
- name: Two host clusters for the development teams
  nested.clusters.vcluster_group:
    name: dev
    description: Development teams
    host_clusters:
      - name: host-a
        context: a
        dns_pattern: "*.a.dev.example.com"
      - name: host-b
        context: b
        dns_pattern: "*.b.dev.example.com"
        capacity:
          storage: 2Ti
    endpoint:
      type: ingress
      ingress_class: nginx
    vcluster_version: 0.36.1
    size:
      default: {cpu: 4, memory: 4Gi, storage: 5Gi}
      maximum: {cpu: 8, memory: 16Gi, storage: 50Gi}
    owner_quota:
      virtual_clusters: 4
      cpu: 20
      memory: 32Gi
      storage: 60Gi

- name: The one host cluster that the connection options name
  nested.clusters.vcluster_group:
    name: lab
    oversubscription: 150

- name: Take a host cluster out of the group
  nested.clusters.vcluster_group:
    name: dev
    host_clusters:
      - name: host-a
        context: a
      - name: host-b
        context: b
        state: absent

- name: Delete the group
  nested.clusters.vcluster_group:
    name: lab
    state: absent
"""

RETURN = r"""
steps:
  description: What was done, or in check mode would be done. Empty when nothing changes.
  returned: success
  type: list
  elements: str
  sample:
    - create namespace nested-clusters on host cluster host-a
    - write the record of group dev on host cluster host-a
group:
  description: The group as it is stored, or in check mode would be. Empty when it is deleted.
  returned: success
  type: dict
  sample:
    name: dev
    description: Development teams
    oversubscription: 120
    vcluster_version: 0.36.1
pending:
  description: What virtual clusters of the group do not have of it yet, by their names.
  returned: success
  type: dict
  sample:
    team-a:
      - "vcluster_version: 0.36.0 applied, 0.36.1 in the group"
pending_upgrade:
  description: Virtual clusters that do not run the locked version. The group takes no new ones until none is left.
  returned: success
  type: list
  elements: str
  sample: [team-a]
done_host_clusters:
  description: Host clusters that were changed although the task failed.
  returned: when a part of the host clusters could not be changed
  type: list
  elements: str
  sample: [host-a]
failed_host_clusters:
  description: Host clusters that did not answer, or could not be changed.
  returned: when there are some
  type: list
  elements: str
  sample: [host-b]
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.nested.clusters.plugins.module_utils.common.size import RESOURCES
from ansible_collections.nested.clusters.plugins.module_utils.groups import group_change, group_records
from ansible_collections.nested.clusters.plugins.module_utils.k8s.connection import auth_argument_spec
from ansible_collections.nested.clusters.plugins.module_utils.k8s.host_clusters import (
    LOST,
    host_clusters_spec,
    open_hosts,
)
from ansible_collections.nested.clusters.plugins.module_utils.k8s.module import ModuleResult, run_module
from ansible_collections.nested.clusters.plugins.module_utils.scheduling.placements import STRATEGIES
from ansible_collections.nested.clusters.plugins.module_utils.values.backing_store import STORES
from ansible_collections.nested.clusters.plugins.module_utils.values.control_plane import DISTRIBUTIONS
from ansible_collections.nested.clusters.plugins.module_utils.values.endpoint import ENDPOINT_TYPES

MEMBER = {"state": "present", "dns_pattern": None, "capacity": None, "node_selector": None}


def argument_spec() -> dict[str, Any]:
    """The options of the module."""
    text: dict[str, Any] = {"type": "str"}
    size: dict[str, Any] = {"type": "dict", "options": dict.fromkeys(RESOURCES, text)}
    return {
        **auth_argument_spec(),
        "name": {"type": "str", "required": True},
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        "description": text,
        "tags": {"type": "dict"},
        "host_clusters": host_clusters_spec(
            state={"type": "str", "choices": ["present", "absent", LOST], "default": "present"},
            dns_pattern=text,
            capacity=size,
            node_selector={"type": "dict"},
        ),
        "endpoint": {
            "type": "dict",
            "options": {
                "type": {"type": "str", "choices": list(ENDPOINT_TYPES), "default": "cluster_ip"},
                "ingress_class": text,
                "gateway_name": text,
                "gateway_namespace": text,
                "annotations": {"type": "dict"},
            },
        },
        "distribution": {"type": "str", "choices": list(DISTRIBUTIONS)},
        "replicas": {"type": "int"},
        "backing_store": {
            "type": "dict",
            "options": {
                "type": {"type": "str", "choices": [kind for kind in STORES if kind != "external_database"]},
                "replicas": {"type": "int"},
                "endpoint": text,
                "tls_secret": {**text, "no_log": False},
            },
        },
        "kubernetes_version": text,
        "vcluster_version": text,
        "oversubscription": {"type": "int"},
        "placement": {"type": "str", "choices": list(STRATEGIES)},
        "size": {"type": "dict", "options": {"default": size, "minimum": size, "maximum": size}},
        "owner_quota": {
            "type": "dict",
            "options": {"virtual_clusters": {"type": "int"}, **size["options"], "exempt": {"type": "bool"}},
        },
        "values": {"type": "dict"},
        "oidc": {
            "type": "dict",
            "options": {
                **dict.fromkeys(
                    ("issuer_url", "client_id", "username_claim", "username_prefix", "groups_claim", "groups_prefix"),
                    text,
                ),
                "extra_scopes": {"type": "list", "elements": "str"},
            },
        },
    }


def run(module: AnsibleModule) -> ModuleResult:
    """Create, change or delete the group. Raises NestedClustersError."""
    params, check = module.params, module.check_mode
    hosts = open_hosts(module)
    options = params["host_clusters"] or [MEMBER]
    there = [entry for entry in options if entry["state"] != LOST]
    lost = [entry["name"] for entry in options if entry["state"] == LOST]
    if params["state"] == "absent":
        change = group_change.absent(hosts, params["name"], check, lost)
    else:
        change = group_change.present(list(zip(hosts, there, strict=True)), params, check, lost)
    steps = change.sentences()
    data = {
        "steps": steps,
        "group": group_records.record(change.after) if change.after else {},
        "pending": change.pending,
        "pending_upgrade": change.pending_upgrade,
    }
    return ModuleResult(data, changed=bool(steps), diff=change.diff, warnings=change.warnings)


def main() -> None:
    """Run the module."""
    run_module(argument_spec(), run)


if __name__ == "__main__":
    main()
