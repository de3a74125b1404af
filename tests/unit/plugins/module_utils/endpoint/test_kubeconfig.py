# SPDX-License-Identifier: GPL-3.0-or-later
"""URLs, and kubeconfig files that keep what is theirs."""

from __future__ import annotations

import base64
import os
import stat
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.nested.clusters.plugins.module_utils.common.errors import NestedClustersError
from ansible_collections.nested.clusters.plugins.module_utils.endpoint.kubeconfig import (
    kubeconfig,
    merge_kubeconfig,
    with_oidc,
    write_kubeconfig,
)
from ansible_collections.nested.clusters.plugins.module_utils.values.oidc import Oidc
from ansible_collections.nested.clusters.plugins.module_utils.virtual_cluster.description import endpoint
from kubeconfig_secrets import pem

CA, CERTIFICATE, KEY = pem("CERTIFICATE", b"\x30CA"), pem("CERTIFICATE"), pem("RSA PRIVATE KEY")


def item(name: str = "team-a", **parts: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "ns"}, **parts}


def service(
    *addresses: dict[str, str], type_: str = "LoadBalancer", port: int = 443, name: str = "team-a"
) -> Any:
    return item(
        name,
        spec={"type": type_, "ports": [{"name": "kubelet", "port": 10250}, {"name": "https", "port": port}]},
        status={"loadBalancer": {"ingress": list(addresses)} if addresses else {}},
    )


INGRESS = item(spec={"rules": [{"host": "a.example.com"}]})


@pytest.mark.parametrize(
    ("expected", "services", "ingresses", "values"),
    [
        (None, [], [], None),
        (None, [service(type_="ClusterIP")], [], {}),
        (None, [service(type_="NodePort")], [], {"exportKubeConfig": None}),
        (None, [service()], [], None),
        ("https://192.0.2.7", [service({"ip": "192.0.2.7"})], [], None),
        ("https://192.0.2.7:8443", [service({"ip": "192.0.2.7"}, port=8443)], [], None),
        ("https://lb.example.com", [service({"ip": "", "hostname": "lb.example.com"})], [], None),
        ("https://[2001:db8::7]", [service({"ip": "2001:db8::7"})], [], None),
        (None, [service({"ip": "192.0.2.7"}, name="team-a-x-default-x-team-b")], [], None),
        ("https://a.example.com", [service({"ip": "192.0.2.7"})], [INGRESS], None),
        (
            "https://t.example.com",
            [],
            [item(spec={"rules": [{}], "tls": [{"hosts": ["t.example.com"]}]})],
            None,
        ),
        ("https://r.example.com", [], [item(spec={"rules": [{}], "hostnames": ["r.example.com"]})], None),
        (None, [], [item(spec={"rules": [{"host": "*.example.com"}]})], None),
        (None, [], [item("other", spec=INGRESS["spec"])], None),
        ("https://x:8443", [], [INGRESS], {"exportKubeConfig": {"server": "https://x:8443"}}),
        ("https://x", [], [INGRESS], {"exportKubeConfig": {"server": "x"}}),
    ],
)
def test_endpoint_url_of_objects(expected: str | None, services: Any, ingresses: Any, values: Any) -> None:
    assert endpoint("team-a", "ns", services, ingresses, values) == expected


