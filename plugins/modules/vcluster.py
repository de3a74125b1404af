#!/usr/bin/python
# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module nested.clusters.vcluster."""

from __future__ import annotations

DOCUMENTATION = r"""
module: vcluster
short_description: Create, change and delete a virtual Kubernetes cluster
version_added: 0.1.0
author:
  - The nested.clusters contributors (@nested-clusters)
description:
  - Manages one virtual cluster on one host cluster, with the official vCluster Helm chart as the engine.
    What it makes is a normal vCluster, which C(helm) and the C(vcluster) CLI see and can work with.
  - An unchanged virtual cluster starts no Helm process. What somebody else changed in, or deleted from, the
    objects of the release is seen, shown and repaired.
  - Helm's records of a virtual cluster are Secrets in its namespace. If they name objects elsewhere that this Helm
    release did not make, Helm is not run, and the task is refused with the names of these objects, in check mode too.
  - A virtual cluster that C(helm) or the C(vcluster) CLI made is taken over as it is. Its own values stay, under
    those in O(values), and it restarts only if something of what the task says differs.
  - A control plane that is there, but has no Helm record in its namespace, is neither changed nor replaced. Another
    tool manages it, such as Flux with a C(storageNamespace) or C(helm) with another C(HELM_DRIVER), or its record was
    lost. The task fails before anything is changed, and names that tool, how it is known, and what to do. It is not
    deleted either if another tool manages it.
  - With O(group), the virtual cluster gets a size, a place on one of the group's host clusters, and the group's
    settings. In check mode RV(placement) answers whether it would fit, where, and what would be left.
  - A paused virtual cluster is changed without being woken, and stays paused; M(nested.clusters.vcluster_state) resumes
    it. It is not waited for.
options:
  name:
    description:
      - Name of the virtual cluster and of its Helm release.
      - A DNS label, short enough that what vCluster derives from it fits in 63 characters.
      - A new one can neither have C(-x-) in it nor begin with C(x-). vCluster labels what it syncs outside of
        namespaces with C(NAMESPACE-x-NAME), and another virtual cluster could have the same label.
    type: str
    required: true
  namespace:
    description:
      - Namespace on the host cluster. vCluster allows one virtual cluster a namespace.
      - That of a new one can neither have C(-x-) in it nor end with C(-x).
      - The default is C(vcluster-NAME), as with the C(vcluster) CLI.
      - It is created when it does not exist, and then removed with the virtual cluster if nothing else lives in it.
    type: str
  state:
    description:
      - V(present) creates the virtual cluster, or changes it to match the task. A paused virtual cluster stays paused.
      - V(running) does the same as V(present), and then resumes the virtual cluster if it is paused.
      - V(paused) does the same as V(present), and then pauses the virtual cluster. A new virtual cluster starts once
        before the module pauses it. A paused virtual cluster is changed without being started.
      - V(restarted) does the same as V(present), and then replaces the pods of the control plane one by one. It changes
        something every time. A new virtual cluster is created and not restarted again. A paused virtual cluster is an
        error.
      - V(absent) deletes the virtual cluster and everything that it created.
      - To pause, resume, restart or delete a selection of virtual clusters, use M(nested.clusters.vcluster_state).
    type: str
    choices: [present, absent, paused, running, restarted]
    default: present
  group:
    description:
      - Cluster group that the virtual cluster is in, see M(nested.clusters.vcluster_group).
      - A virtual cluster without a group joins it with this option. It does not move from one group to another.
    type: str
  owner:
    description:
      - Who the virtual cluster is for, such as a user name or an e-mail address. The group's owner quota counts it.
      - Without it, an existing virtual cluster keeps its owner.
    type: str
  size:
    description:
      - The most that the virtual cluster may claim of its host cluster, its control plane included.
      - What is left out stays as it is, and is the group's default for a new virtual cluster.
      - A ResourceQuota enforces it for requests and limits, and a LimitRange gives limits to containers without any.
      - Changing it restarts nothing, and applies to a paused virtual cluster as well.
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
      - Name of the group's host cluster that a new virtual cluster shall be placed on.
      - Without O(group), the one of O(host_clusters) that the virtual cluster is on. Required where there are several.
      - With O(group) and without it, the one is chosen that is left with the largest fraction of its scarcest
        resource, or with the smallest where the group's C(placement) is V(pack).
    type: str
  force:
    description:
      - With O(size), shrink the virtual cluster also below what it uses at the moment, or below the storage of the
        volumes that were kept of it.
    type: bool
    default: false
  vcluster_version:
    description:
      - Version of vCluster, which is the version of its chart, such as V(0.36.1).
      - Without it, a new virtual cluster gets V(0.36.1) and an existing one keeps its version.
      - An upgrade goes one minor version at a time. The module takes the steps in between itself, and waits until each
        one runs, also with O(wait=false). RV(steps) names them, in check mode as well. When a task is ended on the way,
        the next one goes on from there.
      - Between two minor versions it is the newest release of each that this collection knows, and Kubernetes moves
        with it, never past a minor version.
      - A downgrade is refused. So is what would lose the data, such as another backing store.
      - A paused virtual cluster can be upgraded by one minor version, and has to run before the next, or have
        O(rollback).
      - With O(group), the group's locked version, and no other, but see O(ahead_of_group).
    type: str
  ahead_of_group:
    description:
      - With O(group), O(vcluster_version) may be another one than the locked version, such as for a preview in check
        mode before the lock is moved.
    type: bool
    default: false
  rollback:
    description:
      - Prepare a way back before an upgrade, and take it when the upgrade fails. The task fails then, with
        C(rolled_back) in its result, and the virtual cluster is on its former version, with former values and data.
      - The control plane is stopped for it, but not what runs in the virtual cluster. Meanwhile a pod copies the data
        within its volume claim, where it needs as much room again. The copy stays there until the next upgrade.
      - After each step, the virtual cluster has to be healthy, seen from inside. Its API answers that it is ready and
        lists nodes and pods, and its CoreDNS runs. Before the first step as well, or nothing is changed.
      - A paused virtual cluster is started for that, and paused again.
      - The data of the embedded database and of a deployed etcd is copied. Of an external store nothing is. There, only
        the release goes back, and the data stays as the new version left it.
      - When a task is ended on the way, the next one for this virtual cluster goes on, also without this option.
    type: bool
    default: false
  kubernetes_version:
    description:
      - Version of Kubernetes inside the virtual cluster, such as V(v1.36.0).
      - Without it, a new virtual cluster gets the default of its vCluster version and an existing one keeps its own.
      - An upgrade goes one minor version at a time, with steps in between as for O(vcluster_version). Going back a
        minor version is refused.
    type: str
  distribution:
    description:
      - Kubernetes distribution of the virtual cluster. The default for a new one is V(k8s).
      - vCluster has V(k0s) before 0.26 and V(k3s) before 0.33. From 0.25 to 0.32, V(k3s) becomes V(k8s) in place; there
        is no way back.
      - With O(group), the default is the group's.
    type: str
    choices: [k8s, k3s, k0s]
  replicas:
    description:
      - How many replicas the control plane has. The default for a new virtual cluster is 1.
      - More than one needs another O(backing_store) than the embedded database.
    type: int
  backing_store:
    description:
      - Where the virtual cluster keeps its data, for life. The default is the embedded database.
      - With O(group), the default for a new virtual cluster is the group's.
      - When O(values) are given, say this, O(distribution) and O(replicas) again, because O(values) are all of the
        configuration but for the options beside them.
    type: dict
    suboptions:
      type:
        description:
          - V(embedded_sqlite) is a file in the volume of the control plane, which has one replica then.
          - V(deployed_etcd) is an etcd that the chart deploys beside the control plane.
          - V(external_etcd) is an etcd of yours, from vCluster 0.25 on. It serves one virtual cluster.
          - V(external_database) is a MySQL or PostgreSQL database of yours. With O(distribution=k8s) it needs an image
            that has a licence.
        type: str
        choices: [embedded_sqlite, deployed_etcd, external_etcd, external_database]
        required: true
      replicas:
        description:
          - How many members a deployed etcd has, 1, 3, 5 or 7. The default is 1. It cannot change later.
        type: int
      endpoint:
        description:
          - Address of the external etcd, such as V(etcd.example.com:2379).
        type: str
      tls_secret:
        description:
          - Secret in the namespace of the virtual cluster with which it logs in to the external etcd or database, with
            the keys C(ca.crt), C(tls.crt) and C(tls.key).
        type: str
      data_source:
        description:
          - Address of the external database, such as V(postgres://user:password@db.example.com:5432/name).
        type: str
  endpoint:
    description:
      - How the virtual cluster is reached from outside of its host cluster. With O(group), the group says it.
      - Without it, an existing virtual cluster keeps what it has. Another type can be asked for at any time.
        Kubeconfigs that were made before lead to the old endpoint then; a warning says what clients have to change.
    type: dict
    suboptions:
      type:
        description:
          - V(cluster_ip) is reached from inside the host cluster only, V(node_port) at its nodes, V(load_balancer) at
            an address of its own, V(ingress) and V(gateway) at a host name behind an address that many share.
          - The host cluster must be able to serve it.
        type: str
        choices: [cluster_ip, node_port, load_balancer, ingress, gateway]
        required: true
      host:
        description:
          - Host name of the virtual cluster, which goes into its certificate. V(ingress) and V(gateway) need one.
        type: str
      ingress_class:
        description:
          - Ingress class of a controller with SSL passthrough. The default is the host cluster's default class.
        type: str
      gateway_name:
        description:
          - Gateway with a listener of protocol TLS and mode Passthrough, which admits routes of all namespaces.
        type: str
      gateway_namespace:
        description:
          - Namespace of the Gateway. The default is C(default).
        type: str
      annotations:
        description:
          - Annotations for the Service, Ingress or TLSRoute.
        type: dict
  verify_endpoint:
    description:
      - With O(wait=true), wait until the endpoint answers to the machine that runs the module. Its name resolves, the
        certificate there is the virtual cluster's own, and its API lists namespaces for the owner of the kubeconfig.
      - When it does not within O(wait_timeout), the task fails and names the link that is broken.
      - Of an endpoint that neither O(endpoint) nor O(group) has asked for, nothing is waited for. Nor of V(cluster_ip).
    type: bool
    default: true
  values:
    description:
      - Configuration of the virtual cluster, as in C(vcluster.yaml).
      - When given, it is the whole configuration of a virtual cluster that this module made, over the open-source
        image as the only built-in value. What is left out goes back to the chart's default.
      - Without it, an existing virtual cluster keeps its configuration.
      - A key that needs a licence is refused as long as the open-source image is used.
      - Set C(no_log) on the task when they hold a secret, because Ansible shows a task's options at C(-vvv).
    type: dict
  chart_ref:
    description:
      - The chart, as a name in O(chart_repo_url), a local directory, a local C(.tgz) file, or an C(oci://) reference.
      - C({version}) in it stands for the version, so that it can mean local charts of several versions. An upgrade over
        more than one minor version needs that, where charts are local.
    type: str
    default: vcluster
  chart_repo_url:
    description:
      - Helm repository that holds the chart when O(chart_ref) is a name.
    type: str
    default: https://charts.loft.sh
  labels:
    description:
      - Labels that the control plane's StatefulSet or Deployment shall have. A value of V(null) removes a label.
      - Labels that are not mentioned stay. Changing labels restarts nothing.
    type: dict
    default: {}
  annotations:
    description:
      - Annotations of the control plane's StatefulSet or Deployment, as O(labels).
    type: dict
    default: {}
  protected:
    description:
      - Whether the virtual cluster is protected from deletion, by this module and by C(vcluster delete).
      - Without it, a new virtual cluster is not protected and an existing one stays as it is.
    type: bool
  keep_volumes:
    description:
      - With O(state=absent), keep the volume claims of the virtual cluster, and so the namespace they live in. They are
        annotated as kept, until the virtual cluster is made again over them.
    type: bool
    default: false
  accept_data_loss:
    description:
      - With O(state=paused) or O(state=restarted), whether to go on if the store of the virtual cluster has no volume
        claim, and everything in the virtual cluster is lost.
    type: bool
    default: false
  wait:
    description:
      - Whether to wait until the control plane is ready, or with O(state=absent) until everything is gone. With
        O(state=paused), the module waits until the pods are gone.
      - The module stops waiting, and fails with the reason, as soon as the control plane cannot become ready.
    type: bool
    default: true
  wait_timeout:
    description:
      - How long to wait, in seconds. The time starts again for each step of an upgrade, and for pausing, resuming or
        restarting.
      - Even with O(wait=false), the module waits up to this long for a namespace that is being deleted.
    type: int
    default: 300
  export_kubeconfig:
    description:
      - What to do with the kubeconfig of the virtual cluster. Without it, the kubeconfig is not touched.
      - Needs a virtual cluster that has started once, so use it with O(wait=true).
      - It is made from the certificates, the key and the token in Secret C(vc-NAME) in the namespace of the virtual
        cluster. Anything else that the Secret says of the cluster or the user, such as a command or a proxy, is
        refused, because whoever may write Secrets there can write it.
    type: dict
    suboptions:
      path:
        description:
          - File to write it to, with mode 0600, on the machine that runs the module.
          - When the file exists, the kubeconfig is merged into it as a context, and its current context stays.
        type: path
      context:
        description:
          - Name of the context. The default is C(vcluster_NAME_NAMESPACE).
        type: str
      server:
        description:
          - URL of the API server in the kubeconfig.
          - The default is the endpoint of the virtual cluster where it has one outside of the host cluster, else
            C(https://localhost:8443) for use with C(kubectl port-forward).
        type: str
      in_cluster:
        description:
          - Lead to the virtual cluster by its name in the host cluster, for what runs there, such as a GitOps tool.
        type: bool
        default: false
      user:
        description:
          - Who the kubeconfig logs in as. V(admin) has a client certificate for everything in the virtual cluster.
          - V(oidc) logs in at the issuer of the group, with the kubectl plugin C(oidc-login), and holds no credential.
          - The default is V(oidc) in a group with an issuer, else V(admin).
        type: str
        choices: [admin, oidc]
      return_content:
        description:
          - Return it as RV(kubeconfig). It can hold a private key, so set C(no_log) on the task.
        type: bool
        default: false
  binary_path:
    description:
      - The C(helm) to run, 3.14 or later, or 4. The default is the one on the C(PATH).
      - It is started only if something has to change.
    type: path
extends_documentation_fragment:
  - nested.clusters.connection
  - nested.clusters.host_clusters
  - nested.clusters.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details:
      - Shows values and manifests before and after. What Secrets hold is masked.
      - With O(group), a comment says of each value whether it is built in, the group's or the request's.
requirements:
  - python >= 3.10
  - kubernetes >= 24.2.0
  - PyYAML >= 3.11
  - helm >= 3.14 (https://helm.sh) to create, change or delete
seealso:
  - module: nested.clusters.vcluster_info
  - module: nested.clusters.vcluster_state
  - module: nested.clusters.vcluster_group
  - module: nested.clusters.vcluster_group_info
"""

