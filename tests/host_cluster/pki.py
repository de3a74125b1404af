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


def key(path: Path) -> Path:
    """Make a private key that only root can read."""
    return write(path, run(["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]), 0o600)


def authority(pki: Path) -> None:
    """Make the certificate authority."""
    config = "[req]\ndistinguished_name=dn\n[dn]\n"
    extensions = ["-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign,digitalSignature"]
    conf = write(pki / "openssl.cnf", config)
    run(["openssl", "req", "-x509", "-new", "-key", key(pki / "ca.key"), "-subj", "/CN=nested-clusters", "-days", "3650", "-config", conf, *extensions, "-out", pki / "ca.crt"])


def certificate(pki: Path, name: str, subject: str, extensions: str) -> None:
    """Make a key and a certificate signed by the authority."""
    request = run(["openssl", "req", "-new", "-key", key(pki / f"{name}.key"), "-subj", subject, "-config", pki / "openssl.cnf"])
    conf = write(pki / f"{name}.ext", f"basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n{extensions}\n")
    sign = ["openssl", "x509", "-req", "-CA", pki / "ca.crt", "-CAkey", pki / "ca.key", "-CAcreateserial", "-days", "3650"]
    write(pki / f"{name}.crt", run([*sign, "-extfile", conf], text_in=request))


def server_names(cluster: Cluster) -> str:
    """Every name and address that the API server is called by."""
    names = ["kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local", "localhost", cluster.name]
    addresses = [cluster.node_ip, cluster.api_service_ip, "127.0.0.1"]
    return ",".join([f"DNS:{name}" for name in names] + [f"IP:{address}" for address in addresses])


def kubeconfig(cluster: Cluster, user: str) -> str:
    """Write a kubeconfig with everything inside (JSON is YAML)."""

    def data(file: str) -> str:
        return base64.b64encode((cluster.pki / file).read_bytes()).decode()

    context = f"{user}@{cluster.name}"
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": cluster.name, "cluster": {"server": cluster.server, "certificate-authority-data": data("ca.crt")}}],
        "users": [{"name": context, "user": {"client-certificate-data": data(f"{user}.crt"), "client-key-data": data(f"{user}.key")}}],
        "contexts": [{"name": cluster.name, "context": {"cluster": cluster.name, "user": context}}],
        "current-context": cluster.name,
    }
    return json.dumps(content, indent=2) + "\n"


def make(cluster: Cluster) -> None:
    """Make everything that one cluster needs."""
    cluster.pki.mkdir(mode=0o700, parents=True, exist_ok=True)
    authority(cluster.pki)
    certificate(cluster.pki, "apiserver", "/CN=kube-apiserver", f"extendedKeyUsage=serverAuth\nsubjectAltName={server_names(cluster)}")
    for name, subject in CLIENTS.items():
        certificate(cluster.pki, name, subject.format(name=cluster.name), "extendedKeyUsage=clientAuth")
        write(cluster.pki / f"{name}.kubeconfig", kubeconfig(cluster, name), 0o600)
    key(cluster.pki / "service-account.key")
    run(["openssl", "pkey", "-in", cluster.pki / "service-account.key", "-pubout", "-out", cluster.pki / "service-account.pub"])
    write(cluster.kubeconfig, kubeconfig(cluster, "admin"), 0o600)
