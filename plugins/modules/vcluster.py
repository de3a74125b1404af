#!/usr/bin/python
# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module nested.clusters.vcluster."""

from __future__ import annotations

DOCUMENTATION = r"""
module: vcluster
short_description: Manage a virtual Kubernetes cluster
version_added: 0.1.0
author:
  - The nested.clusters contributors (@nested-clusters)
description:
  - Creates, changes, pauses, resumes, restarts and deletes one virtual cluster on one host cluster.
  - The official vCluster Helm chart does the work. The result is an ordinary vCluster, which C(helm) and the
    C(vcluster) CLI can manage as well.
  - A task that changes nothing starts no Helm process. The module finds objects of the release that were changed or
    deleted outside of Ansible, shows the difference, and repairs them.
  - Helm stores its records of a virtual cluster as Secrets in the namespace of the virtual cluster. If a record names
    objects outside of that namespace which this Helm release did not create, the module does not run Helm. It fails
    with the names of these objects, also in check mode.
  - The module adopts a virtual cluster that C(helm) or the C(vcluster) CLI created. The virtual cluster keeps its own
    values, with O(values) on top, and restarts only if the task changes something.
  - The module neither changes nor replaces a control plane that has no Helm record in its namespace. Another tool
    manages such a control plane, for example Flux with a C(storageNamespace) or C(helm) with another C(HELM_DRIVER), or
    its record was lost. The task fails before it changes anything. The message names the tool, how the module
    recognized it, and what to do. The module does not delete a control plane that another tool manages.
  - With O(group), the module gives the virtual cluster a size, places it on one of the group's host clusters, and
    applies the settings of the group. In check mode, RV(placement) says whether it fits, where, and how much would be
    left.
  - With O(state=present), the module changes a paused virtual cluster without starting it. The virtual cluster stays
    paused, and the module does not wait for it.
options:
  name:
    description:
      - Name of the virtual cluster and of its Helm release.
      - Must be a DNS label, short enough that the names which vCluster derives from it have at most 63 characters.
      - The name of a new virtual cluster must not contain C(-x-) or begin with C(x-). vCluster labels the objects that
        it syncs outside of namespaces with C(NAMESPACE-x-NAME), and another virtual cluster could have the same label.
    type: str
    required: true
  namespace:
    description:
      - Namespace of the virtual cluster on the host cluster. vCluster supports one virtual cluster per namespace.
      - The namespace of a new virtual cluster must not contain C(-x-) or end with C(-x).
      - The module creates a namespace that does not exist. It deletes that namespace together with the virtual cluster,
        unless the namespace contains other objects.
      - The default is C(vcluster-NAME), as in the C(vcluster) CLI.
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
      - Cluster group of the virtual cluster, see M(nested.clusters.vcluster_group).
      - This option adds an existing virtual cluster without a group to the group. It does not move a virtual cluster
        from one group to another.
      - By default, the virtual cluster is in no group.
    type: str
  owner:
    description:
      - Who the virtual cluster is for, such as a user name or an email address. The owner quota of the group counts by
        owner.
      - By default, a new virtual cluster has no owner, and an existing one keeps its owner.
    type: str
  size:
    description:
      - Maximum resources that the virtual cluster can claim on its host cluster, including its control plane.
      - A ResourceQuota enforces the size for requests and limits. A LimitRange gives limits to containers that have
        none.
      - Changing the size restarts nothing, and also applies to a paused virtual cluster.
      - By default, a new virtual cluster gets the default size of the group, and an existing one keeps its size. The
        same applies to each suboption.
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
      - Name of the host cluster for a new virtual cluster.
      - With O(group), must be a host cluster of the group. By default, the module chooses the host cluster that keeps
        the largest fraction of its scarcest resource, or the smallest if the group's C(placement) is V(pack).
      - Without O(group), must be the entry of O(host_clusters) that the virtual cluster is on. Required if
        O(host_clusters) has several entries.
    type: str
  force:
    description:
      - Whether O(size) can shrink the virtual cluster below what it currently uses, or below the storage of its kept
        volumes.
    type: bool
    default: false
  vcluster_version:
    description:
      - Version of vCluster and of its chart, such as V(0.36.1).
      - By default, a new virtual cluster gets V(0.36.1), and an existing one keeps its version.
      - vCluster upgrades one minor version at a time. The module performs the steps in between and waits until each of
        them runs, even with O(wait=false). RV(steps) lists them, also in check mode. If a task is interrupted, the next
        one continues.
      - Each step in between uses the newest release of its minor version that this collection knows. Kubernetes is
        upgraded along with it, also one minor version at a time.
      - The module refuses downgrades, and changes that would lose the data, such as another backing store.
      - A paused virtual cluster can be upgraded by one minor version. For a further one it must run, or the task must
        set O(rollback).
      - With O(group), must be the group's locked version unless O(ahead_of_group) is set.
    type: str
  ahead_of_group:
    description:
      - With O(group), whether O(vcluster_version) can differ from the group's locked version. Use it in check mode to
        preview an upgrade before you change the lock.
    type: bool
    default: false
  rollback:
    description:
      - Whether to back up the virtual cluster before an upgrade, and to restore it if the upgrade fails. The task then
        fails with C(rolled_back) in its result, and the virtual cluster has its former version, values and data.
      - The module stops the control plane for the backup. The workloads of the virtual cluster keep running. A pod
        copies the data inside the volume claim, which needs free space for the copy. The copy stays there until the
        next upgrade.
      - Before the first step and after each step, the virtual cluster must be healthy. Its API must answer that it is
        ready, and list nodes and pods, and its CoreDNS must run. If it is not healthy at the beginning, the module
        changes nothing.
      - The module starts a paused virtual cluster for the upgrade and pauses it again.
      - Only the embedded database and a deployed etcd are backed up. With an external store, only the Helm release is
        rolled back; the data stays as the new version left it.
      - If a task is interrupted, the next one for this virtual cluster continues, even without this option.
    type: bool
    default: false
  kubernetes_version:
    description:
      - Version of Kubernetes in the virtual cluster, such as V(v1.36.0).
      - By default, a new virtual cluster gets the default of its vCluster version, and an existing one keeps its
        version.
      - Kubernetes upgrades one minor version at a time, with steps in between as described for O(vcluster_version). The
        module refuses to go back a minor version.
    type: str
  distribution:
    description:
      - Kubernetes distribution of the virtual cluster.
      - vCluster supports V(k0s) before 0.26 and V(k3s) before 0.33. From 0.25 to 0.32, V(k3s) can change to V(k8s) in
        place, and not back.
      - By default, a new virtual cluster gets the distribution of the group, or V(k8s) without O(group), and an
        existing one keeps its distribution.
    type: str
    choices: [k8s, k3s, k0s]
  replicas:
    description:
      - Number of replicas of the control plane.
      - More than one replica requires an O(backing_store) other than the embedded database.
      - By default, a new virtual cluster gets the number of the group, or 1 without O(group), and an existing one keeps
        its number.
    type: int
  backing_store:
    description:
      - Where the virtual cluster keeps its data. It cannot change later.
      - If O(values) is set, set this option, O(distribution) and O(replicas) again, because O(values) replaces the
        whole configuration except for these options.
      - By default, a new virtual cluster gets the store of the group, or the embedded database without O(group), and an
        existing one keeps its store.
    type: dict
    suboptions:
      type:
        description:
          - V(embedded_sqlite) is a file in the volume of the control plane, which then has one replica.
          - V(deployed_etcd) is an etcd that the chart deploys next to the control plane.
          - V(external_etcd) is an etcd that you provide, from vCluster 0.25 on. It serves one virtual cluster.
          - V(external_database) is a MySQL or PostgreSQL database that you provide. With O(distribution=k8s), it
            requires a licensed image.
        type: str
        choices: [embedded_sqlite, deployed_etcd, external_etcd, external_database]
        required: true
      replicas:
        description:
          - Number of members of a deployed etcd, which is 1, 3, 5 or 7. It cannot change later. The default is 1.
        type: int
      endpoint:
        description:
          - Address of the external etcd, such as V(etcd.example.com:2379). Required for V(external_etcd).
        type: str
      tls_secret:
        description:
          - Name of a Secret in the namespace of the virtual cluster with the keys C(ca.crt), C(tls.crt) and C(tls.key),
            which authenticates to the external etcd or database. By default, no certificate is used.
        type: str
      data_source:
        description:
          - Address of the external database, such as V(postgres://user:password@db.example.com:5432/name). Required for
            V(external_database).
        type: str
  endpoint:
    description:
      - How clients outside of the host cluster reach the virtual cluster. Cannot be combined with O(group), because the
        group defines the endpoint.
      - Changing the type is possible at any time. Existing kubeconfigs then still contain the old endpoint, and a
        warning says what clients have to change.
      - By default, a new virtual cluster is reached only from inside of the host cluster, and an existing one keeps its
        endpoint.
    type: dict
    suboptions:
      type:
        description:
          - Type of the endpoint. The host cluster must support it.
          - V(cluster_ip) is reached only from inside of the host cluster.
          - V(node_port) is reached at the nodes of the host cluster.
          - V(load_balancer) is reached at an IP address of its own.
          - V(ingress) and V(gateway) are reached at a host name, on an IP address that virtual clusters share.
        type: str
        choices: [cluster_ip, node_port, load_balancer, ingress, gateway]
        required: true
      host:
        description:
          - Host name of the virtual cluster, which becomes part of its certificate. Required for V(ingress) and
            V(gateway).
        type: str
      ingress_class:
        description:
          - IngressClass of a controller with SSL passthrough. The default is the default class of the host cluster.
        type: str
      gateway_name:
        description:
          - Name of a Gateway that has a listener with protocol TLS and mode Passthrough, and that accepts routes from
            all namespaces. Required for V(gateway).
        type: str
      gateway_namespace:
        description:
          - Namespace of the Gateway. The default is C(default).
        type: str
      annotations:
        description:
          - Annotations for the Service, Ingress or TLSRoute. By default, none are added.
        type: dict
  verify_endpoint:
    description:
      - With O(wait=true), whether to wait until the endpoint answers to the machine that runs the module. Its name must
        resolve, it must present the certificate of the virtual cluster, and its API must list namespaces for the owner
        of the kubeconfig.
      - If the endpoint does not answer within O(wait_timeout), the task fails and names the first step that fails.
      - Has no effect if neither O(endpoint) nor O(group) sets an endpoint, or if the type is V(cluster_ip).
    type: bool
    default: true
  values:
    description:
      - Configuration of the virtual cluster, as in C(vcluster.yaml).
      - For a virtual cluster that this module created, the values are the whole configuration, on top of the
        open-source image as the only built-in value. A key that is left out returns to the default of the chart.
      - The module refuses keys that require a license while the open-source image is used.
      - If the values contain a secret, set C(no_log) on the task, because Ansible shows the options of a task at
        C(-vvv).
      - By default, a new virtual cluster gets the defaults of the chart, and an existing one keeps its configuration.
    type: dict
  chart_ref:
    description:
      - Chart to install, as a name in O(chart_repo_url), a local directory, a local C(.tgz) file, or an C(oci://)
        reference.
      - C({version}) in it is replaced by the version, so that one reference can stand for local charts of several
        versions. With local charts, an upgrade over more than one minor version requires it.
    type: str
    default: vcluster
  chart_repo_url:
    description:
      - URL of the Helm repository that contains the chart if O(chart_ref) is a name.
    type: str
    default: https://charts.loft.sh
  labels:
    description:
      - Labels for the StatefulSet or Deployment of the control plane. A value of V(null) removes a label.
      - The module leaves other labels alone. Changing labels restarts nothing.
    type: dict
    default: {}
  annotations:
    description:
      - Annotations for the StatefulSet or Deployment of the control plane. A value of V(null) removes an annotation.
      - The module leaves other annotations alone. Changing annotations restarts nothing.
    type: dict
    default: {}
  protected:
    description:
      - Whether to protect the virtual cluster from deletion by this collection and by C(vcluster delete).
      - By default, a new virtual cluster is not protected, and an existing one keeps its protection.
    type: bool
  keep_volumes:
    description:
      - With O(state=absent), whether to keep the volume claims of the virtual cluster and the namespace that contains
        them. The module annotates them as kept until the virtual cluster is created again and uses them.
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
      - What to do with the kubeconfig of the virtual cluster.
      - The virtual cluster must have started once, so use this option with O(wait=true).
      - The kubeconfig is made from the certificates, the key and the token in the Secret C(vc-NAME) in the namespace of
        the virtual cluster. If the Secret contains anything else about the cluster or the user, such as a command or a
        proxy, the module refuses it, because everyone who can write Secrets there could have added it.
      - By default, the module does not read or write the kubeconfig.
    type: dict
    suboptions:
      path:
        description:
          - File to write the kubeconfig to, with mode 0600, on the machine that runs the module.
          - If the file exists, the module merges the kubeconfig into it as a context and keeps the current context.
          - By default, no file is written.
        type: path
      context:
        description:
          - Name of the context. The default is C(vcluster_NAME_NAMESPACE).
        type: str
      server:
        description:
          - URL of the API server in the kubeconfig.
          - The default is the endpoint of the virtual cluster outside of the host cluster. Without such an endpoint, it
            is C(https://localhost:8443), for use with C(kubectl port-forward).
        type: str
      in_cluster:
        description:
          - Whether to use the in-cluster Service address, for clients that run on the host cluster, such as a GitOps
            tool.
        type: bool
        default: false
      user:
        description:
          - How the kubeconfig authenticates.
          - V(admin) uses a client certificate that permits everything in the virtual cluster.
          - V(oidc) logs in to the issuer of the group with the kubectl plugin C(oidc-login), and contains no
            credential.
          - The default is V(oidc) in a group that has an issuer, and V(admin) otherwise.
        type: str
        choices: [admin, oidc]
      return_content:
        description:
          - Whether to return the content as RV(kubeconfig). It can contain a private key, so set C(no_log) on the task.
        type: bool
        default: false
  binary_path:
    description:
      - Path of the C(helm) binary, version 3.14 or later, or 4. The default is the C(helm) on the C(PATH).
      - The module starts it only if something changes.
    type: path
extends_documentation_fragment:
  - nested.clusters.connection
  - nested.clusters.host_clusters
  - nested.clusters.attributes
  - nested.clusters.attributes.action_group
  - nested.clusters.requirements
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details:
      - Shows values and manifests before and after, with the content of Secrets masked.
      - With O(group), a comment marks each value as built in, from the group, or from the task.
      - With O(state=paused), O(state=running) and O(state=restarted), also shows the phase before and after.
requirements:
  - helm >= 3.14 (https://helm.sh) to create, change or delete
seealso:
  - module: nested.clusters.vcluster_state
    description: Pause, resume, restart or delete a selection of virtual clusters.
  - module: nested.clusters.vcluster_fleet
    description: Manage all virtual clusters of a list.
  - module: nested.clusters.vcluster_info
    description: List virtual clusters and their status.
  - module: nested.clusters.vcluster_endpoint_info
    description: Check the path to the endpoint of a virtual cluster.
  - module: nested.clusters.vcluster_group
    description: Manage groups of host clusters.
"""

