#!/usr/bin/python
# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module nested.clusters.vcluster_fleet."""

from __future__ import annotations

DOCUMENTATION = r"""
module: vcluster_fleet
short_description: Manage a list of virtual clusters
version_added: 0.1.0
author:
  - The nested.clusters contributors (@nested-clusters)
description:
  - Creates, changes, pauses, resumes and deletes the virtual clusters of a cluster group in one task, each as
    M(nested.clusters.vcluster) and M(nested.clusters.vcluster_state) do it.
  - The module reads each kind of object with one request on each host cluster, however many virtual clusters there are.
    If nothing changes, it sends no further requests and starts no Helm process.
  - New and growing virtual clusters get their resources in the order of the list. The module deletes virtual clusters
    first, so that their resources become available.
  - A virtual cluster that fails does not stop the others. The task then fails at the end, with the result of each
    virtual cluster.
options:
  group:
    description:
      - Cluster group of the virtual clusters, see M(nested.clusters.vcluster_group).
    type: str
    required: true
  virtual_clusters:
    description:
      - The virtual clusters of the group, each with a unique name.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description:
          - Name of the virtual cluster and of its Helm release.
          - The name of a new virtual cluster must not contain C(-x-), begin with C(x-), or end with C(-x).
        type: str
        required: true
      state:
        description:
          - V(present) creates the virtual cluster, or changes it to match the list. A paused virtual cluster stays
            paused.
          - V(running) does the same as V(present), and then resumes the virtual cluster if it is paused.
          - V(paused) does the same as V(present), and then pauses the virtual cluster. A new virtual cluster starts
            once before the module pauses it.
          - V(absent) deletes the virtual cluster and everything that it created.
        type: str
        choices: [present, running, paused, absent]
        default: present
      namespace:
        description:
          - Namespace of the virtual cluster on the host cluster. The default is C(vcluster-NAME).
        type: str
      owner:
        description:
          - Who the virtual cluster is for, such as a user name or an email address.
          - By default, a new virtual cluster has no owner, and an existing one keeps its owner.
        type: str
      size:
        description:
          - Maximum resources that the virtual cluster can claim, including its control plane.
          - By default, a new virtual cluster gets the default size of the group, and an existing one keeps its size.
            The same applies to each suboption.
        type: dict
        suboptions:
          cpu:
            description: CPU cores, such as V(4) or V(500m).
            type: str
          memory:
            description: Memory in bytes, such as V(4Gi).
            type: str
          storage:
            description: Storage in bytes, such as V(20Gi), for all volume claims together.
            type: str
      host_cluster:
        description:
          - Name of the host cluster of the group for a new virtual cluster. By default, the module chooses one.
        type: str
      force:
        description:
          - Whether O(virtual_clusters[].size) can shrink the virtual cluster below what it currently uses.
        type: bool
        default: false
      vcluster_version:
        description:
          - Version of vCluster, such as V(0.36.1).
          - The default is the locked version of the group. If the group has none, a new virtual cluster gets the
            default of M(nested.clusters.vcluster), and an existing one keeps its version.
        type: str
      kubernetes_version:
        description:
          - Version of Kubernetes in the virtual cluster, such as V(v1.36.0).
          - The default is the version of the group. If the group has none, a new virtual cluster gets the default of
            its vCluster version, and an existing one keeps its version.
        type: str
      distribution:
        description:
          - Kubernetes distribution of the virtual cluster. The default is that of the group.
        type: str
        choices: [k8s, k3s, k0s]
      replicas:
        description:
          - Number of replicas of the control plane. The default is that of the group.
        type: int
      backing_store:
        description:
          - Where the virtual cluster keeps its data. It cannot change later.
          - By default, a new virtual cluster gets the store of the group, and an existing one keeps its store.
        type: dict
        suboptions:
          type:
            description: Type of the backing store, as in M(nested.clusters.vcluster).
            type: str
            choices: [embedded_sqlite, deployed_etcd, external_etcd, external_database]
            required: true
          replicas:
            description: Number of members of a deployed etcd, which is 1, 3, 5 or 7. The default is 1.
            type: int
          endpoint:
            description: Address of the external etcd, such as V(etcd.example.com:2379). Required for V(external_etcd).
            type: str
          tls_secret:
            description:
              - Name of a Secret in the namespace of the virtual cluster that authenticates to the external etcd or
                database. By default, no certificate is used.
            type: str
          data_source:
            description:
              - Address of the external database, as in M(nested.clusters.vcluster). Required for V(external_database).
            type: str
      values:
        description:
          - Configuration of the virtual cluster as in C(vcluster.yaml), on top of the values of the group.
          - If the values contain a secret, set C(no_log) on the task, because Ansible shows the options of a task at
            C(-vvv).
          - By default, a new virtual cluster gets the values of the group, and an existing one keeps its own on top of
            them.
        type: dict
      labels:
        description:
          - Labels for the StatefulSet or Deployment of the control plane. A value of V(null) removes a label.
        type: dict
        default: {}
      annotations:
        description:
          - Annotations for the StatefulSet or Deployment of the control plane. A value of V(null) removes an
            annotation.
        type: dict
        default: {}
      protected:
        description:
          - Whether to protect the virtual cluster from deletion.
          - By default, a new virtual cluster is not protected, and an existing one keeps its protection.
        type: bool
      server:
        description:
          - URL of the API server in its kubeconfig. The default is the endpoint of the virtual cluster.
        type: str
  prune:
    description:
      - Whether to delete virtual clusters of the group that are not in O(virtual_clusters).
      - An empty list is an error, because a template whose variable is empty would delete the whole group. To delete
        all virtual clusters of a group, use M(nested.clusters.vcluster_state) with
        O(nested.clusters.vcluster_state#module:all=true).
      - The module prunes nothing while an entry of O(virtual_clusters) has an error that is known before anything
        changes. The task fails with that error, and a warning names the virtual clusters that stay.
      - The module changes nothing if a virtual cluster to delete is protected. To allow its deletion, first list it
        with O(virtual_clusters[].protected=false).
      - The module changes nothing if another tool manages a virtual cluster to delete, and keeps its Helm record
        elsewhere.
    type: bool
    default: false
  keep_volumes:
    description:
      - Whether to keep the volume claims of deleted virtual clusters and the namespaces that contain them.
    type: bool
    default: false
  accept_data_loss:
    description:
      - Whether to also pause a virtual cluster whose store has no volume claim. Everything in it is lost.
    type: bool
    default: false
  kubeconfig_directory:
    description:
      - Directory on the machine that runs the module for the kubeconfigs, as C(NAME.kubeconfig) with mode 0600.
      - The module keeps the files of deleted virtual clusters.
      - By default, no kubeconfig is written.
    type: path
  chart_ref:
    description:
      - Chart to install, as a name in O(chart_repo_url), a local directory, a local C(.tgz) file, or an C(oci://)
        reference. C({version}) in it is replaced by the version.
    type: str
    default: vcluster
  chart_repo_url:
    description:
      - URL of the Helm repository that contains the chart if O(chart_ref) is a name.
    type: str
    default: https://charts.loft.sh
  binary_path:
    description:
      - Path of the C(helm) binary, version 3.14 or later, or 4. The default is the C(helm) on the C(PATH).
      - The module starts it only if something changes.
    type: path
  at_once:
    description:
      - Number of virtual clusters to create or change at the same time. Each runs C(helm), which occupies a processor
        for about a second. The module waits for, pauses, resumes and deletes all virtual clusters at the same time.
    type: int
    default: 8
  wait:
    description:
      - Whether to wait until all virtual clusters that run are ready, and until deleted ones are gone.
    type: bool
    default: true
  wait_timeout:
    description:
      - How long to wait for each virtual cluster, in seconds.
    type: int
    default: 300
  verify_endpoint:
    description:
      - With O(wait=true), whether to wait until the endpoint of each changed virtual cluster answers to the machine
        that runs the module, as O(nested.clusters.vcluster#module:verify_endpoint) does.
    type: bool
    default: true
extends_documentation_fragment:
  - nested.clusters.connection
  - nested.clusters.host_clusters
  - nested.clusters.attributes
  - nested.clusters.attributes.action_group
  - nested.clusters.requirements
attributes:
  check_mode:
    support: full
    details:
      - Places each virtual cluster as if those before it in the list existed, and those to delete were gone.
  diff_mode:
    support: full
    details:
      - Shows values and manifests before and after, and every object that is deleted. The content of Secrets is masked.
requirements:
  - helm >= 3.14 (https://helm.sh) to create or change
notes:
  - The module lists Secrets, ServiceAccounts, Services, StatefulSets, Roles, RoleBindings, ResourceQuotas and
    LimitRanges with the labels of the vCluster chart in all namespaces. If it may not list a kind there, it reads the
    kind in each namespace instead.
seealso:
  - module: nested.clusters.vcluster
    description: Manage one virtual cluster.
  - module: nested.clusters.vcluster_state
    description: Pause, resume, restart or delete a selection of virtual clusters.
  - module: nested.clusters.vcluster_group
    description: Manage groups of host clusters.
"""

