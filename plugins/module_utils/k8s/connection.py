# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From kubernetes.core's connection options to a host cluster's API server.

The Kubernetes client library takes longer to import than everything else that an unchanged virtual cluster
costs. So what most kubeconfigs hold (a server, certificates, a token) is read here, and whatever is more than
that (exec plugins, auth providers, proxies, several files, running inside of a cluster, and anything that is
not understood) is left to the library through kubernetes.core, which then also words the errors.
A test holds both ways to the same result.
"""

from __future__ import annotations

import base64
import contextlib
import copy
import os
import tempfile
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible.module_utils.basic import missing_required_lib

from ..common import yaml_io
from ..common.errors import NestedClustersError
from .impersonation import IMPERSONATION_KEYS, Impersonation
from .secrets import is_path

IMPORT_ERROR: str | None = None
try:
    # First, because it needs no library: the options are known even where those are missing.
    from ansible_collections.kubernetes.core.plugins.module_utils.args_common import AUTH_ARG_MAP, AUTH_ARG_SPEC
except ImportError:
    IMPORT_ERROR = traceback.format_exc()
    AUTH_ARG_MAP, AUTH_ARG_SPEC = {}, {}
try:
    import urllib3
except ImportError:
    IMPORT_ERROR = traceback.format_exc()

WORKERS = 8  # connections that are kept open at most

_CLUSTER_KEYS = {
    "server",
    "certificate-authority",
    "certificate-authority-data",
    "insecure-skip-tls-verify",
    "tls-server-name",
    "extensions",
}
_USER_KEYS = {
    *("client-certificate", "client-certificate-data", "client-key", "client-key-data", "token", "extensions"),
    *IMPERSONATION_KEYS,
}
# Options of kubernetes.core by which a kubeconfig is overridden; others make it the library's business.
_SIMPLE_OPTIONS = {"kubeconfig", "context", "host", "api_key", "verify_ssl", "ssl_ca_cert", "cert_file", "key_file"}


@dataclass
class Connection:
    """How to reach one host cluster. Certificates are files that only this user can read."""

    host: str
    verify_ssl: bool = True
    ssl_ca_cert: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    tls_server_name: str | None = None
    authorization: str | None = None  # value of the header
    impersonation: Impersonation = field(default_factory=Impersonation)
    proxy: str | None = None
    pool: Any = None  # urllib3's PoolManager

    def __post_init__(self) -> None:
        self.host = self.host.rstrip("/")


def auth_argument_spec() -> dict[str, Any]:
    """Return the connection options of kubernetes.core, for one host cluster.

    Whatever its release says, a kubeconfig is hidden; see ``hide_only_secrets``.
    """
    return {
        name: {**option, "no_log": True} if name == "kubeconfig" else option
        for name, option in copy.deepcopy(AUTH_ARG_SPEC).items()
    }


def connect(params: Mapping[str, Any], directory: str, environment: Mapping[str, str]) -> Connection:
    """Return the host cluster that connection options name, with ``environment`` for what they leave out.

    Certificates and keys go into private files in ``directory``. Raises NestedClustersError when a library is
    missing or the kubeconfig cannot be used.
    """
    if IMPORT_ERROR:
        raise NestedClustersError(
            missing_required_lib("kubernetes and the collection kubernetes.core"), exception=IMPORT_ERROR
        )
    options = given_options(params, environment)
    _check_kubeconfig(options.get("kubeconfig"))
    connection = simple_connection(options, environment, lambda content: _private_file(directory, content))
    simple = connection is not None
    connection = connection or _library_connection(options, environment)
    connection.impersonation = connection.impersonation.overridden(impersonation(params, environment))
    if not simple:
        return connection
    if not connection.verify_ssl:  # as the task says; no warning for each request
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    connection.pool = urllib3.PoolManager(
        cert_reqs="CERT_REQUIRED" if connection.verify_ssl else "CERT_NONE",
        ca_certs=connection.ssl_ca_cert,
        cert_file=connection.cert_file,
        key_file=connection.key_file,
        server_hostname=connection.tls_server_name,
        maxsize=WORKERS,
    )
    return connection


def _check_kubeconfig(given: Any) -> None:
    """Refuse what would come up in an error of a file that is not there, with all its secrets."""
    if given is None or isinstance(given, Mapping) or (isinstance(given, str) and is_path(given)):
        return
    found = "text that is no path" if isinstance(given, str) else f"a {type(given).__name__}"
    raise NestedClustersError(
        f"kubeconfig: {found} is not usable; allowed: the path of a kubeconfig file, or its content as a dictionary "
        "(filter from_yaml)"
    )


def given_options(params: Mapping[str, Any], environment: Mapping[str, str]) -> dict[str, Any]:
    """Return the connection options that are set, by option or by environment variable, under the library's names."""
    found = {}
    for name, option in AUTH_ARG_MAP.items():
        value = params.get(option)
        if value is None:
            value = environment.get(f"K8S_AUTH_{option.upper()}") or environment.get(f"K8S_AUTH_{name.upper()}")
            if value and AUTH_ARG_SPEC[option].get("type") == "bool":
                value = value.lower() not in ("0", "false", "no")
        if value not in (None, ""):
            found[name] = value
    return found


