#!/usr/bin/python
# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module nested.clusters.vcluster_state."""

from __future__ import annotations

DOCUMENTATION = r"""
module: vcluster_state
short_description: Pause, resume, restart and delete virtual clusters
version_added: 0.1.0
author:
  - The nested.clusters contributors (@nested-clusters)
description:
  - Pauses, resumes, restarts or deletes one virtual cluster or a whole selection in one task, on one host cluster or
    several.
  - A paused virtual cluster uses no CPU and no memory. Its objects, volumes, Services, load balancer and quota stay.
  - What this module pauses, the C(vcluster) CLI resumes, and the other way round. One that has a deployed etcd beside
    a StatefulSet is better resumed by this module, because the CLI leaves that etcd without replicas.
  - The options O(name), O(names), O(owner) and O(label_selectors) select, and O(group), O(phases) and O(namespace)
    narrow the choice. A virtual cluster is selected if it fits every one of them that is given.
  - At least one that selects has to be given. A group, a phase or a namespace alone selects nothing; to mean every
    virtual cluster of it, say O(all=true) beside it.
  - One of these options that is given and empty is an error, because it is what a template leaves whose variable is
    empty. To leave it out, use C(omit).
options:
  state:
    description:
      - V(paused) scales the control plane to nothing, deletes the pods that it has synced to the host cluster, and
        scales a deployed etcd to nothing. Pods in the virtual cluster that no controller makes anew are lost.
      - V(running) resumes it, etcd first.
      - V(restarted) replaces the pods of the control plane one by one, the last first. With several replicas its API
        goes on answering. It changes something every time. A deployed etcd is left alone.
      - V(absent) deletes it with everything it made, as O(ignore:state=absent) of M(nested.clusters.vcluster) does,
        but without C(helm), and also what a task that was killed has left of one. A protected one is an error that
        names all of them, before anything is changed. So is one that another tool manages and keeps the Helm record of
        elsewhere, such as Flux with a C(storageNamespace).
      - Outside of the namespace, V(absent) deletes only what the newest Helm record names, the chart's cluster roles
        and their bindings, and what was synced. RV(virtual_clusters[].steps) names each of these objects, with its
        namespace.
      - A state that somebody else has left half-way is mended by V(paused), V(running) and V(absent).
    type: str
    choices: [paused, running, restarted, absent]
    required: true
  name:
    description:
      - Name of a virtual cluster. All of this name are meant, in whatever namespace and on whatever host cluster.
      - A name that does not exist is an error, before anything is changed; with O(state=absent) it is what is wanted.
    type: str
  names:
    description:
      - Names of several virtual clusters, as O(name), in addition to the one there.
    type: list
    elements: str
  all:
    description:
      - Every virtual cluster that fits O(group), O(phases), O(namespace), O(owner) and O(label_selectors), and without
        any of them every virtual cluster of the host clusters.
      - It cannot be combined with O(name) or O(names).
    type: bool
    default: false
  max_selected:
    description:
      - Change nothing, and fail, if more virtual clusters than this are selected on all host clusters together. This
        counts also those that are in the state already, and holds in check mode too.
      - By default there is no limit.
    type: int
  namespace:
    description:
      - Look only in this namespace of the host clusters. It selects nothing by itself.
      - Without it, all namespaces are read, which needs permission for it.
    type: str
  group:
    description:
      - Only virtual clusters of this cluster group. It selects nothing by itself.
    type: str
  owner:
    description:
      - Only virtual clusters of this owner.
    type: str
  label_selectors:
    description:
      - Label selectors that the StatefulSet or Deployment of the control plane must all fit.
    type: list
    elements: str
  phases:
    description:
      - Only virtual clusters that are in one of these phases now, as in M(nested.clusters.vcluster_info). It selects
        nothing by itself.
    type: list
    elements: str
    choices: [running, paused, pending, failed, sleeping, deleting]
  accept_data_loss:
    description:
      - Also pause or restart a virtual cluster whose store has no volume claim. Everything in it is lost then.
      - Without it, one of these is refused.
    type: bool
    default: false
  keep_volumes:
    description:
      - With O(state=absent), keep the volume claims of the virtual clusters, and so the namespaces they live in.
      - The claims are annotated as kept, so that M(nested.clusters.vcluster_orphans) leaves them alone.
      - What is left of a virtual cluster whose volumes were kept is deleted only where the task names it.
    type: bool
    default: false
  at_once:
    description:
      - How many virtual clusters may be under way at the same time, on all host clusters together.
    type: int
    default: 200
  max_failures:
    description:
      - Begin no further virtual cluster once so many have failed. By default, all are tried.
      - The task fails in the end if any has failed.
    type: int
  wait:
    description:
      - Wait until every virtual cluster has reached the state. A paused one has no pod left then; the own API of a
        running one answers that it is ready; of an absent one nothing is left.
      - Waiting ends early, with the reason, for one that cannot become ready.
      - Even without it, the task waits between two steps whose order matters.
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
      - With O(state=absent), shows every object that goes, and the volume claims that are kept.
notes:
  - Needs to list and patch StatefulSets and Deployments, and to list and delete pods (also C(deletecollection)).
    Namespaces are listed for O(group) and O(owner), and to report them. The Secret C(vc-config-NAME) is read where
    only the values say whether the store survives, or how many replicas there were.
  - For O(state=absent), every kind is listed, with one request a kind for the whole selection, and namespaces are
    read. What may not be listed counts as somebody else's, so that the namespace stays. Without permission to list
    cluster roles, persistent volumes and objects in other namespaces, those stay.
  - With permission to get C(pods/proxy), the virtual cluster's own API is asked whether it is ready. Without it,
    or where the host cluster's API server does not reach pods, the kubelet's answer to the same question counts,
    and a warning says so. The built-in roles C(admin) and C(edit) have this permission.
  - Pods that a vCluster with a licence has synced into other namespaces are found only without O(namespace).
seealso:
  - module: nested.clusters.vcluster
  - module: nested.clusters.vcluster_info
"""

