# SPDX-License-Identifier: GPL-3.0-or-later
"""Run stages of the test suite in order, stop at the first that fails, and sum up.

Names of stages or groups are the arguments; `python3 tests/tools/stages.py test` runs everything.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

REPOSITORY = Path(__file__).resolve().parents[2]
RUN = "tests/tools/run.sh"
HOST_CLUSTER = "tests/host_cluster/host-cluster"
COLLECTION = "build/ansible_collections/nested/clusters"  # made by run.sh
UNIT, API, REAL, BENCHMARKS = "tests/unit", "tests/api", "tests/real", "tests/benchmarks"
IN_TWO = ("--numprocesses=2",)
# Packages whose tests import each other.
SHARED = ("admission", "common", "groups", "k8s", "lifecycle")
UNIT_PATH = ":".join((UNIT, *(f"{UNIT}/plugins/module_utils/{package}" for package in SHARED)))
CORES = ("2.16", "2.21")  # the oldest and the newest, beside the default one
FAULTS = ("test_faults", "test_vcluster_interruption", "test_vcluster_waiting")
SOAK = os.environ.get("NESTED_CLUSTERS_SOAK_SECONDS") or "1800"
# The second one is for groups. Both are there before the tests make the machine busy.
CLUSTERS = {"KUBECONFIG": "nested-ci", "NESTED_CLUSTERS_SECOND_KUBECONFIG": "nested-ci-b"}
SECONDS_TO_STOP = 20
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True)
class Stage:
    """One command, run from the top of the checkout.

    cluster: it needs a host cluster. ours: it is for a host cluster of our own, so KUBECONFIG spares it.
    extra: it is run by its name only, and is no part of the suite. beside: the stage that it is started with, where
    both are run; it is then waited for, and shown, when it is its turn.
    """

    name: str
    about: str
    command: tuple[str, ...]
    cluster: bool = False
    ours: bool = False
    extra: bool = False
    beside: str = ""


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
    Stage("sanity", "ansible-test, no ignore file: 1 min", ("tests/tools/sanity.sh",)),
    Stage("unit", "no cluster needed: 2 min", (RUN, "pytest", UNIT, "tests/host_cluster/test_units.py", *IN_TWO)),
    *(
        Stage(
            f"unit-{core}",
            f"the unit tests with ansible-core {core}",
            ("env", f"NESTED_CLUSTERS_CORE={core}", RUN, "pytest", UNIT, *IN_TWO),
            extra=True,
        )
        for core in CORES
    ),
    Stage("page", "the report's page in a browser: 1 min", (RUN, "pytest", "tests/page")),
    Stage("host-cluster", "its binaries, built once: 20 min", (HOST_CLUSTER, "build"), ours=True),
    Stage(
        "host-cluster-tests",
        "from up to down: 2 min",
        ("env", "NESTED_CLUSTERS_HOST_TESTS=1", RUN, "pytest", "tests/host_cluster/test_host_cluster.py"),
        ours=True,
    ),
    Stage(
        "real",
        "on two real host clusters: 30 min",
        # Tests mostly wait. What must not run beside each other has the mark xdist_group. One file is run by molecule,
        # on the host cluster where load balancers, a Gateway and DNS are.
        (
            *(RUN, "pytest", REAL, f"--ignore={REAL}/test_outside.py"),
            *("--numprocesses=4", "--dist=loadgroup", "--durations=15"),
        ),
        cluster=True,
    ),
    Stage(
        "molecule",
        "roles, ways and an environment, on a host cluster of their own, beside those tests",
        ("tests/tools/molecule.sh", "test", "--all"),
        ours=True,
        beside="real",  # alone, each waits a third of its time
    ),
    Stage(
        "faults",
        "two hundred faults, on host clusters of our own: 25 min",
        (
            *("env", "NESTED_CLUSTERS_FAULTS=full", RUN, "pytest", *(f"{REAL}/{name}.py" for name in FAULTS)),
            *("--numprocesses=4", "--dist=loadgroup"),
        ),
        cluster=True,
        extra=True,
    ),
    Stage(
        "soak",
        "random tasks of four processes in one group: 30 min",
        ("env", f"NESTED_CLUSTERS_SOAK_SECONDS={SOAK}", RUN, "pytest", "-s", f"{REAL}/test_soak.py"),
        cluster=True,
        extra=True,
    ),
    Stage("galaxy-importer", "the built artifact, as Automation Hub checks it", ("tests/tools/importer.sh",)),
)
GROUPS = {
    "cores": [f"unit-{core}" for core in CORES],
    "test": [stage.name for stage in STAGES if not stage.extra],
    "lint": ["tools", "yamllint", "ruff", "imports", "mypy", "mypy-unit", "mypy-tiers", "ansible-lint", "sanity"],
}


class StageFailed(Exception):
    """A stage's command did not succeed."""


