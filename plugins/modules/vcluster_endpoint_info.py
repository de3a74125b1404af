#!/usr/bin/python
# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module nested.clusters.vcluster_endpoint_info."""

from __future__ import annotations

DOCUMENTATION = r"""
module: vcluster_endpoint_info
short_description: Check the path to a virtual cluster's endpoint
version_added: 0.1.0
author:
  - The nested.clusters contributors (@nested-clusters)
description:
  - Checks the path to the endpoint of a virtual cluster from the machine that runs the module, as a client with its
    kubeconfig uses it, and reports the first step that fails.
  - The steps are the route on the host cluster, the DNS name, the address, the certificate, and the API.
  - Changes nothing, and so is suitable for monitoring.
options:
  name:
    description:
      - Name of the virtual cluster.
    type: str
    required: true
  namespace:
    description:
      - Namespace of the virtual cluster on the host cluster. The default is C(vcluster-NAME).
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
      - The module changes nothing in any mode.
  diff_mode:
    support: none
notes:
  - Requires permission to get the Service and the Secret C(vc-NAME) of the virtual cluster, and to list its pods. The
    module reads Ingresses and TLSRoutes if it may list them.
seealso:
  - module: nested.clusters.vcluster
    description: Manage one virtual cluster.
  - module: nested.clusters.vcluster_info
    description: List virtual clusters and their status.
"""

EXAMPLES = r"""
- name: Fail if the endpoint of a virtual cluster does not answer
  nested.clusters.vcluster_endpoint_info:
    name: team-a
  register: found
  failed_when: not found.endpoint.answers
"""

RETURN = r"""
endpoint:
  description: Result of the check.
  returned: success
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
      sample: false
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
          sample: false
        message:
          description: What the step found.
          type: str
          returned: always
          sample: team-f.vc.example.com does not resolve here
  sample:
    url: https://team-f.vc.example.com
    answers: false
    links:
      - {name: route, ok: true, message: Ingress team-f}
      - {name: dns, ok: false, message: "team-f.vc.example.com does not resolve here"}
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.nested.clusters.plugins.module_utils.endpoint import reachability
from ansible_collections.nested.clusters.plugins.module_utils.k8s.client import Kubernetes
from ansible_collections.nested.clusters.plugins.module_utils.k8s.connection import auth_argument_spec
from ansible_collections.nested.clusters.plugins.module_utils.k8s.module import ModuleResult, run_module


def argument_spec() -> dict[str, Any]:
    """Return the options of the module."""
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
