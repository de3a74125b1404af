# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Count the requests of a deletion of many, and say what each of them is for."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from ansible_collections.nested.clusters.plugins.module_utils.common import batch, well_known
from ansible_collections.nested.clusters.plugins.module_utils.common.batch import BatchOptions
from ansible_collections.nested.clusters.plugins.module_utils.common.errors import NestedClustersError
from ansible_collections.nested.clusters.plugins.module_utils.deletion import deletion_batch
from ansible_collections.nested.clusters.plugins.module_utils.k8s.host_clusters import HostCluster
from ansible_collections.nested.clusters.plugins.module_utils.k8s.objects import path
from ansible_collections.nested.clusters.plugins.module_utils.listing.contents import DERIVED
from ansible_collections.nested.clusters.plugins.module_utils.listing.selection import Selector
from clock import Clock
from populated_host import Names, PopulatedHost, Result
from tasks_on_hosts import contents, replace_time

SECRETS = path("v1", "secrets")
WORKLOAD_OF_A = path("apps/v1", "statefulsets", "vcluster-a", "a")
WORKLOADS = {path("apps/v1", plural) for plural in ("statefulsets", "deployments")}
STORAGE_CLASSES = path("storage.k8s.io/v1", "storageclasses")  # may be synced, whether the host cluster says so or not


DISCOVERY_DEPTH = 3  # slashes of /apis/GROUP/VERSION


class CountingHost(PopulatedHost):
    """A host cluster whose requests are counted; discovery is one of them, however many it takes."""

    def taken(self) -> Counter[str]:
        """Return the requests since the last time."""
        found: Counter[str] = Counter()
        for request in self.requests:
            verb = self.verb(request)
            if request.path == "/apis":
                found["discovery"] += 1
            elif verb == "list" or request.path.count("/") > DISCOVERY_DEPTH:
                found[f"{verb.upper()} {request.path}"] += 1
        self.requests.clear()
        return found

    @property
    def listed_kinds(self) -> Names:
        """Return the paths of what is listed to know all that there is."""
        served = {path(*kind) for kind, _namespaced in self.client().all_resources() if kind[1] not in DERIVED}
        self.requests.clear()
        return sorted({*served, STORAGE_CLASSES})


SERVED = PopulatedHost().client().all_resources()
NAMESPACED = {path(*kind) for kind, inside in SERVED if inside and kind[1] not in DERIVED}


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    replace_time(monkeypatch, found, (deletion_batch, batch))
    return found


@pytest.fixture
def host() -> CountingHost:
    found = CountingHost()
    for name in "abc":
        found.have_cluster(name)
    found.have_cluster("shared", made=False)
    found.have("ConfigMap", "of-somebody-else", namespace="vcluster-shared")
    return found


def planned(host: CountingHost, selector: Selector | None = None, **options: Any) -> deletion_batch.DeletionPlan:
    hosts = [HostCluster("default", host.client())]
    return deletion_batch.plan(hosts, selector or Selector(), BatchOptions("absent", **options))


def lists(requests: Counter[str]) -> Counter[str]:
    return Counter({text.removeprefix("LIST "): count for text, count in requests.items() if text.startswith("LIST ")})


def test_plan_of_many_lists_each_kind_once(host: CountingHost) -> None:
    plan = planned(host)
    assert [job.target.name for job in plan.jobs] == ["a", "b", "c", "shared"]
    requests = host.taken()
    # A Secret's type tells Helm's records from others, and is no metadata: the second LIST asks for these alone.
    assert lists(requests) == Counter(host.listed_kinds) + Counter([SECRETS])
    opened = {text for text in requests if text.startswith("GET ")}
    # What vCluster writes without labels is told by what is in it, and here everything has labels.
    assert (requests["discovery"], opened, host.writes()) == (1, set(), [])


def test_plan_by_names_lists_each_kind_once(host: CountingHost) -> None:
    assert len(planned(host, Selector(names=("a", "c"))).jobs) == 2
    assert lists(host.taken()) == Counter(host.listed_kinds) + Counter([SECRETS])


def test_plan_by_labels_lets_the_api_server_select(host: CountingHost) -> None:
    """What a label selector means is not guessed: one more LIST for each kind of control plane."""
    assert not planned(host, Selector(label_selectors=("env in (ci)",))).jobs
    assert lists(host.taken()) == Counter([*host.listed_kinds, SECRETS, *WORKLOADS])


def test_plan_in_one_namespace_finds_by_helms_label_what_is_in_others(host: CountingHost) -> None:
    """Each kind is listed in the namespace, and once more in all, but only what Helm's label selects."""
    chart = {**well_known.MANAGED_BY_HELM, "app": "vcluster", "release": "a"}
    of_release = {well_known.RELEASE_NAME: "a", well_known.RELEASE_NAMESPACE: "vcluster-a"}
    host.have("Deployment", "agent", namespace="default", labels=chart, annotations=of_release)
    (job,) = planned(host, Selector(namespace="vcluster-a")).jobs
    listed = lists(host.taken())
    inside = {where.replace("/v1/", "/v1/namespaces/vcluster-a/") for where in NAMESPACED}
    secrets = path("v1", "secrets", "vcluster-a")
    # Of Secrets once more those that are Helm's, and then the release's record: whether it names what is elsewhere.
    assert listed == Counter(host.listed_kinds) + Counter([*inside, secrets, secrets])
    # It does not, so that object stays, and the result says so.
    assert "deployments/agent in namespace default stayed" in job.target.note