EXAMPLES = r"""
- name: A virtual cluster, and its kubeconfig
  nested.clusters.vcluster:
    name: team-a
    export_kubeconfig:
      path: ~/.kube/team-a

- name: With everything said
  nested.clusters.vcluster:
    name: team-b
    namespace: team-b
    vcluster_version: 0.36.1
    kubernetes_version: v1.36.0
    protected: true
    labels:
      env: prod
    values:
      sync:
        toHost:
          ingresses:
            enabled: true

- name: From a chart on this machine, for a site without access to the chart repository
  nested.clusters.vcluster:
    name: team-c
    chart_ref: /srv/charts/vcluster-0.36.1.tgz

- name: Highly available, with an etcd of three members beside three replicas of the control plane
  nested.clusters.vcluster:
    name: team-e
    replicas: 3
    backing_store:
      type: deployed_etcd
      replicas: 3

- name: Upgrade it over two minor versions, from charts on this machine, and take it back if it fails
  nested.clusters.vcluster:
    name: team-c
    vcluster_version: 0.36.1
    rollback: true
    chart_ref: /srv/charts/vcluster-{version}.tgz

- name: Behind an ingress with SSL passthrough, at a name of its own
  nested.clusters.vcluster:
    name: team-f
    endpoint:
      type: ingress
      host: team-f.vc.example.com
      ingress_class: nginx
    export_kubeconfig:
      path: ~/.kube/team-f

- name: In a cluster group, wherever there is room
  nested.clusters.vcluster:
    name: team-d
    group: dev
    owner: alice@example.com
    size:
      cpu: 6
      memory: 8Gi
      storage: 10Gi
    host_clusters:
      - name: host-a
        context: a
      - name: host-b
        context: b

- name: Delete it with everything it made
  nested.clusters.vcluster:
    name: team-a
    state: absent
"""

