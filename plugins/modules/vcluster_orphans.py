#!/usr/bin/python
# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module nested.clusters.vcluster_orphans."""

from __future__ import annotations

DOCUMENTATION = r"""
module: vcluster_orphans
short_description: Find and remove what virtual clusters that are gone have left
version_added: 0.1.0
author:
  - The nested.clusters contributors (@nested-clusters)
description:
  - Finds what earlier failures, other tools and half-finished deletions have left on host clusters, says of each object
    why it counts as left over, and removes it only where the task asks for it.
  - A virtual cluster is there while it has a control plane, paused or not, or pods of a control plane or an etcd whose
    workload somebody deleted, or a Helm release that is deployed. What such a one has is never left over.
  - An object that a virtual cluster synced to its host cluster belongs to that virtual cluster and to no other,
    whatever else is written on it. This includes what tenants install with Helm, such as a virtual cluster inside
    a virtual cluster.
  - Before anything is removed, everything is read and judged again. An object goes only if it is left over in both
    looks, and under the condition that it is the same one in the same version.
  - Each kind of object is listed once for a whole host cluster, and all host clusters are asked at the same time.
options:
  state:
    description:
      - V(reported) finds what is left over, and changes nothing.
      - V(absent) removes it.
    type: str
    choices: [reported, absent]
    default: reported
  names:
    description:
      - Only what is left of virtual clusters of these names. By default, of any.
      - A list that is given and empty is an error, here and in O(namespaces) and O(kinds), because a template leaves
        that whose variable is empty. To leave it out, use C(omit).
    type: list
    elements: str
  namespaces:
    description:
      - Only what is left in these namespaces of the host clusters. By default, anywhere. All are read in any case.
    type: list
    elements: str
  kinds:
    description:
      - Only leftovers of these kinds. By default, all.
      - V(volume_claims) are those of control planes and etcd, of every ordinal, and those that users of a virtual
        cluster made. They hold its data.
      - V(volumes) are PersistentVolumes that are Released or Failed, whose claim was one of a virtual cluster. Once the
        claim is gone, only its name and a namespace that was made for the virtual cluster prove that. Without such a
        namespace, the volume is reported as V(held), and not removed.
      - V(releases) are Helm's records of releases that failed or were not finished. Each counts for the namespace that
        is written in it, which with Flux need not be the one that it is kept in.
      - V(objects) are all others in a namespace, such as the Secrets C(vc-NAME) and C(vc-config-NAME), snapshot
        requests, and what was synced.
      - V(cluster_objects) are cluster roles, their bindings, and synced objects that are in no namespace.
      - V(namespaces) were made for a virtual cluster, and have nothing else in them, or are being deleted and do not
        go.
      - V(shares) are namespaces that claim a share of a cluster group for a virtual cluster that is gone.
      - V(leases) is the Lease by which tasks take turns, where its holder is gone.
      - V(group_records) are records of cluster groups that do not count the host cluster as a member. They are judged
        by the newest record on a member of that group among the task's host clusters. A group that only has the same
        name, and no member in common, is another group.
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
      - Leave out what was made, or asked to go, less than so many seconds ago. A task may be at work on it.
    type: int
    default: 600
  kept_volumes:
    description:
      - With O(state=absent), also remove volume claims that were kept on purpose, by O(ignore:keep_volumes). They are
        always reported, and otherwise left alone.
    type: bool
    default: false
  wait_timeout:
    description:
      - How long to wait until what is removed is gone, in seconds.
    type: int
    default: 120
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
      - Shows every object that goes.
notes:
  - Needs to list every kind on the host cluster. What may not be listed is not found, and a warning says so.
  - C(helm uninstall) and C(vcluster delete --keep-pvc) leave volume claims without a mark that says whether anybody
    wants them. They count as left over, so look at the report before you remove V(volume_claims).
  - A namespace that is held by a finalizer of somebody else is reported with the finalizer and the object, and is not
    touched. Finalizers that only the virtual cluster itself would take off are taken off.
seealso:
  - module: nested.clusters.vcluster_state
  - module: nested.clusters.vcluster
"""

EXAMPLES = r"""
- name: See what is left over
  nested.clusters.vcluster_orphans:
  register: left

- name: Remove it, on two host clusters, but no volumes and nothing that is younger than a day
  nested.clusters.vcluster_orphans:
    host_clusters:
      - name: host-a
        context: host-a
      - name: host-b
        context: host-b
    kinds:
      - releases
      - objects
      - cluster_objects
      - namespaces
      - shares
    older_than: 86400
    state: absent

- name: Remove all of one virtual cluster, also the volumes that were kept
  nested.clusters.vcluster_orphans:
    names:
      - team-a
    kept_volumes: true
    state: absent
"""

