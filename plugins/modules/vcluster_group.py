#!/usr/bin/python
# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module nested.clusters.vcluster_group."""

from __future__ import annotations

DOCUMENTATION = r"""
module: vcluster_group
short_description: Manage a group of host clusters for virtual clusters
version_added: 0.1.0
author:
  - The nested.clusters contributors (@nested-clusters)
description:
  - A cluster group defines which host clusters virtual clusters can use, how large they can be, how much one owner can
    have, and which settings they share. M(nested.clusters.vcluster) then needs only the name of the group.
  - The group is stored as a ConfigMap in the namespace C(nested-clusters) on each of its host clusters. It contains no
    connection and no credential.
  - Changing a group changes no virtual cluster. RV(pending) lists the virtual clusters that differ from the group. To
    apply the changes, run their M(nested.clusters.vcluster) tasks again.
  - Options that are not set keep the settings of an existing group. The defaults in this documentation apply to a new
    group.
options:
  name:
    description:
      - Name of the group, with at most 40 lowercase letters, digits and hyphens.
    type: str
    required: true
  state:
    description:
      - V(present) creates the group, or changes it to match the task.
      - V(absent) deletes the group. The module refuses to delete a group that contains virtual clusters.
    type: str
    choices: [present, absent]
    default: present
  description:
    description:
      - Purpose of the group. The default is an empty text.
    type: str
  tags:
    description:
      - Tags of the group, as a dictionary of your own keys and values. The default is no tags.
    type: dict
  endpoint:
    description:
      - How clients outside of the host cluster reach the virtual clusters of the group. By default, they are reached
        only from inside of the host cluster.
    type: dict
    suboptions:
      type:
        description:
          - Type of the endpoint, as in M(nested.clusters.vcluster). Each host cluster must support it.
          - V(cluster_ip) is reached only from inside of the host cluster.
        type: str
        choices: [cluster_ip, node_port, load_balancer, ingress, gateway]
        default: cluster_ip
      ingress_class:
        description:
          - IngressClass of a controller with SSL passthrough. The default is the default class of the host cluster.
        type: str
      gateway_name:
        description:
          - Name of a Gateway that has a listener with protocol TLS and mode Passthrough. Required for V(gateway).
        type: str
      gateway_namespace:
        description:
          - Namespace of the Gateway. The default is C(default).
        type: str
      annotations:
        description:
          - Annotations for the Service, Ingress or TLSRoute of each virtual cluster. By default, none are added.
        type: dict
  distribution:
    description:
      - Kubernetes distribution of the virtual clusters. The default is V(k8s), the only distribution from vCluster 0.33
        on.
    type: str
    choices: [k8s, k3s, k0s]
  replicas:
    description:
      - Number of replicas of each control plane whose task does not set it. The default is 1.
      - More than one replica requires an O(backing_store) other than the embedded database.
    type: int
  backing_store:
    description:
      - Where new virtual clusters of the group keep their data if their tasks do not set it. Existing virtual clusters
        keep their store.
      - An external database is an option of single virtual clusters only, because its address contains a password.
      - The default is the embedded database. An empty dictionary restores the default.
    type: dict
    suboptions:
      type:
        description: Type of the backing store, as in M(nested.clusters.vcluster).
        type: str
        choices: [embedded_sqlite, deployed_etcd, external_etcd]
      replicas:
        description: Number of members of a deployed etcd, which is 1, 3, 5 or 7. The default is 1.
        type: int
      endpoint:
        description:
          - Address of the external etcd of each virtual cluster. It contains one C(*), which stands for the name of the
            virtual cluster, such as V(etcd-*.stores.svc:2379), because virtual clusters cannot share an etcd.
          - Required for V(external_etcd).
        type: str
      tls_secret:
        description:
          - Name of a Secret of type C(kubernetes.io/tls) in the namespace of each virtual cluster that authenticates to
            its etcd. By default, no certificate is used.
        type: str
  kubernetes_version:
    description:
      - Version of Kubernetes in virtual clusters whose tasks do not set it.
      - The default is the default of their vCluster version. An empty string restores the default.
    type: str
  vcluster_version:
    description:
      - Locked version of vCluster, which every virtual cluster of the group must run.
      - While a virtual cluster runs another version, the group is pending an upgrade and accepts no new virtual
        clusters. The playbook C(nested.clusters.upgrade) changes the lock and upgrades all virtual clusters.
      - The default is no lock. An empty string removes the lock.
    type: str
  oversubscription:
    description:
      - How much of the capacity of the host clusters can be allocated, in percent. The default is V(120).
    type: int
  placement:
    description:
      - V(spread) places a new virtual cluster on the host cluster that keeps the largest fraction of its scarcest
        resource, V(pack) on the one that keeps the smallest. The default is V(spread).
    type: str
    choices: [spread, pack]
  size:
    description:
      - Sizes of virtual clusters, including their control planes.
    type: dict
    suboptions:
      default:
        description:
          - Size of virtual clusters whose tasks do not set it. The default is 4 cores, 4Gi of memory and 2Gi of
            storage.
        type: dict
        suboptions: &size
          cpu:
            description: CPU cores, such as V(4).
            type: str
          memory:
            description: Memory in bytes, such as V(4Gi).
            type: str
          storage:
            description: Storage in bytes, such as V(20Gi).
            type: str
      minimum:
        description:
          - Minimum size of a virtual cluster. The default is 4 cores, 4Gi of memory and 2Gi of storage, or with V(k3s)
            4 cores, 3Gi of memory and no storage.
        type: dict
        suboptions: *size
      maximum:
        description:
          - Maximum size of a virtual cluster. The default is no limit. An empty string removes a limit.
        type: dict
        suboptions: *size
  owner_quota:
    description:
      - Maximum that one owner can have, on all host clusters of the task and in all groups that are not exempt.
      - The option replaces the whole quota. Resources that it leaves out have no limit.
      - The default is no quota.
    type: dict
    suboptions:
      virtual_clusters:
        description: Number of virtual clusters.
        type: int
      cpu:
        description: CPU cores, such as V(20).
        type: str
      memory:
        description: Memory in bytes, such as V(32Gi).
        type: str
      storage:
        description: Storage in bytes, such as V(60Gi).
        type: str
      exempt:
        description:
          - Whether the group has no quota, and does not count for the quota of other groups. The default is V(false).
        type: bool
  values:
    description:
      - Configuration of all virtual clusters of the group, as in C(vcluster.yaml). The values of a virtual cluster take
        precedence.
      - The values must not contain a credential, because everyone who uses the group can read them.
      - The default is no values.
    type: dict
  oidc:
    description:
      - OpenID Connect issuer for the API servers of the virtual clusters and for their kubeconfigs.
      - The option replaces the whole configuration, and an empty dictionary removes it. The default is no issuer.
    type: dict
    suboptions:
      issuer_url:
        description: URL of the issuer, with C(https).
        type: str
      client_id:
        description: ID of a public client of the issuer.
        type: str
      username_claim:
        description: Claim that contains the name of the user. The default is that of Kubernetes, C(sub).
        type: str
      username_prefix:
        description: Prefix for user names. The default is that of Kubernetes.
        type: str
      groups_claim:
        description: Claim that contains the groups of the user. By default, users have no groups.
        type: str
      groups_prefix:
        description: Prefix for group names. The default is no prefix.
        type: str
      extra_scopes:
        description: Scopes that the kubeconfig requests in addition to C(openid). The default is none.
        type: list
        elements: str
extends_documentation_fragment:
  - nested.clusters.connection
  - nested.clusters.host_clusters.members
  - nested.clusters.attributes
  - nested.clusters.attributes.action_group
  - nested.clusters.requirements
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
seealso:
  - module: nested.clusters.vcluster_group_info
    description: View the capacity and usage of groups of host clusters.
  - module: nested.clusters.vcluster
    description: Manage one virtual cluster.
  - module: nested.clusters.vcluster_fleet
    description: Manage all virtual clusters of a list.
"""

