#!/usr/bin/python
# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module nested.clusters.vcluster_state."""

from __future__ import annotations

DOCUMENTATION = r"""
module: vcluster_state
short_description: Pause, resume, restart and delete a selection of virtual clusters
version_added: 0.1.0
author:
  - The nested.clusters contributors (@nested-clusters)
description:
  - Pauses, resumes, restarts or deletes a selection of virtual clusters in one task, on one or several host clusters.
  - A paused virtual cluster uses no CPU and no memory. Its objects, volumes, Services, load balancer and quota stay.
  - The C(vcluster) CLI resumes what this module pauses, and the other way round. Resume a virtual cluster that has a
    deployed etcd and a StatefulSet with this module, because the CLI leaves that etcd without replicas.
  - The options O(name), O(names), O(owner), O(label_selectors) and O(all) select virtual clusters. At least one of them
    is required.
  - The options O(group), O(phases) and O(namespace) narrow the selection, and select nothing by themselves. To select
    every virtual cluster of a group, a phase or a namespace, add O(all=true).
  - A virtual cluster is selected if it matches every option that is set.
  - A selecting or narrowing option that is set to an empty value is an error, because a template whose variable is
    empty produces one. To leave an option out, use C(omit).
options:
  state:
    description:
      - V(paused) scales the control plane to 0, deletes the pods that it synced to the host cluster, and scales a
        deployed etcd to 0. Pods in the virtual cluster without a controller are lost.
      - V(running) resumes the virtual cluster, beginning with its etcd.
      - V(restarted) replaces the pods of the control plane one by one, beginning with the last. With several replicas,
        the API stays available. It changes something every time. It does not restart a deployed etcd.
      - V(absent) deletes the virtual cluster and everything that it created, as
        O(nested.clusters.vcluster#module:state=absent) does, but without C(helm). It also deletes what an interrupted
        task left of a virtual cluster.
      - With V(absent), the task fails before it changes anything if a selected virtual cluster is protected, or if
        another tool manages it and keeps its Helm record elsewhere, such as Flux with a C(storageNamespace). The
        message names all of them.
      - Outside of the namespace, V(absent) deletes only what the newest Helm record names, the cluster roles and
        bindings of the chart, and synced objects. RV(virtual_clusters[].steps) names each of these objects with its
        namespace.
      - V(paused), V(running) and V(absent) also complete a change of state that was interrupted.
    type: str
    choices: [paused, running, restarted, absent]
    required: true
  name:
    description:
      - Name of a virtual cluster. Selects all virtual clusters with this name, in every namespace and on every host
        cluster. By default, all names match.
      - A name that does not exist is an error, before anything is changed, unless O(state=absent).
    type: str
  names:
    description:
      - Names of virtual clusters. Selects all virtual clusters with these names, and the one in O(name) if both are
        set. By default, all names match.
      - A name that does not exist is an error, before anything is changed, unless O(state=absent).
    type: list
    elements: str
  all:
    description:
      - Whether to select every virtual cluster that matches O(group), O(phases), O(namespace), O(owner) and
        O(label_selectors). If none of them is set, every virtual cluster of the host clusters is selected.
      - Cannot be combined with O(name) or O(names).
    type: bool
    default: false
  max_selected:
    description:
      - Maximum number of selected virtual clusters on all host clusters together. If more are selected, the task fails
        and changes nothing, also in check mode. Virtual clusters that already have the state count as well.
      - By default, there is no limit.
    type: int
  namespace:
    description:
      - Select only virtual clusters in this namespace of the host clusters. It selects nothing by itself.
      - By default, the module reads all namespaces, which requires permission to do so.
    type: str
  group:
    description:
      - Select only virtual clusters of this cluster group. It selects nothing by itself.
      - By default, virtual clusters of all groups and of none match.
    type: str
  owner:
    description:
      - Select only virtual clusters of this owner.
      - By default, virtual clusters of all owners and of none match.
    type: str
  label_selectors:
    description:
      - Select only virtual clusters whose StatefulSet or Deployment matches all of these label selectors.
      - By default, all labels match.
    type: list
    elements: str
  phases:
    description:
      - Select only virtual clusters that are currently in one of these phases, as in M(nested.clusters.vcluster_info).
        It selects nothing by itself.
      - By default, all phases match.
    type: list
    elements: str
    choices: [running, paused, pending, failed, sleeping, deleting]
  accept_data_loss:
    description:
      - Whether to also pause or restart a virtual cluster whose store has no volume claim. Everything in it is lost.
      - By default, the module refuses to do that.
    type: bool
    default: false
  keep_volumes:
    description:
      - With O(state=absent), whether to keep the volume claims of the virtual clusters and the namespaces that contain
        them.
      - The module annotates the claims as kept, so that M(nested.clusters.vcluster_orphan) leaves them alone.
      - What is left of a virtual cluster whose volumes were kept is deleted only if the task names it.
    type: bool
    default: false
  at_once:
    description:
      - Maximum number of virtual clusters to work on at the same time, on all host clusters together.
    type: int
    default: 200
  max_failures:
    description:
      - Number of failures after which the module starts no further virtual cluster. The task fails at the end if any
        virtual cluster failed.
      - By default, the module tries all virtual clusters.
    type: int
  wait:
    description:
      - Whether to wait until every virtual cluster has reached the state. A paused virtual cluster then has no pods,
        the API of a running one answers that it is ready, and nothing is left of an absent one.
      - The module stops waiting for a virtual cluster, with the reason, as soon as it cannot become ready.
      - Even without it, the module waits between steps whose order matters.
    type: bool
    default: true
  wait_timeout:
    description:
      - How long to wait for each virtual cluster, in seconds.
    type: int
    default: 300
extends_documentation_fragment:
  - nested.clusters.connection
  - nested.clusters.host_clusters
  - nested.clusters.requirements
  - nested.clusters.attributes
  - nested.clusters.attributes.action_group
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details:
      - Shows the phase before and after, the steps, and the synced pods that a pause deletes.
      - With O(state=absent), shows every object that is deleted, and the volume claims that are kept.
notes:
  - Requires permission to list and patch StatefulSets and Deployments, and to list and delete pods, including
    C(deletecollection). The module lists namespaces for O(group) and O(owner), and to report them. It reads the Secret
    C(vc-config-NAME) only if the values are necessary to know whether the store survives, or how many replicas there
    were.
  - With O(state=absent), the module lists every kind with one request for the whole selection, and reads namespaces.
    Objects that it may not list count as not belonging to the virtual cluster, so their namespace stays. Cluster roles,
    persistent volumes, and objects in other namespaces stay if the module may not list them.
  - With permission to get C(pods/proxy), the module asks the API of each virtual cluster whether it is ready. Without
    it, or if the API server of the host cluster does not reach pods, the readiness that the kubelet reports counts, and
    a warning says so. The default roles C(admin) and C(edit) include this permission.
  - The module finds pods that a licensed vCluster synced to other namespaces only if O(namespace) is not set.
seealso:
  - module: nested.clusters.vcluster
    description: Manage one virtual cluster.
  - module: nested.clusters.vcluster_fleet
    description: Manage all virtual clusters of a list.
  - module: nested.clusters.vcluster_info
    description: List virtual clusters and their status.
  - module: nested.clusters.vcluster_orphan
    description: Remove resources left behind by deleted virtual clusters.
"""

