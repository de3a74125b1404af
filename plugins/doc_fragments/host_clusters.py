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
      - Host clusters of the task. By default, the task has the one host cluster that its own connection options name.
      - The task's own connection options and the environment (C(K8S_AUTH_*)) complete each entry. If an entry sets
        O(host_clusters[].kubeconfig), O(host_clusters[].context) or O(host_clusters[].host), it takes neither another
        host nor credentials from them.
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
          - Path of a kubeconfig file, or the content of one as a dictionary. In the content, the module hides tokens,
            passwords and keys from results and logs. It shows names.
        type: raw
      context:
        description:
          - Name of a context in the kubeconfig. The default is its current context.
        type: str
      host:
        description:
          - URL of the API server. The default is the server in the kubeconfig.
        type: str
      api_key:
        description:
          - Bearer token to authenticate with.
        type: str
      username:
        description:
          - User name for HTTP basic authentication. API servers no longer accept it, but a proxy in front of one can.
        type: str
      password:
        description:
          - Password that belongs to O(host_clusters[].username).
        type: str
      validate_certs:
        description:
          - Whether to verify the certificate of the API server. The default is V(true).
        type: bool
        aliases: [verify_ssl]
      ca_cert:
        description:
          - Path of a file with the certificate authorities that can sign the certificate of the API server.
        type: path
        aliases: [ssl_ca_cert]
      client_cert:
        description:
          - Path of the client certificate to authenticate with.
        type: path
        aliases: [cert_file]
      client_key:
        description:
          - Path of the private key that belongs to O(host_clusters[].client_cert).
        type: path
        aliases: [key_file]
      proxy:
        description:
          - URL of an HTTP proxy for the connection.
        type: str
      no_proxy:
        description:
          - Hosts, domains and networks to reach without the proxy, separated by commas.
        type: str
      proxy_headers:
        description:
          - Headers to send to the HTTP proxy.
        type: dict
        suboptions:
          proxy_basic_auth:
            description: User name and password for the proxy, separated by a colon.
            type: str
          basic_auth:
            description: User name and password for the API server, separated by a colon.
            type: str
          user_agent:
            description: User agent to report.
            type: str
      persist_config:
        description:
          - Whether to write tokens that an authentication plugin refreshes back to the kubeconfig file. The default is
            V(false).
        type: bool
      impersonate_user:
        description:
          - User to impersonate. The default is C(as) of the user in the kubeconfig.
        type: str
      impersonate_groups:
        description:
          - Groups to impersonate a member of. They require a user to impersonate. The default is C(as-groups) of the
            user in the kubeconfig.
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
          - V(present) makes the host cluster a member of the group.
          - V(absent) removes the host cluster from the group. The module refuses that while virtual clusters of the
            group are on it.
          - V(lost) removes a host cluster that no longer exists from the record, without connecting to it.
        type: str
        choices: [present, absent, lost]
        default: present
      dns_pattern:
        description:
          - Host name of a virtual cluster on this host cluster, with one C(*) for the name of the virtual cluster, such
            as V(*.vc.example.com). Required if the endpoint is V(ingress) or V(gateway).
          - The default is no host name. An empty string restores the default.
        type: str
      capacity:
        description:
          - Capacity of the host cluster, if its nodes do not report it, or to replace what they report.
          - The default for CPU and memory is what the usable nodes can allocate. The default for storage is no limit.
            An empty string restores the default.
        type: dict
        suboptions:
          cpu:
            description: CPU cores, such as V(64).
            type: str
          memory:
            description: Memory in bytes, such as V(256Gi).
            type: str
          storage:
            description: Storage in bytes, such as V(2Ti).
            type: str
      node_selector:
        description:
          - Labels of the nodes that virtual clusters can use. The default is all nodes.
          - Nodes that are cordoned, not ready, or tainted against scheduling never count.
        type: dict
"""
    )