def config(name: str = "team-a", server: str = "https://localhost:8443") -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": {"server": server, "certificate-authority-data": CA}}],
        "users": [{"name": name, "user": {"client-certificate-data": CERTIFICATE, "client-key-data": KEY}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    }


def secret(text: str | bytes) -> dict[str, Any]:
    data = text if isinstance(text, bytes) else text.encode()
    return {
        "metadata": {"name": "vc-team-a", "namespace": "ns"},
        "data": {"config": base64.b64encode(data).decode()},
    }


def test_kubeconfig_is_renamed_and_pointed_at_the_server() -> None:
    found = kubeconfig(secret(yaml.safe_dump(config("my-vcluster"))), "https://a.example.com", "team-a")
    assert found == config("team-a", "https://a.example.com")


def test_kubeconfig_is_that_of_the_current_context() -> None:
    two = config("other")
    mine = config("mine")
    mine["users"][0]["user"] = {"token": "abc.def"}
    for section in ("clusters", "users", "contexts"):
        two[section] += mine[section]
    two["current-context"] = "mine"
    assert kubeconfig(secret(yaml.safe_dump(two)), None, "mine") == mine
    del two["current-context"]
    assert kubeconfig(secret(yaml.safe_dump(two)), None, "other") == config("other")


def test_kubeconfig_server_of_secret_is_ignored() -> None:
    """Where nobody knows one, it is a forwarded port: with OpenID Connect, its users' tokens go there."""
    found = kubeconfig(secret(yaml.safe_dump(config(server="https://hunter2.example.com"))), None, "team-a")
    assert found == config("team-a", "https://localhost:8443")


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("has no kubeconfig", {"metadata": {"name": "vc-team-a", "namespace": "ns"}, "data": {}}),
        ("has no kubeconfig", {"metadata": {"name": "vc-team-a", "namespace": "ns"}}),
        ("not YAML at line 2", secret(f"a: b\nclient-key-data: '{KEY}")),
        ("cannot be used", secret("{}")),
        ("not a mapping", secret("c2VjcmV0")),
        ("cannot be used", secret(b"\xff\xfe\x00")),
        ("cannot be used", {**secret(""), "data": {"config": "!!!"}}),
        ("cannot be used", secret(yaml.safe_dump({**config(), "users": []}))),
    ],
)
def test_kubeconfig_unusable_is_refused(words: str, found: dict[str, Any]) -> None:
    with pytest.raises(NestedClustersError, match=words) as raised:
        kubeconfig(found, None, "team-a")
    assert "Secret vc-team-a in namespace ns" in str(raised.value)
    assert KEY not in str(raised.value)
    # Ansible shows what an error was caused by.
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__ or raised.value.__context__ is None


FOREIGN: dict[str, tuple[str, dict[str, Any]]] = {
    "a command": ("users", {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "hunter2"}}),
    "a file with a token": ("users", {"tokenFile": "/hunter2"}),
    "a file with a key": ("users", {"client-key": "/hunter2"}),
    "a file with a certificate": ("users", {"client-certificate": "/hunter2"}),
    "a provider": ("users", {"auth-provider": {"name": "gcp", "config": {"cmd-path": "/hunter2"}}}),
    "somebody else": ("users", {"as": "hunter2"}),
    "a name": ("users", {"username": "hunter2"}),
    "more of a user": ("users", {"extensions": []}),
    "an unknown word": ("users", {"hunter 3": "hunter2"}),
    "a proxy": ("clusters", {"proxy-url": "http://hunter2"}),
    "any certificate": ("clusters", {"insecure-skip-tls-verify": True}),
    "a file with a CA": ("clusters", {"certificate-authority": "/hunter2"}),
    "another name": ("clusters", {"tls-server-name": "hunter2"}),
    "more of a cluster": ("clusters", {"extensions": []}),
}


@pytest.mark.parametrize(("section", "more"), FOREIGN.values(), ids=FOREIGN)
def test_kubeconfig_key_that_is_no_credential_is_refused(section: str, more: dict[str, Any]) -> None:
    changed = config()
    changed[section][0][section[:-1]].update(more)
    with pytest.raises(NestedClustersError) as raised:
        kubeconfig(secret(yaml.safe_dump(changed)), "https://a.example.com", "team-a")
    message = str(raised.value)
    assert "Secret vc-team-a in namespace ns" in message
    assert f"{section}[].{section[:-1]}.{next(iter(more))}" in message
    assert "hunter2" not in message
    assert "delete the Secret" in message


def with_user(**parts: Any) -> str:
    changed = config()
    changed["users"][0]["user"] = {key.replace("_", "-"): value for key, value in parts.items()}
    return yaml.safe_dump(changed)


def with_ca(value: Any) -> str:
    return yaml.safe_dump(config()).replace(CA, str(value))