EXAMPLES = r"""
- name: Create a virtual cluster and write its kubeconfig
  nested.clusters.vcluster:
    name: team-a
    export_kubeconfig:
      path: ~/.kube/team-a

- name: Set all common options
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

- name: Use a local chart, for a site without access to the chart repository
  nested.clusters.vcluster:
    name: team-c
    chart_ref: /srv/charts/vcluster-0.36.1.tgz

- name: Create a highly available virtual cluster with three etcd members
  nested.clusters.vcluster:
    name: team-e
    replicas: 3
    backing_store:
      type: deployed_etcd
      replicas: 3

- name: Upgrade over two minor versions from local charts, and roll back if that fails
  nested.clusters.vcluster:
    name: team-c
    vcluster_version: 0.36.1
    rollback: true
    chart_ref: /srv/charts/vcluster-{version}.tgz

- name: Expose a virtual cluster at a host name, through an ingress controller with SSL passthrough
  nested.clusters.vcluster:
    name: team-f
    endpoint:
      type: ingress
      host: team-f.vc.example.com
      ingress_class: nginx
    export_kubeconfig:
      path: ~/.kube/team-f

- name: Create a virtual cluster in a cluster group, on the host cluster with the most room
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

- name: Pause a virtual cluster
  nested.clusters.vcluster:
    name: team-a
    state: paused

- name: Make sure that a virtual cluster exists and runs
  nested.clusters.vcluster:
    name: team-a
    state: running

- name: Delete a virtual cluster and everything that it created
  nested.clusters.vcluster:
    name: team-a
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
    - create namespace vcluster-team-a
    - install release team-a with vCluster 0.36.1
    - "set annotations of virtual cluster team-a: nested-clusters/managed"
virtual_cluster:
  description:
    - The virtual cluster after the task, or in check mode before it. Empty if it does not exist.
  returned: success
  type: dict
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
        - Name of its host cluster in the group.
      type: str
      returned: with O(group)
      sample: host-a
    owner:
      description:
        - Owner of the virtual cluster; empty if it has none.
      type: str
      returned: with O(group)
      sample: alice
    size:
      description:
        - Maximum resources that it can claim.
        - In check mode, the size before the task.
      type: dict
      returned: with O(group)
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
        - V(failed) if it cannot become ready as declared; RV(virtual_cluster.message) says why. Replicas from before
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
placement:
  description:
    - Where the virtual cluster is or goes, and why.
  returned: success, with O(group)
  type: dict
  contains:
    host:
      description: Name of the host cluster.
      type: str
      returned: always
      sample: host-b
    strategy:
      description: How the host cluster was chosen, V(spread) or V(pack); null if no placement was necessary.
      type: str
      returned: always
      sample: spread
    considered:
      description: The host clusters that were considered, sorted by name. Empty if no placement was necessary.
      type: list
      elements: dict
      returned: always
      contains:
        name:
          description: Name of the host cluster.
          type: str
          returned: always
          sample: host-b
        fits:
          description: Whether it has room.
          type: bool
          returned: always
          sample: true
        chosen:
          description: Whether it was chosen.
          type: bool
          returned: always
          sample: true
        reason:
          description: Why it has room or not.
          type: str
          returned: always
          sample: has room
        left:
          description: What would be left to allocate on it.
          type: dict
          returned: always
          contains:
            cpu:
              description: CPU cores; null if there is no limit.
              type: str
              returned: always
              sample: 5600m
            memory:
              description: Memory in bytes; null if there is no limit.
              type: str
              returned: always
              sample: 12Gi
            storage:
              description: Storage in bytes; null if there is no limit.
              type: str
              returned: always
              sample: null
        score:
          description:
            - Fraction of its scarcest resource that would be left, from 0 to 1; null if it does not fit.
          type: float
          returned: always
          sample: 0.5833
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
  description: Result of the check of the endpoint.
  returned: when the endpoint was verified
  type: dict
  contains:
    url:
      description: URL of the endpoint; null if the virtual cluster has none.
      type: str
      returned: always
      sample: https://team-f.vc.example.com
    answers:
      description: Whether the endpoint answers.
      type: bool
      returned: always
      sample: true
    links:
      description: The steps of the check, in order, up to the first step that fails.
      type: list
      elements: dict
      returned: always
      contains:
        name:
          description: Name of the step, V(route), V(dns), V(address), V(certificate) or V(api).
          type: str
          returned: always
          sample: dns
        ok:
          description: Whether the step succeeded.
          type: bool
          returned: always
          sample: true
        message:
          description: What the step found.
          type: str
          returned: always
          sample: team-f.vc.example.com is 203.0.113.7
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
  description: The kubeconfig of the virtual cluster. It also has C(current-context), the name of its context.
  returned: when O(export_kubeconfig.return_content=true) and the virtual cluster has started
  type: dict
  contains:
    apiVersion:
      description: API version of the kubeconfig.
      type: str
      returned: always
      sample: v1
    kind:
      description: Kind of the object.
      type: str
      returned: always
      sample: Config
    contexts:
      description: The context, as C(kubectl) reads it.
      type: list
      elements: dict
      returned: always
      contains: &named
        name:
          description: Name of the entry.
          type: str
          returned: always
          sample: vcluster_team-a_vcluster-team-a
    clusters:
      description: The URL and the certificate authority of the API server, as C(kubectl) reads them.
      type: list
      elements: dict
      returned: always
      contains: *named
    users:
      description: The credentials, as C(kubectl) reads them.
      type: list
      elements: dict
      returned: always
      contains: *named
"""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.nested.clusters.plugins.module_utils.common.errors import OptionError
from ansible_collections.nested.clusters.plugins.module_utils.helm.cli import Helm, OpenHelmOn
from ansible_collections.nested.clusters.plugins.module_utils.k8s.client import Kubernetes
from ansible_collections.nested.clusters.plugins.module_utils.k8s.connection import auth_argument_spec
from ansible_collections.nested.clusters.plugins.module_utils.k8s.host_clusters import (
    host_clusters_spec,
    only_host,
    open_hosts,
)
from ansible_collections.nested.clusters.plugins.module_utils.k8s.module import ModuleResult, run_module
from ansible_collections.nested.clusters.plugins.module_utils.lifecycle import export, options, outcomes, reconcile
from ansible_collections.nested.clusters.plugins.module_utils.lifecycle.request import Request, RunOptions
from ansible_collections.nested.clusters.plugins.module_utils.values.endpoint import ENDPOINT_TYPES, Endpoint
from ansible_collections.nested.clusters.plugins.module_utils.values.oidc import Oidc
from ansible_collections.nested.clusters.plugins.module_utils.virtual_cluster import cluster_state, readiness
from ansible_collections.nested.clusters.plugins.module_utils.virtual_cluster.cluster_state import Outcome, is_paused