RETURN = r"""
steps:
  description: What was done, or in check mode would be done, in order. Empty when nothing changes.
  returned: success
  type: list
  elements: str
  sample:
    - create namespace vcluster-team-a
    - install release team-a with vCluster 0.36.1
    - "set annotations of virtual cluster team-a: nested-clusters/managed"
virtual_cluster:
  description:
    - The virtual cluster as it is after the task, with the same fields as in M(nested.clusters.vcluster_info).
    - In check mode as it is now. Empty where there is none.
  returned: success
  type: dict
  sample:
    name: team-a
    namespace: vcluster-team-a
    phase: running
    vcluster_version: 0.36.1
    kubernetes_version: v1.36.0
placement:
  description:
    - Where the virtual cluster is or goes, and why. RV(ignore:placement.considered) is empty where nothing was placed.
  returned: success, with O(group)
  type: dict
  sample:
    host: host-b
    strategy: spread
    considered:
      - name: host-a
        fits: false
        chosen: false
        reason: 2 of 8 cpu left
        left: {cpu: "2", memory: 6Gi, storage: null}
        score: null
      - name: host-b
        fits: true
        chosen: true
        reason: has room
        left: {cpu: "5600m", memory: 12Gi, storage: null}
        score: 0.5833
endpoint:
  description:
    - Where the virtual cluster is reached, whether it answers, and what was seen of each link on the way, in order.
  returned: when the endpoint was verified
  type: dict
  sample:
    url: https://team-f.vc.example.com
    answers: true
    links:
      - {name: route, ok: true, message: Ingress team-f}
      - {name: dns, ok: true, message: team-f.vc.example.com is 203.0.113.7}
      - {name: address, ok: true, message: 203.0.113.7 answers on port 443}
      - {name: certificate, ok: true, message: "the virtual cluster's own, by TLSv1.3"}
      - {name: api, ok: true, message: lists 4 namespaces}
kubeconfig:
  description: The kubeconfig of the virtual cluster.
  returned: when O(export_kubeconfig.return_content=true) and the virtual cluster has started
  type: dict
"""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.nested.clusters.plugins.module_utils.common.errors import OptionError
from ansible_collections.nested.clusters.plugins.module_utils.helm.cli import Helm
from ansible_collections.nested.clusters.plugins.module_utils.k8s.client import Kubernetes
from ansible_collections.nested.clusters.plugins.module_utils.k8s.connection import auth_argument_spec
from ansible_collections.nested.clusters.plugins.module_utils.k8s.host_clusters import (
    host_clusters_spec,
    only_host,
    open_hosts,
)
from ansible_collections.nested.clusters.plugins.module_utils.k8s.module import ModuleResult, run_module
from ansible_collections.nested.clusters.plugins.module_utils.lifecycle import export, options
from ansible_collections.nested.clusters.plugins.module_utils.lifecycle import present as lifecycle
from ansible_collections.nested.clusters.plugins.module_utils.lifecycle.request import Request, RunOptions
from ansible_collections.nested.clusters.plugins.module_utils.values.endpoint import ENDPOINT_TYPES, Endpoint
from ansible_collections.nested.clusters.plugins.module_utils.values.oidc import Oidc
from ansible_collections.nested.clusters.plugins.module_utils.virtual_cluster import cluster_state, readiness
from ansible_collections.nested.clusters.plugins.module_utils.virtual_cluster.cluster_state import Outcome, is_paused