def simple_connection(
    options: Mapping[str, Any], environment: Mapping[str, str], keep: Callable[[bytes], str]
) -> Connection | None:
    """Return the connection without its pool, or None where the library has to find it.

    ``keep`` puts a certificate or key into a private file and returns its path.
    """
    if not set(options) <= _SIMPLE_OPTIONS or any(name.startswith("K8S_AUTH_PROXY_") for name in environment):
        return None
    host, own = options.get("host"), options.get("api_key") or (options.get("cert_file") and options.get("key_file"))
    if host and own:
        connection: Connection | None = Connection(host)
    elif "KUBERNETES_SERVICE_HOST" in environment and not (options.get("kubeconfig") or options.get("context")):
        return None
    else:
        connection = _from_kubeconfig(options, environment, keep)
    if connection is None:
        return None
    for name in ("host", "verify_ssl", "ssl_ca_cert", "cert_file", "key_file"):
        if name in options:
            setattr(connection, name, options[name])
    if "api_key" in options:
        connection.authorization = f"Bearer {options['api_key']}"
    connection.host = connection.host.rstrip("/")
    files = (connection.ssl_ca_cert, connection.cert_file, connection.key_file)
    return connection if all(os.path.isfile(file) for file in files if file) else None


def _from_kubeconfig(
    options: Mapping[str, Any], environment: Mapping[str, str], keep: Callable[[bytes], str]
) -> Connection | None:
    config = options.get("kubeconfig") or environment.get("KUBECONFIG") or "~/.kube/config"
    directory = "."
    try:
        if isinstance(config, str):
            file = os.path.expanduser(config)
            directory = os.path.dirname(os.path.abspath(file))
            with open(file, "rb") as stream:
                config = yaml_io.load(stream)
        context = _named(config, "context", options.get("context") or config["current-context"])
        cluster, user = _named(config, "cluster", context["cluster"]), _named(config, "user", context["user"])
        if not (set(cluster) <= _CLUSTER_KEYS and set(user) <= _USER_KEYS):
            return None

        def file_of(entry: dict[str, Any], key: str) -> str | None:
            if entry.get(f"{key}-data"):
                return keep(base64.b64decode(entry[f"{key}-data"], validate=True))
            return os.path.join(directory, entry[key]) if entry.get(key) else None

        tls = cluster["server"].startswith("https")
        return Connection(
            host=cluster["server"],
            verify_ssl=not cluster.get("insecure-skip-tls-verify", False),
            ssl_ca_cert=file_of(cluster, "certificate-authority") if tls else None,
            cert_file=file_of(user, "client-certificate") if tls else None,
            key_file=file_of(user, "client-key") if tls else None,
            tls_server_name=cluster.get("tls-server-name"),
            authorization=f"Bearer {user['token']}" if user.get("token") else None,
            impersonation=Impersonation.of_user(user),
        )
    except (OSError, KeyError, TypeError, AttributeError, ValueError, StopIteration, yaml_io.YAMLError):
        return None


def _named(config: Mapping[str, Any], kind: str, name: str) -> dict[str, Any]:
    return next(entry[kind] for entry in config[f"{kind}s"] if entry["name"] == name)


def _private_file(directory: str, content: bytes) -> str:
    handle, name = tempfile.mkstemp(dir=directory)  # mode 0600; Ansible removes the directory
    with open(handle, "wb") as file:
        file.write(content)
    return name