EXAMPLES = r"""
- name: Create a group of two host clusters for the development teams
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

- name: Create a group of the host cluster that the connection options name
  nested.clusters.vcluster_group:
    name: lab
    oversubscription: 150

- name: Remove a host cluster from the group
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
  description:
    - What the module did, or in check mode would do, in this order. Empty if nothing changes.
  returned: success
  type: list
  elements: str
  sample:
    - create namespace nested-clusters on host cluster host-a
    - write the record of group dev on host cluster host-a
group:
  description:
    - The group as it is stored, or in check mode would be. Empty if it is deleted.
    - It also has C(values), the configuration of the virtual clusters as in C(vcluster.yaml).
  returned: success
  type: dict
  contains:
    schema:
      description: Version of the format of the record.
      type: int
      returned: always
      sample: 1
    generation:
      description: Number of changes of the group.
      type: int
      returned: always
      sample: 3
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
      description: Maximum that one owner can have.
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
        id:
          description: UID of its namespace C(kube-system).
          type: str
          returned: always
          sample: 0a9e1c52-52c5-4d1c-9d27-5d1c6a0b0f10
        dns_pattern:
          description: Host name of a virtual cluster there, with C(*) for its name; null if there is none.
          type: str
          returned: always
          sample: "*.a.dev.example.com"
        capacity:
          description: Declared capacity of the host cluster.
          type: dict
          returned: always
          contains:
            cpu:
              description: CPU cores; null if it is not declared.
              type: str
              returned: always
              sample: null
            memory:
              description: Memory in bytes; null if it is not declared.
              type: str
              returned: always
              sample: null
            storage:
              description: Storage in bytes; null if it is not declared.
              type: str
              returned: always
              sample: 2Ti
        node_selector:
          description: Labels of the nodes that virtual clusters can use.
          type: dict
          returned: always
          contains:
            LABEL:
              description: Value of a label. The key is the name of the label.
              type: str
              returned: for each label
              sample: vcluster
  sample:
    name: dev
    description: Development teams
    oversubscription: 120
    vcluster_version: 0.36.1
pending:
  description: Settings of the group that its virtual clusters do not have yet.
  returned: success
  type: dict
  contains:
    VIRTUAL_CLUSTER:
      description: Settings that a virtual cluster does not have yet. The key is the name of the virtual cluster.
      type: list
      elements: str
      returned: for each virtual cluster that differs from the group
      sample:
        - "vcluster_version: 0.36.0 applied, 0.36.1 in the group"
  sample:
    team-a:
      - "vcluster_version: 0.36.0 applied, 0.36.1 in the group"
pending_upgrade:
  description:
    - Virtual clusters that do not run the locked version. The group accepts no new virtual clusters until there are
      none.
  returned: success
  type: list
  elements: str
  sample: [team-a]
done_host_clusters:
  description: Host clusters that were changed although the task failed.
  returned: when some host clusters could not be changed
  type: list
  elements: str
  sample: [host-a]
failed_host_clusters:
  description: Host clusters that did not answer or could not be changed.
  returned: when a host cluster did not answer or could not be changed
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
    """Return the options of the module."""
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
    remaining = [entry for entry in options if entry["state"] != LOST]
    lost = [entry["name"] for entry in options if entry["state"] == LOST]
    if params["state"] == "absent":
        change = group_change.absent(hosts, params["name"], check, lost)
    else:
        change = group_change.present(list(zip(hosts, remaining, strict=True)), params, check, lost)
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