NO_CREDENTIALS: dict[str, tuple[str, str]] = {
    "a path for a CA": ("certificate-authority-data is not PEM", with_ca("/etc/ssl/cert.pem")),
    "a key for a CA": ("certificate-authority-data is not a certificate", with_ca(KEY)),
    "two things for a CA": (
        "certificate-authority-data is not a certificate",
        with_ca(base64.b64encode(base64.b64decode(CA) + base64.b64decode(KEY)).decode()),
    ),
    "text for a CA": ("certificate-authority-data is not a cert", with_ca(base64.b64encode(b"text").decode())),
    "no DER in PEM": ("certificate-authority-data is not a cert", with_ca(pem("CERTIFICATE", b"any"))),
    "a list for a CA": ("certificate-authority-data is not PEM", with_ca("[a]")),
    "no CA": ("no certificate-authority-data", with_ca("")),
    "a certificate for a key": ("client-key-data is not a", with_user(client_certificate_data=CA, client_key_data=CA)),
    "a key with a password": (
        "client-key-data is not a private key",
        with_user(client_certificate_data=CA, client_key_data=pem("ENCRYPTED PRIVATE KEY")),
    ),
    "a key alone": ("client-key-data alone", with_user(client_key_data=KEY)),
    "a certificate alone": ("client-certificate-data alone", with_user(client_certificate_data=CA)),
    "a token of two lines": ("a token that is none", with_user(token="a\nImpersonate-User: b")),
    "a token that is a mapping": ("a token that is none", with_user(token={"a": "b"})),
    "nobody": ("neither client-certificate-data nor token", with_user()),
    "users with one name": ("2 entries in users", yaml.safe_dump({**config(), "users": config()["users"] * 2})),
    "no such context": ("no entries in contexts", yaml.safe_dump({**config(), "current-context": "other"})),
    "a name that is a list": ("no entries in contexts", yaml.safe_dump({**config(), "current-context": ["a"]})),
    "no contexts": ("no entries in contexts", yaml.safe_dump({**config(), "contexts": [], "current-context": ""})),
    "a cluster that is nothing": (
        r"clusters\[\]\.cluster is not a mapping",
        yaml.safe_dump({**config(), "clusters": [{"name": "team-a"}]}),
    ),
    "users in a mapping": ("users is not a list", yaml.safe_dump({**config(), "users": {"name": "team-a"}})),
    "users that are text": ("users is not a list", yaml.safe_dump({**config(), "users": ["team-a"]})),
    "one in itself": ("not YAML at line 1", "contexts: &a [*a]\n"),
    "two documents": ("not YAML at line", f"{yaml.safe_dump(config())}---\na: b\n"),
    "a list as a key": ("not YAML at line", "? [a]\n: b\n"),
    "ever deeper": ("nested too deeply", "[" * 20_000),
    "very much": ("more than 128 KiB", "# " * 100_000),
}


@pytest.mark.parametrize(("words", "text"), NO_CREDENTIALS.values(), ids=NO_CREDENTIALS)
def test_kubeconfig_credential_of_wrong_type_is_refused(words: str, text: str) -> None:
    with pytest.raises(NestedClustersError, match=words) as raised:
        kubeconfig(secret(text), "https://a.example.com", "team-a")
    assert "Secret vc-team-a in namespace ns" in str(raised.value)
    assert KEY not in str(raised.value)


def test_kubeconfig_merge_key_is_refused() -> None:
    """Followed, ten levels of them with ten references each would be ten thousand million entries."""
    text = f"a: &a {{exec: {{command: sh}}}}\n{yaml.safe_dump(config())}"
    text = text.replace("    client-certificate-data:", "    <<: [*a, *a]\n    client-certificate-data:")
    with pytest.raises(NestedClustersError, match=r"contains users\[\]\.user\.<<, which"):
        kubeconfig(secret(text), None, "team-a")


def test_kubeconfig_tag_is_ignored() -> None:
    text = yaml.safe_dump(config()).replace("name: team-a", "name: !!python/none team-a")
    assert kubeconfig(secret(text), None, "team-a") == config("team-a")


def test_kubeconfig_elliptic_curve_key_is_accepted() -> None:
    name = base64.b64decode(pem("EC PARAMETERS", b"\x06\x01a"))
    key = base64.b64encode(name + base64.b64decode(pem("EC PRIVATE KEY"))).decode()
    found = kubeconfig(secret(with_user(client_certificate_data=CA, client_key_data=key)), None, "team-a")
    assert found["users"][0]["user"]["client-key-data"] == key


def test_kubeconfig_that_logs_in_at_an_issuer_holds_no_credential() -> None:
    made = kubeconfig(secret(yaml.safe_dump(config("my-vcluster"))), "https://team-a.example.com", "team-a")
    oidc = {"issuer_url": "https://sso.example.com", "client_id": "k8s", "extra_scopes": ["groups"]}
    found = with_oidc(made, Oidc.of(oidc))
    (user,) = found["users"]
    assert user["name"] == "team-a"
    assert user["user"].keys() == {"exec"}
    assert user["user"]["exec"]["args"] == [
        "oidc-login",
        "get-token",
        "--oidc-issuer-url=https://sso.example.com",
        "--oidc-client-id=k8s",
        "--oidc-extra-scope=groups",
    ]
    assert (found["clusters"], found["contexts"]) == (made["clusters"], made["contexts"])


