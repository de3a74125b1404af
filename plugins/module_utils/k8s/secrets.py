# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of connection options is secret, so that Ansible hides that and nothing else.

Ansible hides all that is in an option with ``no_log``, wherever it comes up in a result. Of a kubeconfig, that would be
the names of contexts and clusters too, by which playbooks go on. Without ``no_log`` it hides nothing, and writes tokens
and keys into the system log. So ``no_log`` it is, until the log is written; then only what is secret stays hidden.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..common import progress

# Words of a kubeconfig whose values are no secret. What has another name is one, wherever it stands.
_OPEN = {
    *("apiVersion", "kind", "current-context", "name", "cluster", "user", "namespace"),
    *("server", "certificate-authority", "insecure-skip-tls-verify", "tls-server-name", "disable-compression"),
    *("proxy-url", "username", "client-certificate", "client-key", "tokenFile", "as", "as-uid", "as-groups"),
    *("command", "interactiveMode", "installHint", "provideClusterInfo"),
}
# Below these, names are anybody's: what is secret there says so.
_FREE = {"preferences", "extensions", "extension", "as-user-extra", "config", "env"}
_SECRET = re.compile("token|secret|passw|passphrase|key|credential|assertion", re.IGNORECASE)
_PASSWORD = re.compile(r"//[^/@:\s]*:([^/@\s]+)@")  # in a URL
_URLS = ("host", "proxy", "chart_ref", "chart_repo_url")


def hide_only_secrets(module: AnsibleModule) -> None:
    """Hide the secrets in connection options from here on, and show names, servers and paths.

    To be called before anything else, by every module that has connection options.
    """
    hosts = module.params.get("host_clusters") or []
    kubeconfigs = [options["kubeconfig"] for options in (module.params, *hosts) if options.get("kubeconfig")]
    shown = {text for kubeconfig in kubeconfigs for text in _leaves(kubeconfig)}
    hidden = {text for kubeconfig in kubeconfigs for text in secrets(kubeconfig)}
    hidden.update(_hidden(module.argument_spec, module.params))
    for options in (module.params, *hosts):
        hidden.update(password for name in _URLS for password in _PASSWORD.findall(str(options.get(name) or "")))
    module.no_log_values -= shown - hidden
    module.no_log_values |= hidden
    progress.hide(module.no_log_values)


def is_path(kubeconfig: str) -> bool:
    """Return whether text can be the path of a kubeconfig, or paths, and is not a kubeconfig itself."""
    return not re.search(r"[\n{]|:\s", kubeconfig)


def secrets(kubeconfig: object) -> Iterator[str]:
    """Return the secrets in a kubeconfig; none in the path of one."""
    if not isinstance(kubeconfig, str):
        yield from _secrets(kubeconfig, "", free=False)
    elif not is_path(kubeconfig):
        yield kubeconfig


def _secrets(node: object, name: str, free: bool) -> Iterator[str]:
    if isinstance(node, Mapping):
        if isinstance(node.get("name"), str) and "value" in node:  # an environment variable
            yield from _secrets(node["value"], node["name"], free=True)
            return
        for key, value in node.items():
            yield from _secrets(value, str(key), free or key in _FREE)
    elif isinstance(node, list):
        if name == "args":
            yield from _in_arguments([str(item) for item in node])
            return
        for item in node:
            yield from _secrets(item, name, free)
    elif name in _OPEN or (free and not _SECRET.search(name)):
        yield from _PASSWORD.findall(str(node))
    else:
        yield from _leaves(node)


def _in_arguments(arguments: list[str]) -> Iterator[str]:
    """Yield the secrets in the arguments of a command: ``--token=x``, ``--token x``, and whole scripts."""
    for argument, following in zip(arguments, [*arguments[1:], "-"], strict=True):
        option, equals, value = argument.partition("=")
        if re.search(r"\s", argument):
            yield argument
        elif _SECRET.search(option) and equals:
            yield value
        elif _SECRET.search(argument) and argument.startswith("-") and not following.startswith("-"):
            yield following
        yield from _PASSWORD.findall(argument)


def _hidden(spec: Mapping[str, Any], params: Mapping[str, Any]) -> Iterator[str]:
    """Return the values of all other options with ``no_log``."""
    for name, option in spec.items():
        value = params.get(name)
        if name == "kubeconfig" or value is None:
            continue
        if option.get("no_log"):
            yield from _leaves(value)
        elif option.get("options"):
            for one in value if isinstance(value, list) else [value]:
                yield from _hidden(option["options"], one)


def _leaves(node: object) -> Iterator[str]:
    """Yield all values as Ansible hides them."""
    if isinstance(node, Mapping):
        for value in node.values():
            yield from _leaves(value)
    elif isinstance(node, Iterable) and not isinstance(node, (str, bytes)):
        for item in node:
            yield from _leaves(item)
    elif node not in (None, "") and not isinstance(node, bool):
        yield str(node)