def test_plan_of_one_that_is_not_ready_asks_for_its_phase(host: CountingHost) -> None:
    """A pod and its events tell a phase that the workload does not tell: one more LIST of pods."""
    host.add({**host.at(WORKLOAD_OF_A), "status": {}})
    assert planned(host).jobs[0].target.phase == "pending"
    more = lists(host.taken()) - Counter([*host.listed_kinds, SECRETS])
    assert [where.rsplit("/", 1)[1] for where in more if not where.endswith("/events")] == ["pods"]


def carried_out(host: CountingHost, *names: str) -> Counter[str]:
    """The requests that delete virtual clusters after they were planned for."""
    plan = planned(host, Selector(names=names))
    host.taken()
    result = deletion_batch.carry_out(plan)
    assert result.jobs == plan.jobs
    assert [job.describe(plan.options)["after"] for job in plan.jobs] == ["absent"] * len(names)
    return host.taken()


def test_carry_out_of_whole_namespaces_reads_once_more_before_their_end(host: CountingHost) -> None:
    """What is protected, used or somebody else's by now stays. Then only namespaces are listed, until they are gone."""
    requests = carried_out(host, "a", "b", "c")
    listed = lists(requests)
    assert {where: listed[where] for where in NAMESPACED} == {**dict.fromkeys(NAMESPACED, 1), SECRETS: 2}
    # For each look: is the namespace gone?
    assert listed.keys() - NAMESPACED == {path("v1", "namespaces")}
    assert requests["discovery"] == 0
    assert Counter(text.split("/")[-2] for text in requests if text.startswith("DELETE ")) == {
        "clusterroles": 3,
        "priorityclasses": 3,
        "namespaces": 3,
    }


def test_carry_out_in_a_namespace_that_stays_reads_once_more_after_it(host: CountingHost) -> None:
    """The first look finds what is there to delete, the second one sees that nothing is left."""
    listed = lists(carried_out(host, "shared"))
    inside = {where.replace("/v1/", "/v1/namespaces/vcluster-shared/") for where in NAMESPACED}
    secrets = path("v1", "secrets", "vcluster-shared")
    assert listed == {**dict.fromkeys(inside, 2), secrets: 4}


def test_carry_out_deletes_only_what_was_read(host: CountingHost) -> None:
    """Each deletion names the UID of what was read: one of the same name that was made meanwhile stays."""
    before = {at: one["metadata"]["uid"] for at, one in host.state().items()}
    deletion_batch.carry_out(planned(host))
    only = {request.path: request.body["preconditions"] for request in host.requests if request.method == "DELETE"}
    assert only.keys() >= {path("v1", "namespaces", None, f"vcluster-{name}") for name in "abc"}
    assert only == {at: {"uid": before[at]} for at in only}


def test_carry_out_after_a_protection_deletes_nothing_of_it(host: CountingHost) -> None:
    """What is read again right before a namespace ends decides, not the plan."""
    plan = planned(host)
    at = "/apis/apps/v1/namespaces/vcluster-b/statefulsets/b"
    host.change(at, {"metadata": {"annotations": {well_known.PROTECTED: "true"}}})
    deletion_batch.carry_out(plan)
    assert [job.error for job in plan.jobs] == ["", "it was protected meanwhile", "", ""]
    assert at in host


def test_carry_out_after_a_new_object_keeps_its_namespace(host: CountingHost) -> None:
    plan = planned(host, Selector(names=("a",)))
    host.have("ConfigMap", "new", namespace="vcluster-a")
    deletion_batch.carry_out(plan)
    assert contents(host, "vcluster-a") == {"configmaps/new"}


def test_plan_of_a_protected_one_is_refused_without_a_write(host: CountingHost) -> None:
    host.have_cluster("d", annotations={well_known.PROTECTED: "true"})
    with pytest.raises(NestedClustersError, match="d \\(namespace vcluster-d"):
        planned(host)
    assert host.writes() == []


def test_carry_out_of_an_empty_plan_sends_no_request(host: CountingHost) -> None:
    plan = planned(host, Selector(names=("nobody",)))
    host.taken()
    assert deletion_batch.carry_out(plan).jobs == []
    assert host.taken() == Counter()


def result_of(plan: deletion_batch.DeletionPlan) -> Result:
    return {job.target.name: [change.text for change in job.changes] for job in plan.jobs}


def test_run_does_what_a_plan_says(host: CountingHost) -> None:
    foreseen = result_of(planned(host))
    hosts = [HostCluster("default", host.client())]
    checked = deletion_batch.run(hosts, Selector(), BatchOptions("absent", check=True))
    assert host.writes() == []
    done = deletion_batch.run(hosts, Selector(), BatchOptions("absent"))
    options = BatchOptions("absent")
    shown = [{job.describe(options)["name"]: job.describe(options)["steps"] for job in one.jobs} for one in (done,)]
    assert shown == [foreseen]
    assert len(checked.jobs) == len(done.jobs) == 4
