# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The option that names several host clusters."""

from __future__ import annotations


class ModuleDocFragment:
    """Several host clusters in one task, each with the connection options of kubernetes.core."""

    DOCUMENTATION = r"""
options:
  host_clusters:
    description:
      - The host clusters of the task. Without it, the one that the task's own connection options name.
      - An entry is completed by the task's own connection options and by the environment (C(K8S_AUTH_*)). One that has
        O(host_clusters[].kubeconfig), O(host_clusters[].context) or O(host_clusters[].host) takes neither another
        host nor credentials from there.
    type: list
    elements: dict
    suboptions:
      name:
        description:
          - Name of the host cluster.
        type: str
        required: true
      kubeconfig:
        description:
          - Path of a kubeconfig file, or its content as a dictionary. Of its content, tokens, passwords and keys are
            hidden in results and logs, and names are not.
        type: raw
      context:
        description:
          - Context in the kubeconfig. The default is its current context.
        type: str
      host:
        description:
          - URL of the API server.
        type: str
      api_key:
        description:
          - Bearer token.
        type: str
      username:
        description:
          - User name for basic authentication, which only an authenticating proxy takes.
        type: str
      password:
        description:
          - Password that belongs to O(host_clusters[].username).
        type: str
      validate_certs:
        description:
          - Whether to verify the API server's certificate. The default is V(true).
        type: bool
        aliases: [verify_ssl]
      ca_cert:
        description:
          - File with the certificates of authorities that may have signed the API server's certificate.
        type: path
        aliases: [ssl_ca_cert]
      client_cert:
        description:
          - File with a client certificate.
        type: path
        aliases: [cert_file]
      client_key:
        description:
          - File with the key of O(host_clusters[].client_cert).
        type: path
        aliases: [key_file]
      proxy:
        description:
          - URL of an HTTP proxy.
        type: str
      no_proxy:
        description:
          - Hosts, domains and networks to reach without the proxy, separated by commas.
        type: str
      proxy_headers:
        description:
          - Headers for the proxy.
        type: dict
        suboptions:
          proxy_basic_auth:
            description: User and password for the proxy, with a colon between them.
            type: str
          basic_auth:
            description: User and password for the host, with a colon between them.
            type: str
          user_agent:
            description: The user agent.
            type: str
      persist_config:
        description:
          - Whether to keep what an authentication plugin refreshes in the kubeconfig file.
        type: bool
      impersonate_user:
        description:
          - User to act as. The default is C(as) of the user in the kubeconfig.
        type: str
      impersonate_groups:
        description:
          - Groups to act as a member of. The default is C(as-groups) of the user in the kubeconfig. They need a user.
        type: list
        elements: str
"""

    # With what members of a cluster group have beside. Here, because Ansible merges no suboptions into a fragment's.
    # Annotated, because ansible-test's yamllint reads plain assignments, and fails where one is no literal.
    MEMBERS: str = (
        DOCUMENTATION
        + r"""
      state:
        description:
          - V(present) makes the host cluster a member.
          - V(absent) removes it, which is refused while virtual clusters of the group live there.
          - V(lost) takes one that does not exist any more off the record without asking it.
        type: str
        choices: [present, absent, lost]
        default: present
      dns_pattern:
        description:
          - Host name of a virtual cluster on this host cluster, with one C(*) in the place of its name, such as
            V(*.vc.example.com). Required where the endpoint is V(ingress) or V(gateway). The default is none.
          - An empty string takes it away again.
        type: str
      capacity:
        description:
          - What the host cluster has to give, where its nodes do not say it, or shall not decide.
          - The default for cpu and memory is what the usable nodes can allocate. Storage is unlimited by default.
            An empty string takes away what was said.
        type: dict
        suboptions:
          cpu:
            description: Cores, such as V(64).
            type: str
          memory:
            description: Bytes, such as V(256Gi).
            type: str
          storage:
            description: Bytes, such as V(2Ti).
            type: str
      node_selector:
        description:
          - Labels of the nodes that virtual clusters may use. The default is all nodes.
          - Nodes that are cordoned, not ready or have a taint against scheduling are never counted.
        type: dict
"""
    )
