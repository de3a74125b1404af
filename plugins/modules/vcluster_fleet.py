#!/usr/bin/python
# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module nested.clusters.vcluster_fleet."""

from __future__ import annotations

DOCUMENTATION = r"""
module: vcluster_fleet
short_description: Bring all virtual clusters of a list to what it says of them
version_added: 0.1.0
author:
  - The nested.clusters contributors (@nested-clusters)
description:
  - Creates, changes, pauses, resumes and deletes virtual clusters of a cluster group in one task, each as
    M(nested.clusters.vcluster) and M(nested.clusters.vcluster_state) do it.
  - What is there is read with one request a kind on each host cluster, however many there are. A list of which nothing
    is to be done takes no further requests, and no Helm.
  - What new and growing virtual clusters need is taken in the order of the list. What shall not be there goes first, so
    that its room can be used.
  - One that fails keeps no other from its turn. The task fails in the end, with the result of each.
options:
  group:
    description:
      - Cluster group of the virtual clusters.
    type: str
    required: true
  virtual_clusters:
    description:
      - What the group's virtual clusters shall be. Each name once.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description:
          - Name of the virtual cluster and of its Helm release.
          - A new one can neither have C(-x-) in it, nor begin with C(x-) or end with C(-x).
        type: str
        required: true
      state:
        description:
          - V(present) creates it, or brings it to what the list says. One that is paused stays paused.
          - V(running) does the same, and resumes it.
          - V(paused) does the same, and pauses it. A new one starts before it is paused.
          - V(absent) deletes it with everything it made.
        type: str
        choices: [present, running, paused, absent]
        default: present
      namespace:
        description:
          - Namespace on the host cluster. The default is C(vcluster-NAME).
        type: str
      owner:
        description:
          - Who the virtual cluster is for, as in M(nested.clusters.vcluster).
        type: str
      size:
        description:
          - The most that it may claim, as in M(nested.clusters.vcluster). What is left out stays as it is, and is the
            group's default for a new one.
        type: dict
        suboptions:
          cpu:
            description: Cores, such as V(4) or V(500m).
            type: str
          memory:
            description: Bytes, such as V(4Gi).
            type: str
          storage:
            description: Bytes, such as V(20Gi), in all volume claims together.
            type: str
      host_cluster:
        description:
          - Name of the group's host cluster that a new one shall be placed on. By default one is chosen.
        type: str
      force:
        description:
          - Shrink it also below what it uses at the moment.
        type: bool
        default: false
      vcluster_version:
        description:
          - Version of vCluster. The default is the group's, and for a group without one as in
            M(nested.clusters.vcluster).
        type: str
      kubernetes_version:
        description:
          - Version of Kubernetes inside of it, such as V(v1.36.0).
        type: str
      distribution:
        description:
          - Kubernetes distribution. The default is the group's.
        type: str
        choices: [k8s, k3s, k0s]
      replicas:
        description:
          - How many replicas the control plane has.
        type: int
      backing_store:
        description:
          - Where it keeps its data, for life, as in M(nested.clusters.vcluster). The default is the group's.
        type: dict
        suboptions:
          type:
            description: Kind of the backing store.
            type: str
            choices: [embedded_sqlite, deployed_etcd, external_etcd, external_database]
            required: true
          replicas:
            description: How many members a deployed etcd has.
            type: int
          endpoint:
            description: Address of the external etcd.
            type: str
          tls_secret:
            description: Secret with which it logs in to the external etcd or database.
            type: str
          data_source:
            description: Address of the external database.
            type: str
      values:
        description:
          - Configuration as in C(vcluster.yaml), over that of the group.
          - Set C(no_log) on the task when they hold a secret, because Ansible shows a task's options at C(-vvv).
        type: dict
      labels:
        description:
          - Labels that its control plane's workload shall have. A value of V(null) removes one.
        type: dict
        default: {}
      annotations:
        description:
          - Annotations of its control plane's workload, as O(virtual_clusters[].labels).
        type: dict
        default: {}
      protected:
        description:
          - Whether it is protected from deletion.
        type: bool
      server:
        description:
          - URL of the API server in its kubeconfig. The default is its endpoint.
        type: str
  prune:
    description:
      - Delete virtual clusters of the group that are not in O(virtual_clusters). With an empty list it is refused,
        because a template whose variable is empty would delete all of them. To delete a whole group, use
        M(nested.clusters.vcluster_state) with O(nested.clusters.vcluster_state#module:all=true).
      - None of them is deleted while an entry of O(virtual_clusters) has an error that is known before anything is
        changed. The task fails with that error, and a warning names those that stay.
      - If one of them, or one with O(virtual_clusters[].state=absent), is protected, nothing is changed. To consent,
        list it with O(virtual_clusters[].protected=false) first.
      - Nothing is changed either if another tool manages one of them and keeps its Helm record elsewhere.
    type: bool
    default: false
  keep_volumes:
    description:
      - Keep the volume claims of virtual clusters that are deleted, and so the namespaces they live in.
    type: bool
    default: false
  accept_data_loss:
    description:
      - Also pause a virtual cluster whose store has no volume claim. Everything in it is lost then.
    type: bool
    default: false
  kubeconfig_directory:
    description:
      - Directory on the machine that runs the module, for a kubeconfig C(NAME.kubeconfig) of each, with mode 0600.
      - Files of virtual clusters that are deleted stay.
    type: path
  chart_ref:
    description:
      - The chart, as in M(nested.clusters.vcluster).
    type: str
    default: vcluster
  chart_repo_url:
    description:
      - Helm repository that holds the chart when O(chart_ref) is a name.
    type: str
    default: https://charts.loft.sh
  binary_path:
    description:
      - The C(helm) to run, 3.14 or later, or 4. The default is the one on the C(PATH).
      - It is started only if something has to change.
    type: path
  at_once:
    description:
      - How many virtual clusters are created or changed at the same time. Each runs C(helm), which keeps a processor
        busy for about a second. Waiting, pausing, resuming and deleting is done for all at once.
    type: int
    default: 8
  wait:
    description:
      - Wait until all that shall run is ready, and until what shall not be there is gone.
    type: bool
    default: true
  wait_timeout:
    description:
      - How long to wait for each virtual cluster, in seconds.
    type: int
    default: 300
  verify_endpoint:
    description:
      - With O(wait=true), wait until the endpoint of each virtual cluster that the task has changed answers to the
        machine that runs the module, as in M(nested.clusters.vcluster).
    type: bool
    default: true
extends_documentation_fragment:
  - nested.clusters.connection
  - nested.clusters.host_clusters
  - nested.clusters.attributes
  - nested.clusters.attributes.action_group
attributes:
  check_mode:
    support: full
    details:
      - Each virtual cluster is placed as if those before it in the list were there, and those that shall go were gone.
  diff_mode:
    support: full
    details:
      - Shows values and manifests before and after, and every object that is deleted. What Secrets hold is masked.
requirements:
  - python >= 3.10
  - kubernetes >= 24.2.0
  - PyYAML >= 3.11
  - helm >= 3.14 (https://helm.sh) to create or change
notes:
  - Secrets, ServiceAccounts, Services, StatefulSets, Roles, RoleBindings, ResourceQuotas and LimitRanges with the
    labels of vCluster's chart are listed in all namespaces. What may not be listed is read in each namespace instead.
seealso:
  - module: nested.clusters.vcluster
  - module: nested.clusters.vcluster_state
  - module: nested.clusters.vcluster_group
"""