class Interrupted(Exception):
    """Someone asked us to stop."""


def listen(handler: Any) -> None:
    """Install a handler for every signal that asks us to stop."""
    for number in SIGNALS:
        signal.signal(number, handler)


def interrupted(number: int, _frame: FrameType | None) -> NoReturn:
    """Turn the first signal into an exception, and ignore the next: what was started is being stopped."""
    listen(signal.SIG_IGN)
    raise Interrupted(signal.Signals(number).name)


def run(command: tuple[str, ...], environment: dict[str, str]) -> None:
    """Run a command without standard input, in a process group of its own that can be stopped as one."""
    process = subprocess.Popen(
        command, cwd=REPOSITORY, env=environment, stdin=subprocess.DEVNULL, start_new_session=True
    )
    try:
        status = process.wait()
    except Interrupted:
        stop(process)
        raise
    if status:
        raise StageFailed(f"exit status {status}: {' '.join(command)}")


class Beside:
    """A stage that runs while others do. What it says is kept until it is its turn."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.log = REPOSITORY / "build" / "stages" / f"{stage.name}.log"
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.began, self.ended = time.monotonic(), 0.0
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                stage.command,
                cwd=REPOSITORY,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        threading.Thread(target=self._wait, daemon=True).start()

    def _wait(self) -> None:
        self.process.wait()
        self.ended = time.monotonic()

    @property
    def seconds(self) -> float:
        """How long it has taken."""
        return (self.ended or time.monotonic()) - self.began

    def finish(self) -> None:
        """Wait for its end, and show what it said. Raises StageFailed."""
        status = self.process.wait()
        with self.log.open("rb") as log:
            shutil.copyfileobj(log, sys.stdout.buffer)
        sys.stdout.flush()
        if status:
            raise StageFailed(f"exit status {status}: {' '.join(self.stage.command)}")

    def stop(self) -> None:
        """End it, if it has not."""
        if self.process.poll() is None:
            stop(self.process)


def stop(process: subprocess.Popen[bytes]) -> None:
    """Ask a process group to end, then make it."""
    os.killpg(process.pid, signal.SIGINT)  # at which pytest still reports and cleans up
    try:
        process.wait(timeout=SECONDS_TO_STOP)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def ask(question: str) -> str:
    """Return the one-line answer of a host-cluster command."""
    answer = subprocess.run((HOST_CLUSTER, question), cwd=REPOSITORY, check=True, stdout=subprocess.PIPE, text=True)
    return answer.stdout.strip()


@contextmanager
def host_cluster() -> Iterator[dict[str, str]]:
    """Yield the environment of a stage that needs host clusters; end the two that we start."""
    environment = dict(os.environ)
    if own := environment.get("KUBECONFIG"):
        print(f"using the host cluster of KUBECONFIG={own}", flush=True)
        environment["PATH"] += f":{ask('bin-dir')}"  # your own helm first, and ours if there is none
        yield environment
        return
    try:
        state = environment.get("NESTED_CLUSTERS_STATE") or "/var/lib/nested-clusters"
        for variable, name in CLUSTERS.items():
            run((HOST_CLUSTER, "up", "--name", name), dict(os.environ))
            environment[variable] = f"{state}/{name}/kubeconfig"
        environment["PATH"] = f"{ask('bin-dir')}:{environment['PATH']}"
        environment.setdefault("NESTED_CLUSTERS_CHART", ask("chart"))  # its repository may be out of reach
        yield environment
    finally:
        # Also after a failed or interrupted `up`, and not to be interrupted itself.
        listen(signal.SIG_IGN)
        for name in CLUSTERS.values():
            run((HOST_CLUSTER, "down", "--name", name), dict(os.environ))
        listen(interrupted)


def run_stage(stage: Stage) -> None:
    """Run one stage, with a host cluster where it needs one."""
    if stage.cluster:
        with host_cluster() as environment:
            run(stage.command, environment)
    else:
        run(stage.command, dict(os.environ))


def select(names: list[str]) -> list[Stage]:
    """Return the named stages and the stages of the named groups, in the order of the table."""
    wanted = {stage for name in names for stage in GROUPS.get(name, [name])}
    if unknown := wanted - {stage.name for stage in STAGES}:
        raise SystemExit(f"no such stage: {', '.join(sorted(unknown))}")
    given = bool(os.environ.get("KUBECONFIG"))
    return [stage for stage in STAGES if stage.name in wanted and not (stage.ours and given)]


def announce(stages: list[Stage]) -> None:
    """Say what is about to happen."""
    print("Stages, stopping at the first that fails:")
    for stage in stages:
        print(f"  {stage.name:<18} {stage.about}")
    if any(stage.cluster for stage in stages) and not os.environ.get("KUBECONFIG"):
        print(f"Host clusters {' and '.join(CLUSTERS.values())} are started and taken down again (root on Linux).")
        print("With KUBECONFIG set, that cluster is used instead.")
    if {stage.name for stage in stages} >= set(GROUPS["test"]):
        print("On 2 cores: about 40 minutes, and 30 more the first time, for what is then kept in the cache.")
    sys.stdout.flush()


def summarise(stages: list[Stage], times: dict[str, float], failure: str, total: float) -> None:
    """Print the time of each stage, and what failed and how to repeat it."""
    print("\n=== summary")
    for stage in stages:
        seconds = times.get(stage.name)
        failed = failure and stage.name == list(times)[-1]
        result = "not run" if seconds is None else f"{'FAILED' if failed else 'passed':<8} {seconds:6.1f} s"
        print(f"  {stage.name:<18} {result}")
    print(f"  {'total':<27} {total:6.1f} s")
    if failure:
        name = list(times)[-1]
        print(f"FAILED: {name}: {failure}\nrepeat with: python3 tests/tools/stages.py {name}")
    print(f"{len(times) - bool(failure)} passed, {int(bool(failure))} failed", flush=True)


def main() -> int:
    """Run the stages named on the command line."""
    listen(interrupted)
    stages = select(sys.argv[1:] or ["test"])
    announce(stages)
    times: dict[str, float] = {}
    failure = ""
    begun: dict[str, Beside] = {}
    began = time.monotonic()
    for stage in stages:
        print(f"\n=== {stage.name}: {stage.about}", flush=True)
        start = time.monotonic()
        try:
            begun |= {other.name: Beside(other) for other in stages if other.beside == stage.name}
            if stage.name in begun:
                begun[stage.name].finish()
            else:
                run_stage(stage)
        except StageFailed as error:
            failure = str(error)
        except Interrupted as error:
            failure = f"interrupted by {error}"
        times[stage.name] = begun[stage.name].seconds if stage.name in begun else time.monotonic() - start
        result = "FAILED" if failure else "passed"
        print(f"=== {stage.name}: {result} in {times[stage.name]:.1f} s", flush=True)
        if failure:
            break
    listen(signal.SIG_IGN)
    for other in begun.values():
        other.stop()
    summarise(stages, times, failure, time.monotonic() - began)
    return 1 if failure else 0


if __name__ == "__main__":
    sys.exit(main())