if TYPE_CHECKING:  # what a task with state present does not need is imported where it is needed
    from ansible_collections.nested.clusters.plugins.module_utils.fleet.single import Power, PowerChange

STATES = ("paused", "running", "restarted")  # those that are more than being present


@dataclass(frozen=True)
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
            return stack.enter_context(Helm(kubernetes, module.run_command, params["binary_path"], module.tmpdir))

        if params["state"] == "absent":
            return delete(module, open_helm, requested)
        return bring(module, open_helm, requested)


def check_options(params: dict[str, Any]) -> None:
    """Raise OptionError for options that exclude each other."""
    if params["endpoint"] and params["group"]:
        message = "the group sets the endpoint of its virtual clusters; remove endpoint, or group"
        raise OptionError("endpoint", params["endpoint"]["type"], "nothing, or a task without group", message=message)
    if options.wants_oidc(params) and not params["group"]:
        message = "oidc needs the oidc settings of a group; set group, or user: admin"
        raise OptionError("export_kubeconfig.user", "oidc", "admin, or oidc with option group", message=message)


def bring(module: AnsibleModule, open_helm: OpenHelmOn, requested: Request) -> ModuleResult:
    """Create or change the virtual cluster, then pause, resume or restart it if the task says so."""
    params, check = module.params, module.check_mode
    power = power_of(module, requested) if params["state"] in STATES else None
    # What runs already, and is about to be paused, is neither waited for nor reached.
    pauses = params["state"] == "paused"
    rests = pauses and not (power and power.starts_first)
    found = (in_group if params["group"] else alone)(module, open_helm, requested, patience(params, rests))
    switched = None
    if power and not pauses:
        switched, found = switch(module, power, found)
    reached = {} if rests else verified(module, found)
    wanted = options.kubeconfig_export(params, url_in(reached))
    exported = export.export(wanted, requested.name, found.namespace, found.outcome.state, check, found.oidc)
    writes = [change.text for change in exported.changes]
    if power and pauses:
        switched, found = switch(module, power, found)
    plan, of_switch = found.outcome.plan, switched.steps if switched else []
    steps = [*plan.steps, *writes, *of_switch] if pauses else [*plan.steps, *of_switch, *writes]
    description = outcomes.describe(found.outcome, requested.name)
    data = {**reached, **exported.result(), "virtual_cluster": description, "steps": steps}
    if description:
        data["virtual_cluster"] = {**description, **found.description}
    if found.placement is not None:
        data["placement"] = found.placement
    diff = [*plan.diff, *(switched.diff if switched else [])]
    warnings = [*found.warnings, *(switched.warnings if switched else []), *plan.notes]
    return ModuleResult(data, bool(steps), diff, warnings)