EXAMPLES = r"""
- name: Manage three virtual clusters for two teams, one of them paused
  nested.clusters.vcluster_fleet:
    group: dev
    host_clusters:
      - name: host-a
        context: a
      - name: host-b
        context: b
    virtual_clusters:
      - name: team-a
        owner: alice@example.com
        size:
          cpu: 6
          memory: 8Gi
      - name: team-a-ci
        owner: alice@example.com
        state: paused
      - name: team-b
        owner: bob@example.com
    kubeconfig_directory: ~/kubeconfigs

- name: Delete virtual clusters that are not in the list; preview it with --check --diff
  nested.clusters.vcluster_fleet:
    group: dev
    virtual_clusters: "{{ virtual_clusters }}"
    prune: true
"""

RETURN = r"""
virtual_clusters:
  description: The listed and the deleted virtual clusters, sorted by name.
  returned: always, except if the task fails before it changes anything
  type: list
  elements: dict
  contains:
    name:
      description: Name of the virtual cluster.
      type: str
      returned: always
      sample: team-a
    namespace:
      description: Namespace on the host cluster.
      type: str
      returned: always
      sample: vcluster-team-a
    host_cluster:
      description: Name of its host cluster; null if none was chosen.
      type: str
      returned: always
      sample: host-a
    owner:
      description: Owner of the virtual cluster; null if nothing was decided.
      type: str
      returned: always
      sample: alice@example.com
    size:
      description: Maximum resources that it can claim; null if it is deleted, or if nothing was decided.
      type: dict
      returned: always
      contains:
        cpu:
          description: CPU cores.
          type: str
          returned: always
          sample: "6"
        memory:
          description: Memory in bytes.
          type: str
          returned: always
          sample: 8Gi
        storage:
          description: Storage in bytes.
          type: str
          returned: always
          sample: 2Gi
      sample: {cpu: "6", memory: 8Gi, storage: 2Gi}
    before:
      description:
        - Phase before the task, as in M(nested.clusters.vcluster_info).
        - V(reserved) if an earlier task only began to create it.
      type: str
      returned: always
      sample: absent
    after:
      description: Phase after the task, or in check mode the phase that it would have.
      type: str
      returned: always
      sample: running
    endpoint:
      description: URL of its API for clients outside of the host cluster; null if there is none.
      type: str
      returned: always
      sample: https://team-a.vc.example.com
    changed:
      description: Whether something changed, or in check mode would change.
      type: bool
      returned: always
      sample: true
    steps:
      description: What the module did, or in check mode would do, in this order.
      type: list
      elements: str
      returned: always
      sample:
        - create namespace vcluster-team-a
        - install release team-a with vCluster 0.36.1
    failed:
      description: Whether it failed.
      type: bool
      returned: always
      sample: false
    msg:
      description: Why it failed; otherwise empty.
      type: str
      returned: always
      sample: ""
"""