def _library_connection(options: Mapping[str, Any], environment: Mapping[str, str]) -> Connection:
    try:
        import kubernetes
        from ansible_collections.kubernetes.core.plugins.module_utils.k8s import client as kubernetes_core
        from kubernetes.client.rest import RESTClientObject
        from kubernetes.config import ConfigException
    except ImportError as error:
        raise NestedClustersError(missing_required_lib("kubernetes"), exception=traceback.format_exc()) from error
    # What an earlier connection of this process has left behind: its host and credential, and the default kubeconfig of
    # the time when somebody, who may have been another plugin, loaded the library.
    kubernetes.client.Configuration.set_default(None)
    kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION = environment.get("KUBECONFIG") or "~/.kube/config"
    try:
        # Of the environment only the headers for a proxy; everything else is in the options already.
        headers_for_proxy = kubernetes_core._create_auth_spec().get("proxy_headers") or {}
        configuration = kubernetes_core._create_configuration({"proxy_headers": headers_for_proxy, **options})
        for file in (configuration.ssl_ca_cert, configuration.cert_file, configuration.key_file):
            if file:
                with open(file, "rb"):
                    pass  # one that is not there would look like a host cluster that does not answer
        acts_as = Impersonation.of_user(_library_user(options, environment))
    except (
        ConfigException,
        yaml_io.YAMLError,
        OSError,
        ValueError,
        TypeError,
        AttributeError,
        KeyError,
    ) as error:
        given = options.get("kubeconfig")
        where = given if isinstance(given, str) else "a dictionary" if given else "the default kubeconfig"
        # An entry that misses something is quoted as a whole by the library, with its secrets.
        text = " ".join(str(error).partition("{")[0].rstrip("/").split())
        raise NestedClustersError(
            f"kubeconfig: {where} is not usable: {text}; allowed: a kubeconfig that kubectl reads, with the "
            f"requested context ({options.get('context') or 'its current context'})"
        ) from error
    # One connection a worker: urllib3 keeps one by default, and would open a new TLS session for the rest.
    configuration.connection_pool_maxsize = WORKERS
    headers = [str(setting["value"]) for setting in configuration.auth_settings().values()]
    if not headers and configuration.username:
        headers = [configuration.get_basic_auth_token()]
    return Connection(
        host=configuration.host,
        verify_ssl=configuration.verify_ssl,
        ssl_ca_cert=configuration.ssl_ca_cert,
        cert_file=configuration.cert_file,
        key_file=configuration.key_file,
        tls_server_name=getattr(configuration, "tls_server_name", None),
        authorization=headers[0] if headers else None,
        impersonation=acts_as,
        proxy=configuration.proxy,
        pool=RESTClientObject(configuration).pool_manager,
    )


def _library_user(options: Mapping[str, Any], environment: Mapping[str, str]) -> Mapping[str, Any]:
    """Return the user of the kubeconfig that the library has just read.

    Empty where it has read none, or it has no user.
    """
    from kubernetes.client import Configuration
    from kubernetes.config import ConfigException, kube_config, load_incluster_config

    alone = (("username", "password"), ("api_key",), ("cert_file", "key_file"))
    if options.get("host") and any(all(options.get(name) for name in names) for names in alone):
        return {}
    given = options.get("kubeconfig")
    if not given and not options.get("context"):
        with contextlib.suppress(ConfigException):
            load_incluster_config(client_configuration=Configuration())
            return {}
    if not isinstance(given, Mapping):  # a path, or several, of which the first that has a name counts
        merged = kube_config.KubeConfigMerger(given or kube_config.KUBE_CONFIG_DEFAULT_LOCATION).config.value
        given = {**merged, **{kind: [entry.value for entry in merged[kind]] for kind in ("contexts", "users")}}
    context = _named(given, "context", options.get("context") or given["current-context"])
    users = [entry["user"] for entry in given.get("users") or [] if entry["name"] == context.get("user")]
    return users[0] or {} if users else {}


def impersonation(params: Mapping[str, Any], environment: Mapping[str, str]) -> Impersonation:
    """Return whom the options impersonate."""
    user = params.get("impersonate_user") or environment.get("K8S_AUTH_IMPERSONATE_USER") or ""
    groups = params.get("impersonate_groups") or environment.get("K8S_AUTH_IMPERSONATE_GROUPS", "").split(",")
    return Impersonation(user, groups=tuple(group for group in groups if group))
