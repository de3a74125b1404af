# SPDX-License-Identifier: GPL-3.0-or-later
"""The stages of the test suite: what each runs, what it needs, and the CPU seconds that it takes."""

from __future__ import annotations

import os
from dataclasses import dataclass

RUN = "tests/tools/run.sh"
HOST_CLUSTER = "tests/host_cluster/host-cluster"
COLLECTION = "build/ansible_collections/nested/clusters"  # made by run.sh
UNIT, API, REAL, BENCHMARKS = "tests/unit", "tests/api", "tests/real", "tests/benchmarks"
# More workers than cores, because many tests wait. What a worker cannot do next, another one takes.
IN_FOUR = ("--numprocesses=4", "--dist=worksteal")
SLOWEST = "--durations=15"
HOST_UNITS = "tests/host_cluster/test_units.py"
UNIT_PATH = f"tests/support:{UNIT}"
CORES = ("2.16", "2.17", "2.18", "2.19", "2.20")  # all that the collection supports but the default one
CERTIFIED = "2.16"  # what AAP runs, and Red Hat certifies collections with
PLAYBOOKS = f"{API}/test_playbooks_run.py"
FAULTS = {
    API: ("test_fault_interruptions", "test_fault_obstacles", "test_vcluster_interruption", "test_vcluster_waiting"),
    REAL: ("test_faults", "test_held_namespaces", "test_containers_that_fail"),
}
SOAK = os.environ.get("NESTED_CLUSTERS_SOAK_SECONDS") or "1800"


def faults(tier: str) -> tuple[str, ...]:
    """Return the files of a tier that break things."""
    return tuple(f"{tier}/{name}.py" for name in FAULTS[tier])


@dataclass(frozen=True)
class Stage:
    """One command, run from the top of the checkout.

    cluster: it needs a host cluster. ours: it is for a host cluster of our own, so KUBECONFIG spares it.
    extra: it is run by its name only, and is no part of the suite. beside: the stage that it is started with, where
    both are run; it is then waited for, and shown, when it is its turn. core: it runs on this ansible-core, not on the
    default one, and is not run where the machine has no Python for that. cpu: the CPU seconds that it takes, of all its
    processes but those of host clusters, as measured on a quiet machine with everything built; None: not measured yet.
    """

    name: str
    about: str
    command: tuple[str, ...]
    cluster: bool = False
    ours: bool = False
    extra: bool = False
    beside: str = ""
    core: str = ""
    cpu: float | None = None


