# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options that connect a task to a host cluster.

They are kubernetes.core's. The text is not, because Galaxy renders the documentation of a collection with nothing else
installed. A unit test compares names, types and aliases with those of kubernetes.core.
"""

from __future__ import annotations


class ModuleDocFragment:
    """The connection options of kubernetes.core, each with its environment variable."""

    DOCUMENTATION = r"""
options:
  kubeconfig:
    description:
      - Path of a kubeconfig file, or the content of one as a dictionary. Separate several paths with C(:), on Windows
        with C(;).
      - The default is the environment variable E(K8S_AUTH_KUBECONFIG), then E(KUBECONFIG), then C(~/.kube/config).
        In a pod, it is the service account of the pod.
      - In the content of a kubeconfig, the module hides tokens, passwords and keys from results and logs. It shows
        names.
    type: raw
  context:
    description:
      - Name of a context in the kubeconfig.
      - The default is the environment variable E(K8S_AUTH_CONTEXT), then the current context of the kubeconfig.
    type: str
  host:
    description:
      - URL of the API server, such as V(https://host-a.example.com:6443).
      - The default is the environment variable E(K8S_AUTH_HOST), then the server in the kubeconfig.
    type: str
  api_key:
    description:
      - Bearer token to authenticate with.
      - The default is the environment variable E(K8S_AUTH_API_KEY), then the credentials in the kubeconfig.
    type: str
  username:
    description:
      - User name for HTTP basic authentication. API servers no longer accept it, but a proxy in front of one can.
      - The default is the environment variable E(K8S_AUTH_USERNAME).
    type: str
  password:
    description:
      - Password for HTTP basic authentication as O(username).
      - The default is the environment variable E(K8S_AUTH_PASSWORD).
    type: str
  client_cert:
    description:
      - Path of the client certificate to authenticate with.
      - The default is the environment variable E(K8S_AUTH_CERT_FILE), then the certificate in the kubeconfig.
    type: path
    aliases: [cert_file]
  client_key:
    description:
      - Path of the private key that belongs to O(client_cert).
      - The default is the environment variable E(K8S_AUTH_KEY_FILE), then the key in the kubeconfig.
    type: path
    aliases: [key_file]
  ca_cert:
    description:
      - Path of a file with the certificate authorities that can sign the certificate of the API server. The file
        contains the full chain.
      - The default is the environment variable E(K8S_AUTH_SSL_CA_CERT), then the authorities in the kubeconfig.
    type: path
    aliases: [ssl_ca_cert]
  validate_certs:
    description:
      - Whether to verify the certificate of the API server.
      - The default is the environment variable E(K8S_AUTH_VERIFY_SSL), then what the kubeconfig says, then V(true).
    type: bool
    aliases: [verify_ssl]
  proxy:
    description:
      - URL of an HTTP proxy for the connection.
      - The default is the environment variable E(K8S_AUTH_PROXY). The module does not read E(HTTP_PROXY).
    type: str
  no_proxy:
    description:
      - Hosts, domains and networks to reach without the proxy, separated by commas, such as
        V(localhost,.example.com,10.0.0.0/8).
      - The default is the environment variable E(K8S_AUTH_NO_PROXY). The module does not read E(NO_PROXY).
    type: str
  proxy_headers:
    description:
      - Headers to send to the HTTP proxy.
      - By default, no headers are added.
    type: dict
    suboptions:
      proxy_basic_auth:
        description:
          - User name and password for the proxy, separated by a colon.
          - The default is the environment variable E(K8S_AUTH_PROXY_HEADERS_PROXY_BASIC_AUTH).
        type: str
      basic_auth:
        description:
          - User name and password for the API server, separated by a colon.
          - The default is the environment variable E(K8S_AUTH_PROXY_HEADERS_BASIC_AUTH).
        type: str
      user_agent:
        description:
          - User agent to report, such as V(ansible/1.0).
          - The default is the environment variable E(K8S_AUTH_PROXY_HEADERS_USER_AGENT).
        type: str
  persist_config:
    description:
      - Whether to write tokens that an authentication plugin refreshes back to the kubeconfig file.
      - The default is the environment variable E(K8S_AUTH_PERSIST_CONFIG), then V(false).
    type: bool
  impersonate_user:
    description:
      - User to impersonate.
      - The default is the environment variable E(K8S_AUTH_IMPERSONATE_USER), then C(as) of the user in the kubeconfig.
    type: str
  impersonate_groups:
    description:
      - Groups to impersonate a member of. They require a user to impersonate.
      - The default is the environment variable E(K8S_AUTH_IMPERSONATE_GROUPS), separated by commas, then C(as-groups)
        of the user in the kubeconfig.
    type: list
    elements: str
"""