def test_merge_keeps_everything_else() -> None:
    existing = config("one")
    for section in ("clusters", "users", "contexts"):
        existing[section] += config("team-a", "https://old")[section] + config("two")[section]
    existing["preferences"] = {"colors": True}
    merged = merge_kubeconfig(existing, config("team-a", "https://new"))
    assert [entry["name"] for entry in merged["clusters"]] == ["one", "team-a", "two"]
    assert merged["clusters"][1]["cluster"]["server"] == "https://new"
    assert merged["current-context"] == "one"
    assert merged["preferences"] == {"colors": True}
    assert existing["clusters"][1]["cluster"]["server"] == "https://old"
    assert merge_kubeconfig(merged, config("team-a", "https://new")) == merged


def test_merge_into_an_empty_kubeconfig() -> None:
    # What kubectl leaves after the last entry was deleted.
    empty = {"clusters": None, "users": None, "contexts": None, "current-context": ""}
    assert merge_kubeconfig(empty, config()) == config()


def test_write_new_file_is_for_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "new" / "deep" / "config"
    before = os.umask(0)
    try:
        assert write_kubeconfig(str(path), config(), False)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert (
        stat.S_IMODE(path.parent.stat().st_mode) == stat.S_IMODE(path.parent.parent.stat().st_mode) == 0o700
    )
    assert yaml.safe_load(path.read_text()) == config()
    assert not write_kubeconfig(str(path), config(), False)
    assert os.listdir(path.parent) == ["config"]


def test_write_key_is_never_readable_by_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "config"
    path.write_text(yaml.safe_dump(config("one")))
    path.chmod(0o644)
    seen = []
    replace = os.replace

    def look(source: str, target: str) -> None:
        seen.append(stat.S_IMODE(Path(source).stat().st_mode))
        assert KEY in Path(source).read_text()
        assert Path(source).parent == Path(target).parent
        replace(source, target)

    monkeypatch.setattr(os, "replace", look)
    assert write_kubeconfig(str(path), config(), False)
    assert seen == [0o600]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_write_wide_mode_is_changed(tmp_path: Path) -> None:
    path = tmp_path / "config"
    assert write_kubeconfig(str(path), config(), False)
    content = path.read_text()
    path.chmod(0o640)
    assert write_kubeconfig(str(path), config(), True)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert write_kubeconfig(str(path), config(), False)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text() == content
    path.chmod(0o400)
    assert not write_kubeconfig(str(path), config(), False)


def test_write_check_mode_writes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "new" / "config"
    assert write_kubeconfig(str(path), config(), True)
    assert list(tmp_path.iterdir()) == []


def test_write_through_link_keeps_link(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("\n")
    link = tmp_path / "link"
    link.symlink_to(target)
    assert write_kubeconfig(str(link), config(), False)
    assert link.is_symlink()
    assert yaml.safe_load(target.read_text()) == config()


def test_write_keeps_other_entries(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text(
        "contexts: []\nclusters: []\nusers:\n- name: gke\n  user:\n    auth-provider:\n      config:\n"
        "        expiry: 2026-01-02T03:04:05Z\n    insecure: true\n"
    )
    write_kubeconfig(str(path), config(), False)
    user = yaml.load(path.read_text(), Loader=yaml.BaseLoader)["users"][0]["user"]
    assert user["auth-provider"]["config"]["expiry"] == "2026-01-02T03:04:05Z"
    assert "insecure: true\n" in path.read_text()


@pytest.mark.parametrize(
    ("words", "content"),
    [
        ("not YAML at line 1", b"a: [1"),
        ("not a mapping", b"hello"),
        ("clusters is not a list", b"clusters: {a: b}"),
        ("users is not a list", b"users: [a]"),
        ("not text", b"\xff\xfe\x00"),
    ],
)
def test_write_file_that_is_no_kubeconfig_is_refused(words: str, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_bytes(content)
    with pytest.raises(NestedClustersError, match=words) as raised:
        write_kubeconfig(str(path), config(), False)
    assert str(path) in str(raised.value)
    assert path.read_bytes() == content
    assert os.listdir(tmp_path) == ["config"]


def test_write_unwritable_path_fails(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path, tmp_path / "file" / "config"):
        with pytest.raises(NestedClustersError, match="cannot be read or written"):
            write_kubeconfig(str(path), config(), False)


def test_write_failure_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(NestedClustersError, match="No space left"):
        write_kubeconfig(str(tmp_path / "config"), config(), False)
    assert list(tmp_path.iterdir()) == []