EXAMPLES = r"""
- name: Pause a virtual cluster
  nested.clusters.vcluster_state:
    name: team-a
    state: paused

- name: Pause all running CI clusters at night, on all host clusters
  nested.clusters.vcluster_state:
    host_clusters:
      - name: host-a
        context: host-a
      - name: host-b
        context: host-b
    label_selectors:
      - env=ci
    phases:
      - running
    state: paused

- name: Resume all paused virtual clusters of a group, without waiting until they are ready
  nested.clusters.vcluster_state:
    group: dev
    phases:
      - paused
    all: true
    state: running
    wait: false

- name: Delete all virtual clusters of one owner in a group; preview it with --check --diff
  nested.clusters.vcluster_state:
    group: dev
    owner: alice
    max_selected: 4
    state: absent

- name: Restart the virtual clusters of an owner one by one, and stop at the first failure
  nested.clusters.vcluster_state:
    owner: alice
    state: restarted
    at_once: 1
    max_failures: 1
"""

RETURN = r"""
virtual_clusters:
  description: The selected virtual clusters, sorted by host cluster, namespace and name.
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
      description: Name of the host cluster; null if the task does not set O(host_clusters).
      type: str
      returned: always
      sample: host-a
    group:
      description: Cluster group; null if it is in none, or if the module may not read namespaces.
      type: str
      returned: always
      sample: dev
    owner:
      description: Owner; null if none is recorded, or if the module may not read namespaces.
      type: str
      returned: always
      sample: alice
    before:
      description: Phase before the task, as in M(nested.clusters.vcluster_info).
      type: str
      returned: always
      sample: running
    after:
      description:
        - Phase after the task, or in check mode the phase that it would have.
        - V(absent) if it is deleted, or V(deleting) with O(wait=false).
      type: str
      returned: always
      sample: paused
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
        - scale StatefulSet team-a from 1 to 0 replicas
        - delete 4 synced pods
    note:
      description:
        - What was unusual about its state before the task, for example that it was scaled to 0 other than by a pause.
        - With O(state=absent), also what stays although it has the labels and annotations of its Helm release.
      type: str
      returned: always
      sample: ""
    failed:
      description: Whether it failed.
      type: bool
      returned: always
      sample: false
    msg:
      description: Why it failed or was not started; otherwise empty.
      type: str
      returned: always
      sample: ""
failures:
  description:
    - The virtual clusters that failed, and the host clusters that could not be read.
  returned: always, except if the task fails before it changes anything
  type: list
  elements: dict
  contains:
    name:
      description: Name of the virtual cluster; null for a host cluster.
      type: str
      returned: always
      sample: team-b
    namespace:
      description: Namespace on the host cluster; null for a host cluster.
      type: str
      returned: always
      sample: vcluster-team-b
    host_cluster:
      description: Name of the host cluster; null if the task does not set O(host_clusters).
      type: str
      returned: always
      sample: host-a
    msg:
      description: Why it failed.
      type: str
      returned: always
      sample: it is being deleted
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.nested.clusters.plugins.module_utils.common.batch import BatchOptions, BatchResult
from ansible_collections.nested.clusters.plugins.module_utils.common.errors import OptionError, refuse_empty
from ansible_collections.nested.clusters.plugins.module_utils.k8s import host_clusters
from ansible_collections.nested.clusters.plugins.module_utils.k8s.connection import auth_argument_spec
from ansible_collections.nested.clusters.plugins.module_utils.k8s.module import ModuleResult, run_module
from ansible_collections.nested.clusters.plugins.module_utils.listing.selection import Selector
from ansible_collections.nested.clusters.plugins.module_utils.power import power_batch
from ansible_collections.nested.clusters.plugins.module_utils.power.power_steps import POWER_STATES
from ansible_collections.nested.clusters.plugins.module_utils.virtual_cluster.phases import PHASES

SELECTING = ("name", "names", "owner", "label_selectors")
NARROWING = ("group", "phases", "namespace")  # each of them alone would mean everything that is there


def argument_spec() -> dict[str, Any]:
    """Return the options of the module."""
    return {
        **auth_argument_spec(),
        "host_clusters": host_clusters.host_clusters_spec(),
        "state": {"type": "str", "choices": [*POWER_STATES, "absent"], "required": True},
        "name": {"type": "str"},
        "names": {"type": "list", "elements": "str"},
        "all": {"type": "bool", "default": False},
        "max_selected": {"type": "int"},
        "namespace": {"type": "str"},
        "group": {"type": "str"},
        "owner": {"type": "str"},
        "label_selectors": {"type": "list", "elements": "str"},
        "phases": {"type": "list", "elements": "str", "choices": list(PHASES)},
        "accept_data_loss": {"type": "bool", "default": False},
        "keep_volumes": {"type": "bool", "default": False},
        "at_once": {"type": "int", "default": 200},
        "max_failures": {"type": "int"},
        "wait": {"type": "bool", "default": True},
        "wait_timeout": {"type": "int", "default": 300},
    }


def check_selection(params: dict[str, Any]) -> None:
    """Raise OptionError where the task does not say which virtual clusters it is for, or contradicts itself."""
    refuse_empty(params, (*SELECTING, *NARROWING))
    if params["all"] and (named := [option for option in ("name", "names") if params[option]]):
        message = f"all: true and {named[0]} exclude each other; set only one of them"
        raise OptionError("all", True, f"one of the two: all: true or {named[0]}", message=message)
    if not params["all"] and not any(params[option] for option in SELECTING):
        given = [option for option in NARROWING if params[option]]
        alone = f" ({' and '.join(given)} alone selects nothing)" if given else ""
        message = f"the task selects no virtual cluster{alone}; set one of these options, or all: true for every one"
        allowed = "at least one of them, or all: true for all there are"
        raise OptionError(", ".join(SELECTING), None, allowed, message=message)


def selector(params: dict[str, Any]) -> Selector:
    """Return which virtual clusters the task selects. Raises OptionError if it selects none."""
    check_selection(params)
    names = ([params["name"]] if params["name"] else []) + (params["names"] or [])
    return Selector(
        tuple(dict.fromkeys(names)),
        params["namespace"],
        params["group"],
        params["owner"],
        tuple(params["label_selectors"] or ()),
        frozenset(params["phases"] or ()),
    )


def order(params: dict[str, Any], check: bool) -> BatchOptions:
    """Return what to do with them. Raises OptionError for numbers below 1."""
    for option in ("at_once", "max_failures", "max_selected", "wait_timeout"):
        if params[option] is not None and params[option] < 1:
            raise OptionError(option, params[option], "a whole number, 1 or more")
    return BatchOptions(
        params["state"],
        check,
        params["wait"],
        params["wait_timeout"],
        params["at_once"],
        params["max_failures"],
        params["accept_data_loss"],
        params["keep_volumes"],
        max_selected=params["max_selected"],
    )


def result(outcome: BatchResult, asked: BatchOptions, diff: bool) -> ModuleResult:
    """Return the result of the task: each virtual cluster, and what failed."""
    clusters = [job.describe(asked) for job in outcome.jobs]
    failures = [
        {"name": None, "namespace": None, "host_cluster": name, "msg": why} for name, why in outcome.unread.items()
    ]
    failures += [
        {key: cluster[key] for key in ("name", "namespace", "host_cluster", "msg")}
        for cluster in clusters
        if cluster["failed"]
    ]
    changed = [(job, cluster) for job, cluster in zip(outcome.jobs, clusters, strict=True) if cluster["changed"]]
    return ModuleResult(
        {"virtual_clusters": clusters, "failures": failures},
        changed=bool(changed),
        diff=[job.diff(asked) for job, _cluster in changed] if diff else None,
        warnings=outcome.warnings,
        failure=failure(failures, clusters, asked.state) if failures else "",
    )


def failure(failures: list[dict[str, Any]], clusters: list[dict[str, Any]], state: str) -> str:
    """Return the message of a task that failed: which virtual clusters did, and why."""
    waiting = sum(bool(cluster["msg"]) and not cluster["failed"] for cluster in clusters)
    reasons = [f"{entry['name'] or 'host cluster ' + entry['host_cluster']}: {entry['msg']}" for entry in failures]
    rest = f" ({waiting} more were not begun)" if waiting else ""
    return f"{len(failures)} of {len(clusters)} virtual clusters are not {state}{rest}: {'; '.join(reasons)}"


def run(module: AnsibleModule) -> ModuleResult:
    """Bring what is selected to the state. Raises NestedClustersError before anything is changed."""
    asked = order(module.params, module.check_mode)
    work = power_batch.run
    if asked.state == "absent":
        from ansible_collections.nested.clusters.plugins.module_utils.deletion import deletion_batch

        work = deletion_batch.run
    selected = selector(module.params)
    return result(work(host_clusters.open_hosts(module), selected, asked), asked, module._diff)


def main() -> None:
    """Run the module."""
    run_module(argument_spec(), run)


if __name__ == "__main__":
    main()