if TYPE_CHECKING:  # what a task with state present does not need is imported where it is needed
    from ansible_collections.nested.clusters.plugins.module_utils.fleet.single import Power

STATES = ("paused", "running", "restarted")  # those that are more than being present

OpenHelm = Callable[[Kubernetes], Helm]


@dataclass
class Placed:
    """A virtual cluster where it is: what was done there, its endpoint, and what its group adds."""

    outcome: Outcome
    kubernetes: Kubernetes
    namespace: str
    endpoint: Endpoint | None
    oidc: Oidc | None = None
    placement: dict[str, Any] | None = None
    description: Mapping[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def argument_spec() -> dict[str, Any]:
    """Return the options of the module."""
    return {
        **auth_argument_spec(),
        **options.virtual_cluster_spec(),
        **options.chart_spec(),
        "group": {"type": "str"},
        "host_clusters": host_clusters_spec(),
        "state": {"type": "str", "choices": ["present", "absent", *STATES], "default": "present"},
        "ahead_of_group": {"type": "bool", "default": False},
        "rollback": {"type": "bool", "default": False},
        "endpoint": {
            "type": "dict",
            "options": {
                "type": {"type": "str", "choices": list(ENDPOINT_TYPES), "required": True},
                "host": {"type": "str"},
                "ingress_class": {"type": "str"},
                "gateway_name": {"type": "str"},
                "gateway_namespace": {"type": "str"},
                "annotations": {"type": "dict"},
            },
        },
        "verify_endpoint": {"type": "bool", "default": True},
        "keep_volumes": {"type": "bool", "default": False},
        "accept_data_loss": {"type": "bool", "default": False},
        "wait": {"type": "bool", "default": True},
        "wait_timeout": {"type": "int", "default": 300},
        "export_kubeconfig": {
            "type": "dict",
            "options": {
                "path": {"type": "path"},
                "context": {"type": "str"},
                "server": {"type": "str"},
                "in_cluster": {"type": "bool", "default": False},
                "user": {"type": "str", "choices": ["admin", "oidc"]},
                "return_content": {"type": "bool", "default": False},
            },
        },
    }


def run(module: AnsibleModule) -> ModuleResult:
    """Bring the virtual cluster to its state. Raises NestedClustersError."""
    params = module.params
    check_options(params)
    requested = options.request(params)
    with ExitStack() as stack:

        def open_helm(kubernetes: Kubernetes) -> Helm:
            return stack.enter_context(Helm(kubernetes, params["binary_path"], module.tmpdir))

        if params["state"] == "absent":
            return delete(module, open_helm, requested)
        return bring(module, open_helm, requested)


def check_options(params: dict[str, Any]) -> None:
    """Raise OptionError for options that exclude each other."""
    if params["endpoint"] and params["group"]:
        allowed = "nothing, or a task without group"
        raise OptionError("endpoint", params["endpoint"]["type"], allowed, reason="the group says it for all of it")
    if options.wants_oidc(params) and not params["group"]:
        raise OptionError("export_kubeconfig.user", "oidc", "admin, or oidc with option group")


def bring(module: AnsibleModule, open_helm: OpenHelm, requested: Request) -> ModuleResult:
    """Create or change the virtual cluster, then pause, resume or restart it if the task says so."""
    params, check = module.params, module.check_mode
    power = power_of(module, requested) if params["state"] in STATES else None
    # What runs already, and is about to be paused, is neither waited for nor reached.
    rests = params["state"] == "paused" and not (power and power.starts_first)
    found = (in_group if params["group"] else alone)(module, open_helm, requested, patience(params, rests))
    steps, diff = list(found.outcome.plan.steps), list(found.outcome.plan.diff)
    warnings = [*found.warnings]

    def switch() -> None:
        if power is None:
            return
        change = power.apply(found.kubernetes, found.namespace)
        steps.extend(change.steps)
        diff.extend(change.diff)
        warnings.extend(change.warnings)
        if change.steps and not check:
            found.outcome = look_again(module, found)

    if params["state"] != "paused":
        switch()
    reached = {} if rests else verified(module, found)
    wanted = options.kubeconfig_export(params, url_in(reached))
    exported = export.export(wanted, requested.name, found.namespace, found.outcome.state, check, found.oidc)
    steps += [change.text for change in exported.changes]
    if params["state"] == "paused":
        switch()
    description = export.describe(found.outcome, requested.name)
    data = {**reached, **exported.result(), "virtual_cluster": description, "steps": steps}
    if data["virtual_cluster"]:
        data["virtual_cluster"].update(found.description)
    if found.placement is not None:
        data["placement"] = found.placement
    return ModuleResult(data, bool(steps), diff, [*warnings, *found.outcome.plan.notes])


def patience(params: Mapping[str, Any], rests: bool) -> float | None:
    """Return how many seconds to wait for a virtual cluster that is created or changed; None for not at all."""
    return params["wait_timeout"] if params["wait"] and not rests else None


def power_of(module: AnsibleModule, requested: Request) -> Power:
    """Return what the state means for the virtual cluster as it is now. Raises NestedClustersError if it cannot be."""
    from ansible_collections.nested.clusters.plugins.module_utils.common.batch import BatchOptions
    from ansible_collections.nested.clusters.plugins.module_utils.fleet.single import Power
    from ansible_collections.nested.clusters.plugins.module_utils.listing.selection import Selector

    params = module.params
    order = BatchOptions(
        params["state"],
        module.check_mode,
        params["wait"],
        params["wait_timeout"],
        accept_data_loss=params["accept_data_loss"],
        trust_kubelet=True,  # whose probe asks the same API, and which state present waits for as well
    )
    selector = Selector(names=(requested.name,), group=params["group"])
    if params["group"]:
        return Power.look(open_hosts(module), selector, order)
    hosts = [only_host(module, params["host_cluster"])]
    return Power.look(hosts, replace(selector, namespace=requested.namespace), order)


def look_again(module: AnsibleModule, found: Placed) -> Outcome:
    """Return the virtual cluster as a pause, resume or restart left it."""
    params, kubernetes = module.params, found.kubernetes
    state = cluster_state.read(kubernetes, params["name"], found.namespace)
    timeout = patience(params, rests=is_paused(state.workload(params["name"])))
    if timeout is not None:  # for the Secret with the kubeconfig of one that had never started
        wanted = bool(params["export_kubeconfig"])
        state = readiness.wait_ready(kubernetes, params["name"], found.namespace, state, timeout, wanted)
    return replace(found.outcome, state=state)


def in_group(module: AnsibleModule, open_helm: OpenHelm, requested: Request, wait: float | None) -> Placed:
    """Create or change a virtual cluster of a group, wherever in it that is."""
    from ansible_collections.nested.clusters.plugins.module_utils.admission import present as admission

    params = module.params
    outcome, decision, seen = admission.present(
        open_hosts(module),
        open_helm,
        requested,
        options.in_group(params),
        run_options(module, wait),
    )
    return Placed(
        outcome,
        decision.kubernetes,
        decision.namespace,
        seen.group.endpoint,
        seen.group.oidc,
        decision.placement_dict(),
        decision.describe(module.check_mode),
        seen.uncounted() if decision.takes_more else [],
    )


def alone(module: AnsibleModule, open_helm: OpenHelm, requested: Request, wait: float | None) -> Placed:
    """Create or change a virtual cluster that is in no group."""
    params = module.params
    kubernetes = only_host(module, params["host_cluster"]).kubernetes
    run = run_options(module, wait)
    outcome = lifecycle.present(kubernetes, partial(open_helm, kubernetes), requested, run)
    return Placed(outcome, kubernetes, requested.namespace, requested.endpoint)


def run_options(module: AnsibleModule, wait: float | None) -> RunOptions:
    """Return how a virtual cluster is created or changed; ``wait`` is in seconds, None for not at all."""
    return RunOptions(module.check_mode, wait, kubeconfig=bool(module.params["export_kubeconfig"]))


def verified(module: AnsibleModule, found: Placed) -> dict[str, Any]:
    """Return the result's ``endpoint``, once it answers; empty where nothing shall be, or can be, waited for."""
    params = module.params
    paused = is_paused(found.outcome.state.workload(params["name"]))
    external = found.endpoint is not None and found.endpoint.type.external
    wanted = params["wait"] and params["verify_endpoint"] and external
    if module.check_mode or paused or not wanted:
        return {}
    from ansible_collections.nested.clusters.plugins.module_utils.endpoint import reachability

    name, timeout = params["name"], params["wait_timeout"]
    return {"endpoint": reachability.wait(found.kubernetes, name, found.namespace, timeout).as_dict()}


def url_in(reached: Mapping[str, Any]) -> str | None:
    """Return the URL that was verified."""
    return reached["endpoint"]["url"] if reached else None


def delete(module: AnsibleModule, open_helm: OpenHelm, requested: Request) -> ModuleResult:
    """Delete the virtual cluster, and describe in check mode what goes."""
    outcome = absent(module, open_helm, requested, patience(module.params, rests=False))
    data = {
        "virtual_cluster": export.describe(outcome, requested.name) if module.check_mode else {},
        "steps": outcome.plan.steps,
    }
    return ModuleResult(data, outcome.plan.changed, outcome.plan.diff, outcome.plan.notes)


def absent(module: AnsibleModule, open_helm: OpenHelm, requested: Request, wait: float | None) -> Outcome:
    """Delete the virtual cluster, wherever in its group it is."""
    from ansible_collections.nested.clusters.plugins.module_utils.deletion import single as deletion
    from ansible_collections.nested.clusters.plugins.module_utils.virtual_cluster.cluster_ref import ClusterRef

    namespace = requested.namespace
    if module.params["group"]:
        from ansible_collections.nested.clusters.plugins.module_utils.admission import decide as decision_rules
        from ansible_collections.nested.clusters.plugins.module_utils.groups import group_view

        seen, current = group_view.find(open_hosts(module), requested.name, module.params["group"])
        if current is None:
            return deletion.nothing()
        decision_rules.check_host_cluster(module.params["host_cluster"], current)
        namespace, kubernetes = current.namespace, seen.views[current.host_cluster].host.kubernetes
    else:
        kubernetes = only_host(module, module.params["host_cluster"]).kubernetes
    return deletion.absent(
        ClusterRef(kubernetes, requested.name, namespace),
        partial(open_helm, kubernetes),
        check=module.check_mode,
        keep_volumes=module.params["keep_volumes"],
        wait=wait,
    )


def main() -> None:
    """Run the module."""
    run_module(argument_spec(), run, required_by={"owner": "group", "size": "group"})


if __name__ == "__main__":
    main()
