# SPDX-License-Identifier: GPL-3.0-or-later
"""What somebody else does while a task runs: the task fails with a message for people, and a second run finishes."""

from __future__ import annotations

import json
import os
import re
from typing import Any

from fault_life import Record, life, survived
from fault_tools import FULL, meanwhile
from host_api import Host, root
from modules import Module
from places import IDLE, Place
from waiting import eventually

ADMISSION = root("admissionregistration.k8s.io/v1")


def policy(name: str, namespace: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """An admission policy, and its binding, that lets no StatefulSet into a namespace."""
    rules = [{"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["statefulsets"]}]
    validations = [{"expression": "false", "message": "it may not be"}]
    only = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
    spec = {"failurePolicy": "Fail", "matchConstraints": {"resourceRules": rules}, "validations": validations}
    binding = {"policyName": name, "validationActions": ["Deny"], "matchResources": {"namespaceSelector": only}}
    return {"metadata": {"name": name}, "spec": spec}, {"metadata": {"name": name}, "spec": binding}


def unreachable_webhook(name: str, namespace: str) -> dict[str, Any]:
    """A webhook that does not answer, and without which nothing is let into a namespace."""
    hook = {
        "name": "closed.example.com",
        "clientConfig": {"url": "https://127.0.0.1:1/"},
        "failurePolicy": "Fail",
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "timeoutSeconds": 2,
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
        "rules": [
            {"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["statefulsets"]}
        ],
    }
    return {"metadata": {"name": name}, "webhooks": [hook]}


def test_creation_refused_by_admission_says_why(host: Host, vcluster: Module, record_property: Record) -> None:
    """A policy that denies and a webhook that is down stop helm half-way: its words are passed on."""
    with life(host, vcluster, record_property, "deny") as lived:
        name, options = lived.where.name, lived.task("create")[1]
        rule, binding = policy(name, lived.where.namespace)
        made = [
            f"{ADMISSION}/validatingadmissionpolicies/{name}",
            f"{ADMISSION}/validatingadmissionpolicybindings/{name}",
            f"{ADMISSION}/validatingwebhookconfigurations/{name}",
        ]
        try:
            with survived(record_property, "a webhook that rejects"):
                host.create(made[0].rpartition("/")[0], rule)
                host.create(made[1].rpartition("/")[0], binding)
                host.namespace(lived.where.namespace)
                eventually("policy", lambda: "it may not be" in denied(host, lived.where), 60)
                assert "it may not be" in vcluster.refused(**options)
                host.create(made[2].rpartition("/")[0], unreachable_webhook(name, lived.where.namespace))
                host.delete(made[1])
                eventually("webhook", lambda: "closed.example.com" in vcluster.raw(**options).get("msg", ""), 30)
                host.delete(made[2])
                eventually("it is let in", lambda: not vcluster.raw(**options).get("failed"), 60, 1)
                lived.check("create")
        finally:
            for path in made:
                host.delete(path)


def denied(host: Host, where: Place) -> str:
    """What the API server says to a StatefulSet, which is not made in any case."""
    spec = {
        "selector": {"matchLabels": {"a": "b"}},
        "serviceName": "x",
        "template": {"metadata": {"labels": {"a": "b"}}},
    }
    spec["template"]["spec"] = {"containers": [{"name": "x", "image": "x"}]}  # type: ignore[index]
    path = where.path("statefulsets", version="apps/v1") + "?dryRun=All"
    try:
        host.create(path, {"metadata": {"name": "probe"}, "spec": spec})
    except AssertionError as error:
        return str(error)
    return ""


def test_creation_in_a_namespace_at_its_quota_names_the_quota(
    host: Host, vcluster: Module, record_property: Record
) -> None:
    """Not even helm's record finds room: the message names the quota; with room, the next run finishes."""
    with survived(record_property, "a namespace at its quota"), life(host, vcluster, record_property, "full") as lived:
        host.namespace(lived.where.namespace)
        quota = lived.where.path("resourcequotas", "tiny")
        spec = {"hard": {"count/services": "1"}}
        host.create(quota.rpartition("/")[0], {"metadata": {"name": "tiny"}, "spec": spec})
        eventually("quota counts", lambda: host.get(quota).get("status", {}).get("hard"))
        assert "exceeded quota: tiny" in vcluster.refused(**lived.task("create")[1])
        host.delete(quota)
        lived.again("create")


def test_creation_with_credentials_that_are_revoked_ends_at_once(
    host: Host, vcluster: Module, record_property: Record
) -> None:
    """Revoked while the task waits: it ends at once and says so; with valid ones the next run finishes."""
    what = "credentials revoked during create"
    with survived(record_property, what), life(host, vcluster, record_property, "revoked") as lived:
        where, account = lived.where, {"metadata": {"name": "runner"}}
        host.namespace(where.namespace)
        host.create(where.path("serviceaccounts"), account)
        subject = {"kind": "ServiceAccount", "name": "runner", "namespace": where.namespace}
        binding = {
            "metadata": {"name": f"vc-{where.name}-v-{where.namespace}"},  # what the clean-up removes as well
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [subject],
        }
        path = f"{root('rbac.authorization.k8s.io/v1')}/clusterrolebindings"
        host.create(path, binding)
        token = host.call("kubectl", "create", "token", "runner", "-n", where.namespace).stdout.strip()
        address = {"host": host.configuration.host, "api_key": token, "ca_cert": host.configuration.ssl_ca_cert}
        options = {"name": where.name, "values": IDLE, "kubeconfig": os.devnull, **address}
        process = vcluster.start(options)
        eventually("metadata", lambda: "nested-clusters/managed" in str(host.get(where.workload)))
        host.delete(where.path("serviceaccounts", "runner"))
        result = vcluster.finish(process)
        assert "rejects the credentials" in result["msg"]
        assert token not in json.dumps({key: value for key, value in result.items() if key != "invocation"})
        host.delete(f"{path}/{binding['metadata']['name']}")  # type: ignore[index]
        vcluster(name=where.name, values=IDLE, wait=False)
        vcluster(name=where.name, state="absent")


def test_fields_that_a_second_controller_sets_are_won_or_named(
    host: Host, vcluster: Module, record_property: Record
) -> None:
    """Somebody sets replicas and a Service back at once: the task says so, or wins; afterwards it holds."""
    what = "a second controller on the same field"
    with survived(record_property, what), life(host, vcluster, record_property, "fight") as lived:
        lived.again("create")
        state, options = lived.task("pause")

        def wake() -> None:
            found = host.get(lived.where.workload)
            if found and found["spec"]["replicas"] == 0:
                host.patch(lived.where.workload, {"spec": {"replicas": 1}})

        with meanwhile(wake):
            result = state.raw(**options, wait_timeout=15)
        assert "Traceback" not in json.dumps(result)
        assert not result.get("failed") or re.search("another client undid|not paused after", result["msg"]), result
        lived.again("pause")
        service = lived.where.path("services", lived.where.name)
        with meanwhile(lambda: host.patch(service, {"spec": {"type": "NodePort"}})):
            vcluster(**lived.task("change")[1])
        lived.again("change")
        assert host.get(service)["spec"]["type"] == "ClusterIP"


def test_creation_with_a_volume_that_never_binds_says_so(host: Host, vcluster: Module, record_property: Record) -> None:
    """Its storage class exists, and nobody provides for it: the last state says what is missing."""
    what = "a volume that never binds"
    with survived(record_property, what), life(host, vcluster, record_property, "unbound") as lived:
        classes, where = root("storage.k8s.io/v1") + "/storageclasses", lived.where
        body = {"metadata": {"name": where.name}, "provisioner": "example.com/nobody", "volumeBindingMode": "Immediate"}
        host.create(classes, body)
        try:
            claim = {"persistence": {"volumeClaim": {"storageClass": where.name}}}
            values = {"controlPlane": {"statefulSet": claim}}
            message = vcluster.refused(name=where.name, values=values, wait_timeout=15 if not FULL else 120)
            assert "unbound immediate PersistentVolumeClaims" in message, message
            vcluster(name=where.name, state="absent")
            lived.check("delete")
        finally:
            host.delete(f"{classes}/{where.name}")
