# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options that select orphaned resources, and those of their removal."""

from __future__ import annotations


class ModuleDocFragment:
    """Which orphaned resources a module finds, and how it removes them."""

    DOCUMENTATION = r"""
options:
  names:
    description:
      - Consider only resources of virtual clusters with these names. By default, of all virtual clusters.
      - An empty list is an error, because a template whose variable is empty produces one. To leave this option out,
        use C(omit).
    type: list
    elements: str
  namespaces:
    description:
      - Consider only resources in these namespaces of the host clusters. By default, in all namespaces. The module
        reads all namespaces in either case.
      - An empty list is an error, because a template whose variable is empty produces one. To leave this option out,
        use C(omit).
    type: list
    elements: str
  kinds:
    description:
      - Consider only these kinds of resources. By default, all kinds.
      - An empty list is an error, because a template whose variable is empty produces one. To leave this option out,
        use C(omit).
      - V(volume_claims) are the PersistentVolumeClaims of control planes and etcd members, and those that users of a
        virtual cluster created. They hold its data.
      - V(volumes) are PersistentVolumes in phase Released or Failed whose claim belonged to a virtual cluster. If the
        claim is gone, its name and a namespace that was created for the virtual cluster have to prove that. Without
        such a namespace, the module reports the volume as V(held) and does not remove it.
      - V(releases) are Helm's records of releases that failed or did not finish. A record counts for the namespace that
        is written in it. With Flux, the record itself can be in another namespace.
      - V(objects) are all other namespaced objects, such as the Secrets C(vc-NAME) and C(vc-config-NAME), snapshot
        requests, and synced objects.
      - V(cluster_objects) are ClusterRoles, ClusterRoleBindings, and synced objects without a namespace.
      - V(namespaces) are namespaces that were created for a virtual cluster and contain nothing else, or whose deletion
        does not finish.
      - V(shares) are namespaces that still hold an allocation in a cluster group for a deleted virtual cluster.
      - V(leases) are Leases that tasks take turns with, and whose holder is gone.
      - V(group_records) are records of a cluster group on a host cluster that is not a member of the group. The newest
        record on a member among the task's host clusters decides. A group that has the same name but no member in
        common is another group.
    type: list
    elements: str
    choices:
      - volume_claims
      - volumes
      - releases
      - objects
      - cluster_objects
      - namespaces
      - shares
      - leases
      - group_records
  older_than:
    description:
      - Minimum age of a resource in seconds, since its creation or since its deletion was requested. A task can still
        be working on younger ones.
    type: int
    default: 600
notes:
  - Requires permission to list every kind of object on the host cluster. The module does not find objects that it may
    not list, and warns about their kinds.
"""

    # What a module that removes them has beside.
    REMOVAL = r"""
options:
  kept_volumes:
    description:
      - Where the module removes resources, also remove volume claims that were kept on purpose with
        O(nested.clusters.vcluster#module:keep_volumes).
      - By default, the module reports these claims and keeps them.
    type: bool
    default: false
  wait_timeout:
    description:
      - How long to wait until the removed objects are gone, in seconds.
    type: int
    default: 120
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details:
      - Shows every object that is removed.
notes:
  - C(helm uninstall) and C(vcluster delete --keep-pvc) leave volume claims without a mark that says whether they are
    still wanted. They count as orphans. Review the result of M(nested.clusters.vcluster_orphan_info) before you remove
    V(volume_claims).
  - If another controller's finalizer holds a namespace, the module reports the finalizer and the object, and leaves
    both alone. It removes finalizers that only the deleted virtual cluster itself would remove.
"""