import os
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.nested.clusters.plugins.module_utils.common.errors import NestedClustersError, OptionError
from ansible_collections.nested.clusters.plugins.module_utils.fleet import converge
from ansible_collections.nested.clusters.plugins.module_utils.fleet.job import ENTRY_STATES, Entry, Order
from ansible_collections.nested.clusters.plugins.module_utils.helm.cli import Helm
from ansible_collections.nested.clusters.plugins.module_utils.k8s import host_clusters
from ansible_collections.nested.clusters.plugins.module_utils.k8s.connection import auth_argument_spec
from ansible_collections.nested.clusters.plugins.module_utils.k8s.module import ModuleResult, run_module
from ansible_collections.nested.clusters.plugins.module_utils.lifecycle import options

# What the module vcluster has beside them, and does not apply to many.
SINGLE: dict[str, Any] = {"endpoint": None, "ahead_of_group": False, "export_kubeconfig": None}


def argument_spec() -> dict[str, Any]:
    """Return the options of the module."""
    one = {
        **options.virtual_cluster_spec(),
        "state": {"type": "str", "choices": list(ENTRY_STATES), "default": "present"},
        "server": {"type": "str"},
    }
    return {
        **auth_argument_spec(),
        **options.chart_spec(),
        "host_clusters": host_clusters.host_clusters_spec(),
        "group": {"type": "str", "required": True},
        "virtual_clusters": {"type": "list", "elements": "dict", "required": True, "options": one},
        "prune": {"type": "bool", "default": False},
        "keep_volumes": {"type": "bool", "default": False},
        "accept_data_loss": {"type": "bool", "default": False},
        "kubeconfig_directory": {"type": "path"},
        "at_once": {"type": "int", "default": 8},
        "wait": {"type": "bool", "default": True},
        "wait_timeout": {"type": "int", "default": 300},
        "verify_endpoint": {"type": "bool", "default": True},
    }