def switch(module: AnsibleModule, power: Power, found: Placed) -> tuple[PowerChange, Placed]:
    """Pause, resume or restart the virtual cluster; return what that did, and the virtual cluster as it is then."""
    change = power.apply(found.kubernetes, found.namespace)
    if change.steps and not module.check_mode:
        found = replace(found, outcome=look_again(module, found))
    return change, found


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


def in_group(module: AnsibleModule, open_helm: OpenHelmOn, requested: Request, wait: float | None) -> Placed:
    """Create or change a virtual cluster of a group, wherever in it that is."""
    from ansible_collections.nested.clusters.plugins.module_utils.admission import admit

    params = module.params
    outcome, decision, view = admit.present(
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
        view.group.endpoint,
        view.group.oidc,
        decision.placement_dict(),
        decision.describe(module.check_mode),
        view.uncounted() if decision.takes_more else [],
    )


def alone(module: AnsibleModule, open_helm: OpenHelmOn, requested: Request, wait: float | None) -> Placed:
    """Create or change a virtual cluster that is in no group."""
    params = module.params
    kubernetes = only_host(module, params["host_cluster"]).kubernetes
    run = run_options(module, wait)
    outcome = reconcile.present(kubernetes, partial(open_helm, kubernetes), requested, run)
    return Placed(outcome, kubernetes, requested.namespace, requested.endpoint)


