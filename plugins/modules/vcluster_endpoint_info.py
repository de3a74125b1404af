#!/usr/bin/python
# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module nested.clusters.vcluster_endpoint_info."""

from __future__ import annotations

DOCUMENTATION = r"""
module: vcluster_endpoint_info
short_description: See whether the endpoint of a virtual cluster answers
version_added: 0.1.0
author:
  - The nested.clusters contributors (@nested-clusters)
description:
  - Follows the way to a virtual cluster from the machine that runs the module, as a client with its kubeconfig does,
    and names the link that is broken. Made for monitoring; it changes nothing.
  - The links are the route on the host cluster, the name in DNS, the address, the certificate, and the API.
options:
  name:
    description:
      - Name of the virtual cluster.
    type: str
    required: true
  namespace:
    description:
      - Its namespace on the host cluster. The default is C(vcluster-NAME).
    type: str
extends_documentation_fragment:
  - nested.clusters.connection
  - nested.clusters.requirements
  - nested.clusters.attributes
  - nested.clusters.attributes.action_group
attributes:
  check_mode:
    support: full
    details:
      - It changes nothing in any mode.
  diff_mode:
    support: none
notes:
  - Needs to get the Service and the Secret C(vc-NAME) of the virtual cluster, and to list its pods. Ingresses and
    TLSRoutes are looked at where they may be listed.
seealso:
  - module: nested.clusters.vcluster
  - module: nested.clusters.vcluster_info
"""

EXAMPLES = r"""
- name: Alarm when a virtual cluster cannot be reached
  nested.clusters.vcluster_endpoint_info:
    name: team-a
  register: found
  failed_when: not found.endpoint.answers
"""

RETURN = r"""
endpoint:
  description:
    - Where the virtual cluster is reached, or null, whether it answers, and the links on the way, up to the first that
      is broken.
  returned: success
  type: dict
  sample:
    url: https://team-a.vc.example.com
    answers: false
    links:
      - {name: route, ok: true, message: Ingress team-a}
      - {name: dns, ok: false, message: "team-a.vc.example.com does not resolve here"}
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.nested.clusters.plugins.module_utils.endpoint import reachability
from ansible_collections.nested.clusters.plugins.module_utils.k8s.client import Kubernetes
from ansible_collections.nested.clusters.plugins.module_utils.k8s.connection import auth_argument_spec
from ansible_collections.nested.clusters.plugins.module_utils.k8s.module import ModuleResult, run_module


def argument_spec() -> dict[str, Any]:
    """The options of the module."""
    return {**auth_argument_spec(), "name": {"type": "str", "required": True}, "namespace": {"type": "str"}}


def run(module: AnsibleModule) -> ModuleResult:
    """Check the endpoint. Raises NestedClustersError if the host cluster does not answer."""
    name = module.params["name"]
    kubernetes = Kubernetes.from_module(module)
    found = reachability.look(kubernetes, name, module.params["namespace"] or f"vcluster-{name}")
    return ModuleResult({"endpoint": found.as_dict()})


def main() -> None:
    """Run the module."""
    run_module(argument_spec(), run)


if __name__ == "__main__":
    main()
