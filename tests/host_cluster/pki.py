# SPDX-License-Identifier: GPL-3.0-or-later
"""The certificates and kubeconfigs of one cluster, made with openssl."""

from __future__ import annotations

import base64
import json
from pathlib import Path

from common import run, write
from config import Cluster

# file name -> subject; the organisation is the group that Kubernetes' own roles are bound to
CLIENTS = {
    "admin": "/O=system:masters/CN=admin",
    "kube-controller-manager": "/CN=system:kube-controller-manager",
    "kube-scheduler": "/CN=system:kube-scheduler",
    "kube-proxy": "/CN=system:kube-proxy",
    "kubelet": "/O=system:nodes/CN=system:node:{name}",
}


def openssl(command: str, *files: str | Path, text_in: str | None = None) -> str:
    """Run openssl."""
    return run(["openssl", *command.split(), *files], text_in=text_in)


def key(path: Path) -> Path:
    """Make a private key that only root can read."""
    return write(path, openssl("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256"), 0o600)


def authority(pki: Path) -> None:
    """Make the certificate authority."""
    conf = write(pki / "openssl.cnf", "[req]\ndistinguished_name=dn\n[dn]\n")
    usage = "-addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign"
    made = openssl(
        f"req -x509 -new -subj /CN=nested-clusters -days 3650 {usage}",
        *("-config", conf, "-key", key(pki / "ca.key")),
    )
    write(pki / "ca.crt", made)


def certificate(pki: Path, name: str, subject: str, extensions: str) -> None:
    """Make a key and a certificate signed by the authority."""
    conf = pki / "openssl.cnf"
    request = openssl("req -new", "-subj", subject, "-key", key(pki / f"{name}.key"), "-config", conf)
    limits = "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature"
    extfile = write(pki / f"{name}.ext", f"{limits}\n{extensions}\n")
    signer: list[str | Path] = ["-CA", pki / "ca.crt", "-CAkey", pki / "ca.key"]
    made = openssl("x509 -req -CAcreateserial -days 3650 -extfile", extfile, *signer, text_in=request)
    write(pki / f"{name}.crt", made)


def server_names(cluster: Cluster) -> str:
    """Every name and address that the API server is called by."""
    service = ["kubernetes", "default", "svc", "cluster", "local"]
    names = [".".join(service[:length]) for length in (1, 2, 3, 5)] + ["localhost", cluster.name]
    addresses = [cluster.node_ip, cluster.api_service_ip, "127.0.0.1"]
    return ",".join([f"DNS:{name}" for name in names] + [f"IP:{address}" for address in addresses])


def kubeconfig(cluster: Cluster, user: str) -> str:
    """Write a kubeconfig with everything inside (JSON is YAML)."""

    def data(file: str) -> str:
        return base64.b64encode((cluster.pki / file).read_bytes()).decode()

    context = f"{user}@{cluster.name}"
    server = {"server": cluster.server, "certificate-authority-data": data("ca.crt")}
    client = {"client-certificate-data": data(f"{user}.crt"), "client-key-data": data(f"{user}.key")}
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": cluster.name, "cluster": server}],
        "users": [{"name": context, "user": client}],
        "contexts": [{"name": cluster.name, "context": {"cluster": cluster.name, "user": context}}],
        "current-context": cluster.name,
    }
    return json.dumps(content, indent=2) + "\n"


def make(cluster: Cluster) -> None:
    """Make everything that one cluster needs."""
    cluster.pki.mkdir(mode=0o700, parents=True, exist_ok=True)
    authority(cluster.pki)
    serving = f"extendedKeyUsage=serverAuth\nsubjectAltName={server_names(cluster)}"
    certificate(cluster.pki, "apiserver", "/CN=kube-apiserver", serving)
    for name, subject in CLIENTS.items():
        certificate(cluster.pki, name, subject.format(name=cluster.name), "extendedKeyUsage=clientAuth")
        write(cluster.pki / f"{name}.kubeconfig", kubeconfig(cluster, name), 0o600)
    account = key(cluster.pki / "service-account.key")
    write(cluster.pki / "service-account.pub", openssl("pkey -pubout -in", account))
    write(cluster.kubeconfig, kubeconfig(cluster, "admin"), 0o600)