def run_options(module: AnsibleModule, wait: float | None) -> RunOptions:
    """Return how a virtual cluster is created or changed; ``wait`` is in seconds, None for not at all."""
    params, needed = module.params, bool(module.params["export_kubeconfig"])
    return RunOptions(module.check_mode, wait, needed, params["rollback"], params["wait_timeout"])


def verified(module: AnsibleModule, found: Placed) -> dict[str, Any]:
    """Return the result's ``endpoint``, once it answers; empty if there is nothing to wait for."""
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


def delete(module: AnsibleModule, open_helm: OpenHelmOn, requested: Request) -> ModuleResult:
    """Delete the virtual cluster, and describe in check mode what goes."""
    outcome = absent(module, open_helm, requested, patience(module.params, rests=False))
    data = {
        "virtual_cluster": outcomes.describe(outcome, requested.name) if module.check_mode else {},
        "steps": outcome.plan.steps,
    }
    return ModuleResult(data, outcome.plan.changed, outcome.plan.diff, outcome.plan.notes)


def absent(module: AnsibleModule, open_helm: OpenHelmOn, requested: Request, wait: float | None) -> Outcome:
    """Delete the virtual cluster, wherever in its group it is."""
    from ansible_collections.nested.clusters.plugins.module_utils.deletion import removal
    from ansible_collections.nested.clusters.plugins.module_utils.virtual_cluster.cluster_ref import ClusterRef

    namespace = requested.namespace
    if module.params["group"]:
        from ansible_collections.nested.clusters.plugins.module_utils.admission import decision_rules
        from ansible_collections.nested.clusters.plugins.module_utils.groups import group_view

        view, current = group_view.find(open_hosts(module), requested.name, module.params["group"])
        if current is None:
            return removal.nothing()
        decision_rules.check_host_cluster(module.params["host_cluster"], current)
        namespace, kubernetes = current.namespace, view.views[current.host_cluster].host.kubernetes
    else:
        kubernetes = only_host(module, module.params["host_cluster"]).kubernetes
    return removal.absent(
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