STAGES = (
    Stage("tools", "pinned tools, built once: 1 min", (RUN, "true")),
    Stage("yamllint", "YAML", (RUN, "yamllint", "--strict", ".")),
    Stage("ruff", "Python style", (RUN, "ruff", "check", ".")),
    Stage("imports", "which package imports which: .importlinter", (RUN, "lint-imports", "--no-cache")),
    # The collection by its full name, by which its modules import module_utils.
    Stage("mypy", "Python types", (RUN, "mypy", f"{COLLECTION}/plugins", "tests/tools", "tests/host_cluster")),
    # Tests are no packages, and two of their directories have a conftest: each is read with a path of its own.
    Stage(
        "mypy-unit",
        "Python types; tests replace names where a module looks them up",
        ("env", f"MYPYPATH={UNIT_PATH}", RUN, "mypy", "--implicit-reexport", UNIT),
    ),
    Stage(
        "mypy-tiers",
        "Python types of the tests on host clusters; the benchmarks too",
        ("env", f"MYPYPATH={BENCHMARKS}", RUN, "mypy", "tests/support", API, REAL, BENCHMARKS),
    ),
    Stage("ansible-lint", "production profile", (RUN, "ansible-lint")),
    Stage("sanity", "ansible-test, no ignore file: 2 min", ("tests/tools/sanity.sh",)),
    Stage(
        f"sanity-{CERTIFIED}",
        f"ansible-test of ansible-core {CERTIFIED}, which certification runs: 3 min",
        ("tests/tools/sanity.sh",),
        extra=True,
        core=CERTIFIED,
    ),
    Stage("unit", "no cluster needed: 2 min", (RUN, "pytest", UNIT, HOST_UNITS, *IN_FOUR, SLOWEST)),
    *(
        Stage(
            f"unit-{core}",
            f"the unit tests with ansible-core {core}",
            (RUN, "pytest", UNIT, *IN_FOUR),
            extra=True,
            core=core,
        )
        for core in CORES
    ),
    Stage("page", "the report's page in a browser: 1 min", (RUN, "pytest", "tests/page")),
    Stage("binaries", "of control planes, built once: 20 min", (HOST_CLUSTER, "binaries")),
    Stage("host-cluster", "its images, built once: 2 min", (HOST_CLUSTER, "build"), ours=True),
    Stage(
        "host-cluster-tests",
        "from up to down: 2 min",
        ("env", "NESTED_CLUSTERS_HOST_TESTS=1", RUN, "pytest", "tests/host_cluster/test_host_cluster.py"),
        ours=True,
    ),
    Stage(
        "api",
        "on a control plane without a kubelet for each worker, no root: 10 min",
        (RUN, "pytest", API, f"--ignore={PLAYBOOKS}", *IN_FOUR, SLOWEST),
    ),
    # Not before each commit: other tests of the API tier and of the unit tests run playbooks too.
    Stage(
        "playbooks",
        "every playbook to its end, on such control planes: 3 min",
        (RUN, "pytest", PLAYBOOKS, *IN_FOUR),
    ),
    *(
        Stage(f"sample-{core}", f"a random sample on ansible-core {core}: 1 min", ("tests/tools/sample.sh",), core=core)
        for core in CORES
    ),
    *(
        Stage(
            f"playbooks-{core}",
            f"every playbook to its end with ansible-core {core}",
            (RUN, "pytest", PLAYBOOKS, *IN_FOUR),
            extra=True,
            core=core,
        )
        for core in CORES
        if core != CERTIFIED  # on which the whole tier runs
    ),
    Stage(
        f"api-{CERTIFIED}",
        f"the same with ansible-core {CERTIFIED}, with every playbook: 12 min",
        (RUN, "pytest", API, *IN_FOUR),
        extra=True,
        core=CERTIFIED,
    ),
    Stage(
        "real",
        "virtual clusters that run, on a real host cluster: 12 min",
        # Tests mostly wait. Those that share a virtual cluster have the mark xdist_group. One file is run by molecule,
        # on the host cluster where load balancers, a Gateway and DNS are.
        (
            *(RUN, "pytest", REAL, f"--ignore={REAL}/test_outside.py"),
            *("--numprocesses=4", "--dist=loadgroup", SLOWEST),
        ),
        cluster=True,
    ),
    Stage(
        "molecule",
        "roles, endpoints and an environment, on a host cluster of their own, since the API tier began",
        ("tests/tools/molecule.sh", "test", "--all"),
        ours=True,
        # It is the longest of all, because its scenarios follow each other; and it waits a third of its time.
        beside="api",
    ),
    Stage(
        "faults-api",
        "those of the faults that need no kubelet: 5 min",
        ("env", "NESTED_CLUSTERS_FAULTS=full", RUN, "pytest", *faults(API), *IN_FOUR),
        extra=True,
    ),
    Stage(
        "faults-real",
        "the other faults, on host clusters of our own: 20 min",
        (
            *("env", "NESTED_CLUSTERS_FAULTS=full", RUN, "pytest", *faults(REAL)),
            *("--numprocesses=4", "--dist=loadgroup"),
        ),
        cluster=True,
        extra=True,
    ),
    Stage(
        "soak",
        "random tasks of four processes in one group: 30 min",
        ("env", f"NESTED_CLUSTERS_SOAK_SECONDS={SOAK}", RUN, "pytest", "-s", f"{API}/test_soak.py"),
        extra=True,
    ),
    Stage("galaxy-importer", "the built artifact, as Automation Hub checks it", ("tests/tools/importer.sh",)),
)
GROUPS = {
    "faults": ["binaries", "faults-api", "faults-real"],  # each tier has a conftest of its own, so two runs
    "cores": [
        f"sanity-{CERTIFIED}",
        *(f"unit-{core}" for core in CORES),
        "binaries",
        *(f"playbooks-{core}" for core in CORES if core != CERTIFIED),
        f"api-{CERTIFIED}",
    ],
    # What a contributor runs before each commit. The rest is for `make test`.
    "check": ["tools", "yamllint", "ruff", "imports", "mypy", "mypy-unit", "mypy-tiers", "unit", "binaries", "api"],
    "test": [stage.name for stage in STAGES if not stage.extra],
    "lint": ["tools", "yamllint", "ruff", "imports", "mypy", "mypy-unit", "mypy-tiers", "ansible-lint", "sanity"],
}