EXAMPLES = r"""
- name: Pause a virtual cluster
  nested.clusters.vcluster_state:
    name: team-a
    state: paused

- name: Pause at night what runs for the continuous integration, on all host clusters
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

- name: Resume all of a group that are paused, without waiting until they are ready
  nested.clusters.vcluster_state:
    group: dev
    phases:
      - paused
    all: true
    state: running
    wait: false

- name: Delete all that one owner has in a group, after a look with --check --diff
  nested.clusters.vcluster_state:
    group: dev
    owner: alice
    max_selected: 4
    state: absent

- name: Restart those of an owner one after the other, and stop at the first that does not come back
  nested.clusters.vcluster_state:
    owner: alice
    state: restarted
    at_once: 1
    max_failures: 1
"""

RETURN = r"""
virtual_clusters:
  description: The virtual clusters that were selected, sorted by host cluster, namespace and name.
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
      description: The host cluster; null where the task has no O(host_clusters).
      type: str
      returned: always
      sample: host-a
    group:
      description: The cluster group; null where it is in none, or namespaces may not be read.
      type: str
      returned: always
      sample: dev
    owner:
      description: The owner; null where none is recorded, or namespaces may not be read.
      type: str
      returned: always
      sample: alice
    before:
      description: The phase before the task, as in M(nested.clusters.vcluster_info).
      type: str
      returned: always
      sample: running
    after:
      description:
        - The phase after the task; in check mode, the one that it would have.
        - V(absent) for one that is deleted, or V(deleting) where that is not waited for.
      type: str
      returned: always
      sample: paused
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
        - scale StatefulSet team-a from 1 to 0 replicas
        - delete 4 synced pods
    note:
      description:
        - What was odd about its state before, for example that it was scaled to 0 other than by a pause.
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
      description: Why it failed, or was not begun; otherwise empty.
      type: str
      returned: always
      sample: ""
failures:
  description:
    - What failed. An entry without a name is a host cluster that could not be read.
  returned: always, except where the task fails before anything is changed
  type: list
  elements: dict
  sample:
    - name: team-b
      namespace: vcluster-team-b
      host_cluster: host-a
      msg: it is being deleted
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.nested.clusters.plugins.module_utils.common.batch import BatchOptions, BatchResult
from ansible_collections.nested.clusters.plugins.module_utils.common.errors import OptionError, refuse_empty
from ansible_collections.nested.clusters.plugins.module_utils.k8s import host_clusters
from ansible_collections.nested.clusters.plugins.module_utils.k8s.connection import auth_argument_spec
from ansible_collections.nested.clusters.plugins.module_utils.k8s.module import ModuleResult, run_module
from ansible_collections.nested.clusters.plugins.module_utils.listing.selection import Selector
from ansible_collections.nested.clusters.plugins.module_utils.power import batch as power_batch
from ansible_collections.nested.clusters.plugins.module_utils.power.steps import POWER_STATES
from ansible_collections.nested.clusters.plugins.module_utils.virtual_cluster.phases import PHASES

SELECTING = ("name", "names", "owner", "label_selectors")
NARROWING = ("group", "phases", "namespace")  # each of them alone would mean everything that is there


def argument_spec() -> dict[str, Any]:
    """The options of the module."""
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
        reason = f"{named[0]} says which, and all: true says every one"
        raise OptionError("all", True, f"one of the two: all: true or {named[0]}", reason=reason)
    if not params["all"] and not any(params[option] for option in SELECTING):
        given = [option for option in NARROWING if params[option]]
        alone = f"; {' and '.join(given)} alone selects nothing" if given else ""
        reason = f"the task does not say which virtual clusters{alone}"
        allowed = "at least one of them, or all: true for all there are"
        raise OptionError(", ".join(SELECTING), None, allowed, reason=reason)


def selector(params: dict[str, Any]) -> Selector:
    """Which virtual clusters the task is for. Raises OptionError where it does not say."""
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
    """What to do with them. Raises OptionError for numbers that would do nothing."""
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
        from ansible_collections.nested.clusters.plugins.module_utils.deletion import batch as deletion_batch

        work = deletion_batch.run
    selected = selector(module.params)
    return result(work(host_clusters.open_hosts(module), selected, asked), asked, module._diff)


def main() -> None:
    """Run the module."""
    run_module(argument_spec(), run)


if __name__ == "__main__":
    main()