RETURN = r"""
orphans:
  description: What was found, sorted by host cluster and namespace.
  returned: always, except where no host cluster answers
  type: list
  elements: dict
  contains:
    host_cluster:
      description: The host cluster; null where the task has no O(host_clusters).
      type: str
      returned: always
      sample: host-a
    kind:
      description: What kind of leftover it is, one of O(kinds).
      type: str
      returned: always
      sample: volume_claims
    resource:
      description: The resource.
      type: str
      returned: always
      sample: persistentvolumeclaims
    api_version:
      description: The API version of the resource.
      type: str
      returned: always
      sample: v1
    namespace:
      description: The namespace that the object is in; null where it is in none.
      type: str
      returned: always
      sample: vcluster-team-a
    name:
      description: The name of the object.
      type: str
      returned: always
      sample: data-team-a-0
    virtual_cluster:
      description: The virtual cluster that it was of; null where there was none, or nobody knows.
      type: str
      returned: always
      sample: team-a
    state:
      description:
        - V(orphan) is left over, and removed by O(state=absent).
        - V(kept) stayed on purpose, and is removed only with O(kept_volumes=true).
        - V(in_use) would be left over, but somebody uses it, such as a volume claim that any pod mounts. It is not
          removed. Once the pod is gone, the next task removes it.
        - V(held) cannot be removed by this module; RV(orphans[].reason) says what to do.
      type: str
      returned: always
      sample: orphan
    reason:
      description: Why it counts as left over, or what keeps it.
      type: str
      returned: always
      sample: of virtual cluster team-a, which has no control plane and no Helm release; it holds its data
    changed:
      description: Whether its removal was asked for, or in check mode would be.
      type: bool
      returned: always
      sample: false
    failed:
      description: Whether it could not be removed.
      type: bool
      returned: always
      sample: false
    msg:
      description: Why not; otherwise empty.
      type: str
      returned: always
      sample: ""
failed_host_clusters:
  description: The names of host clusters that did not answer.
  returned: when there are some
  type: list
  elements: str
  sample:
    - host-b
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.nested.clusters.plugins.module_utils.common.errors import (
    NestedClustersError,
    OptionError,
    refuse_empty,
)
from ansible_collections.nested.clusters.plugins.module_utils.deletion import orphan_removal
from ansible_collections.nested.clusters.plugins.module_utils.deletion.orphan_removal import HostOrphans
from ansible_collections.nested.clusters.plugins.module_utils.deletion.orphans import KINDS, Criteria
from ansible_collections.nested.clusters.plugins.module_utils.k8s import host_clusters
from ansible_collections.nested.clusters.plugins.module_utils.k8s.connection import auth_argument_spec
from ansible_collections.nested.clusters.plugins.module_utils.k8s.secrets import hide_only_secrets


def argument_spec() -> dict[str, Any]:
    """The options of the module."""
    return {
        **auth_argument_spec(),
        "host_clusters": host_clusters.host_clusters_spec(),
        "state": {"type": "str", "choices": ["reported", "absent"], "default": "reported"},
        "names": {"type": "list", "elements": "str"},
        "namespaces": {"type": "list", "elements": "str"},
        "kinds": {"type": "list", "elements": "str", "choices": list(KINDS)},
        "older_than": {"type": "int", "default": 600},
        "kept_volumes": {"type": "bool", "default": False},
        "wait_timeout": {"type": "int", "default": 120},
    }


def criteria(params: dict[str, Any]) -> Criteria:
    """What to look for. Raises OptionError for numbers that mean nothing, and for lists that are given and empty."""
    refuse_empty(params, ("names", "namespaces", "kinds"))
    for option, least in (("older_than", 0), ("wait_timeout", 1)):
        if params[option] < least:
            raise OptionError(option, params[option], f"a whole number, {least} or more")
    return Criteria(
        frozenset(params["names"] or ()),
        frozenset(params["namespaces"] or ()),
        frozenset(params["kinds"] or KINDS),
        params["older_than"],
        params["kept_volumes"],
    )


def result(sites: list[HostOrphans], unread: dict[str, str], module: AnsibleModule) -> dict[str, Any]:
    """The result of the task."""
    remove = module.params["state"] == "absent"
    found = [entry for site in sites for entry in site.describe(module.check_mode, remove)]
    told: dict[str, Any] = {"changed": any(entry["changed"] for entry in found), "orphans": found}
    if unread:
        told["failed_host_clusters"] = sorted(unread)
    if module._diff:
        told["diff"] = [diff(site, module.check_mode) for site in sites if remove and site.due]
    return told


def named(entry: dict[str, Any]) -> str:
    """Where an object is."""
    return "/".join(filter(None, (entry["namespace"], entry["resource"], entry["name"])))


def diff(site: HostOrphans, check: bool) -> dict[str, str]:
    """What goes from one host cluster."""
    where = f"left over on host cluster {site.name}" if site.name else "left over"

    def lines(entries: list[dict[str, Any]]) -> str:
        return "".join(f"{named(entry)}: {entry['reason']}\n" for entry in entries)

    found = site.describe(check, True)
    rest = [entry for entry in found if not entry["changed"]]
    return {"before_header": where, "after_header": where, "before": lines(found), "after": lines(rest)}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True)
    hide_only_secrets(module)
    try:
        asked = criteria(module.params)
        sites, unread = orphan_removal.find(host_clusters.open_hosts(module), asked)
        if module.params["state"] == "absent" and not module.check_mode:
            orphan_removal.remove(sites, asked, module.params["wait_timeout"])
    except NestedClustersError as error:
        module.fail_json(msg=str(error), **error.data)
    for name, why in sorted(unread.items()):
        module.warn(f"host cluster {name}: {why}")
    for site in sites:
        unseen = sorted({thing.plural for thing in site.view.held.unseen})
        if unseen:
            on = f"host cluster {site.name}: " if site.name else ""
            module.warn(f"{on}{', '.join(unseen)} cannot be listed: what is left of them is not known")
    told = result(sites, unread, module)
    failed = [entry for entry in told["orphans"] if entry["failed"]]
    if failed:
        reasons = "; ".join(f"{named(entry)}: {entry['msg']}" for entry in failed)
        module.fail_json(msg=f"{len(failed)} of {len(told['orphans'])} leftovers are not gone: {reasons}", **told)
    module.exit_json(**told)


if __name__ == "__main__":
    main()