def entries(params: dict[str, Any]) -> list[Entry]:
    """Return the list as requests. Raises OptionError that names the virtual cluster."""
    shared = {name: params[name] for name in ("group", "chart_ref", "chart_repo_url")}
    directory = params["kubeconfig_directory"]
    found = []
    for one in params["virtual_clusters"]:
        asked = {**SINGLE, **shared, **one}
        file = os.path.join(directory, f"{one['name']}.kubeconfig") if directory else ""
        try:
            entry = Entry(options.request(asked), options.in_group(asked), one["state"], file, one["server"])
        except OptionError as error:
            raise NestedClustersError(f"virtual_clusters: {one['name']}: {error}", **error.data) from error
        found.append(entry)
    return found


def order(params: dict[str, Any], check: bool) -> Order:
    """Return the options for all of them. Raises OptionError for numbers below 1."""
    for option in ("at_once", "wait_timeout"):
        if params[option] < 1:
            raise OptionError(option, params[option], "a whole number, 1 or more")
    if params["prune"] and not params["virtual_clusters"]:
        whole = f"vcluster_state with group: {params['group']}, all: true and state: absent"
        message = (
            f"the list is empty, and prune: true would delete every virtual cluster of group {params['group']}; list "
            f"at least one or set prune: false. To delete all of them, use {whole}"
        )
        raise OptionError("virtual_clusters", [], f"at least one, prune: false, or {whole}", message=message)
    return Order(
        params["group"],
        check,
        params["prune"],
        params["keep_volumes"],
        params["wait"],
        params["verify_endpoint"],
        params["wait_timeout"],
        params["at_once"],
        params["accept_data_loss"],
    )


def failure(found: list[dict[str, Any]]) -> str:
    """Return the message of a task in which some virtual clusters failed, "" where none did."""
    failed = [one for one in found if one["failed"]]
    reasons = "; ".join(f"{one['name']}: {one['msg']}" for one in failed)
    return f"failed for {len(failed)} of {len(found)} virtual clusters: {reasons}" if failed else ""


def run(module: AnsibleModule) -> ModuleResult:
    """Bring the list to what it says. Raises NestedClustersError before anything is changed."""
    params = module.params
    done = converge.run(
        host_clusters.open_hosts(module),
        lambda kubernetes: Helm(kubernetes, module.run_command, params["binary_path"], module.tmpdir),
        entries(params),
        order(params, module.check_mode),
    )
    found = done.virtual_clusters
    return ModuleResult(
        {"virtual_clusters": found},
        changed=any(one["changed"] for one in found),
        diff=done.diff,
        warnings=done.warnings,
        failure=failure(found),
    )


def main() -> None:
    """Run the module."""
    run_module(argument_spec(), run)


if __name__ == "__main__":
    main()