EXAMPLES = r"""
- name: Three virtual clusters for two teams, one of them at rest
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

- name: These are all that the group shall have; see what that deletes with --check --diff
  nested.clusters.vcluster_fleet:
    group: dev
    virtual_clusters: "{{ virtual_clusters }}"
    prune: true
"""

RETURN = r"""
virtual_clusters:
  description: What became of each that is listed, or was deleted, sorted by name.
  returned: always, except where the task fails before anything is changed
  type: list
  elements: dict
  contains:
    name:
      description: The name.
      type: str
      returned: always
      sample: team-a
    namespace:
      description: The namespace on the host cluster.
      type: str
      returned: always
      sample: vcluster-team-a
    host_cluster:
      description: The host cluster that it is or goes on; null where none was chosen.
      type: str
      returned: always
      sample: host-a
    owner:
      description: The owner; null where nothing was decided.
      type: str
      returned: always
      sample: alice@example.com
    size:
      description: The size; null for one that is deleted, or where nothing was decided.
      type: dict
      returned: always
      sample: {cpu: "6", memory: 8Gi, storage: 2Gi}
    before:
      description:
        - The phase before the task, as in M(nested.clusters.vcluster_info), or V(reserved) for one that an earlier task
          has only begun.
      type: str
      returned: always
      sample: absent
    after:
      description: The phase after the task; in check mode, the one that it would have.
      type: str
      returned: always
      sample: running
    endpoint:
      description: The URL that reaches it from outside of its host cluster; null where there is none.
      type: str
      returned: always
      sample: https://team-a.vc.example.com
    changed:
      description: Whether something was changed, or in check mode would be.
      type: bool
      returned: always
      sample: true
    steps:
      description: What was done, or in check mode would be done, in order.
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
from ansible_collections.nested.clusters.plugins.module_utils.fleet import converge as fleet
from ansible_collections.nested.clusters.plugins.module_utils.fleet import job as fleet_jobs
from ansible_collections.nested.clusters.plugins.module_utils.helm.cli import Helm
from ansible_collections.nested.clusters.plugins.module_utils.k8s import host_clusters
from ansible_collections.nested.clusters.plugins.module_utils.k8s.connection import auth_argument_spec
from ansible_collections.nested.clusters.plugins.module_utils.k8s.module import ModuleResult, run_module
from ansible_collections.nested.clusters.plugins.module_utils.lifecycle import options

# What the module vcluster has beside them, and does not apply to many.
SINGLE: dict[str, Any] = {"endpoint": None, "rollback": False, "ahead_of_group": False, "export_kubeconfig": None}


def argument_spec() -> dict[str, Any]:
    """The options of the module."""
    one = {
        **options.virtual_cluster_spec(),
        "state": {"type": "str", "choices": list(fleet_jobs.ENTRY_STATES), "default": "present"},
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


def entries(params: dict[str, Any]) -> list[fleet_jobs.Entry]:
    """The list as requests. Raises OptionError that names the virtual cluster."""
    shared = {name: params[name] for name in ("group", "wait_timeout", "chart_ref", "chart_repo_url")}
    directory = params["kubeconfig_directory"]
    found = []
    for one in params["virtual_clusters"]:
        asked = {**SINGLE, **shared, **one}
        file = os.path.join(directory, f"{one['name']}.kubeconfig") if directory else ""
        try:
            entry = fleet_jobs.Entry(options.request(asked), options.in_group(asked), one["state"], file, one["server"])
        except OptionError as error:
            raise NestedClustersError(f"virtual_clusters: {one['name']}: {error}", **error.data) from error
        found.append(entry)
    return found


def order(params: dict[str, Any], check: bool) -> fleet_jobs.Order:
    """What goes for all of them. Raises OptionError for numbers that would do nothing."""
    for option in ("at_once", "wait_timeout"):
        if params[option] < 1:
            raise OptionError(option, params[option], "a whole number, 1 or more")
    if params["prune"] and not params["virtual_clusters"]:
        whole = f"vcluster_state with group: {params['group']}, all: true and state: absent to delete all of them"
        reason = f"with prune: true an empty list would delete every virtual cluster of group {params['group']}"
        raise OptionError("virtual_clusters", [], f"at least one, prune: false, or {whole}", reason=reason)
    return fleet_jobs.Order(
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
    return f"{len(failed)} of {len(found)} virtual clusters are not what they shall be: {reasons}" if failed else ""


def run(module: AnsibleModule) -> ModuleResult:
    """Bring the list to what it says. Raises NestedClustersError before anything is changed."""
    params = module.params
    done = fleet.run(
        host_clusters.open_hosts(module),
        lambda kubernetes: Helm(kubernetes, params["binary_path"], module.tmpdir),
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
