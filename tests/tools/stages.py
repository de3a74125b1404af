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
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from stage_table import GROUPS, HOST_CLUSTER, STAGES, Stage

REPOSITORY = Path(__file__).resolve().parents[2]
CLUSTERS = {"KUBECONFIG": "nested-ci"}
SECONDS_TO_STOP = 20
NOT_RUN = 77  # the exit status of toolbox.py where no Python fits the ansible-core of a stage
# CPU seconds vary a little from run to run, and with what else the machine does: from the first on, a stage is named
# in the summary; from the second on, it fails.
NAMED_FROM, FAILS_FROM = 1.1, 1.5
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StageFailed(Exception):
    """A stage's command did not succeed."""


class NotRun(Exception):
    """A stage could not run on this machine, which its command has said."""


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


def run(command: tuple[str, ...], environment: dict[str, str]) -> float:
    """Run a command without standard input, in a process group of its own that can be stopped as one.

    Return the CPU seconds that it has taken, with those of all processes that it has waited for. Raises StageFailed,
    and NotRun.
    """
    process = subprocess.Popen(
        command, cwd=REPOSITORY, env=environment, stdin=subprocess.DEVNULL, start_new_session=True
    )
    try:
        cpu = wait(process)
    except Interrupted:
        stop(process)
        raise
    check_status(process.returncode, command)
    return cpu


def check_status(status: int, command: tuple[str, ...]) -> None:
    """Raise StageFailed or NotRun for the exit status of a command that says so."""
    if status == NOT_RUN:
        raise NotRun
    if status:
        raise StageFailed(f"exit status {status}: {' '.join(command)}")


def wait(process: subprocess.Popen[bytes]) -> float:
    """Wait for the end of a process, and return its CPU seconds."""
    _pid, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return usage.ru_utime + usage.ru_stime


class Beside:
    """A stage that runs while others do. What it says is kept until it is its turn."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.log = REPOSITORY / "build" / "stages" / f"{stage.name}.log"
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.began, self.ended, self.cpu = time.monotonic(), 0.0, 0.0
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                stage.command,
                cwd=REPOSITORY,
                env=dict(os.environ) | chosen_core(stage),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.waiting = threading.Thread(target=self._wait, daemon=True)
        self.waiting.start()

    def _wait(self) -> None:
        self.cpu = wait(self.process)
        self.ended = time.monotonic()

    @property
    def seconds(self) -> float:
        """How long it has taken."""
        return (self.ended or time.monotonic()) - self.began

    def finish(self) -> float:
        """Wait for its end, show what it said, and return its CPU seconds. Raises StageFailed and NotRun."""
        self.waiting.join()
        with self.log.open("rb") as log:
            shutil.copyfileobj(log, sys.stdout.buffer)
        sys.stdout.flush()
        check_status(self.process.returncode, self.stage.command)
        return self.cpu

    def stop(self) -> None:
        """End it, if it has not."""
        if self.waiting.is_alive():
            os.killpg(self.process.pid, signal.SIGINT)
            self.waiting.join(SECONDS_TO_STOP)
        if self.waiting.is_alive():
            os.killpg(self.process.pid, signal.SIGKILL)
            self.waiting.join()


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
    """Yield the environment of a stage that needs a host cluster; end the one that we start."""
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


def run_stage(stage: Stage) -> float:
    """Run one stage, with a host cluster where it needs one, and return its CPU seconds."""
    if stage.cluster:
        with host_cluster() as environment:
            return run(stage.command, environment | chosen_core(stage))
    return run(stage.command, dict(os.environ) | chosen_core(stage))


def chosen_core(stage: Stage) -> dict[str, str]:
    """Return the variable that chooses the ansible-core of a stage, if it has one of its own."""
    return {"NESTED_CLUSTERS_CORE": stage.core} if stage.core else {}


def over_budget(stage: Stage, cpu: float, times: float = NAMED_FROM) -> bool:
    """Tell whether a stage has taken more than so many times the CPU seconds that are recorded for it."""
    return stage.cpu is not None and cpu > times * stage.cpu


def check_budget(stage: Stage, cpu: float) -> None:
    """Raise StageFailed for a stage that has taken far more CPU seconds than are recorded for it."""
    if over_budget(stage, cpu, FAILS_FROM):
        raise StageFailed(
            f"it took {cpu:.0f} CPU seconds, more than {FAILS_FROM} times the {stage.cpu:.0f} that "
            "tests/tools/stage_table.py records for it: make it faster, or say there why it takes more"
        )


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
        print(f"Host cluster {' and '.join(CLUSTERS.values())} is started and taken down again (root on Linux).")
        print("With KUBECONFIG set, that cluster is used instead.")
    if {stage.name for stage in stages} >= set(GROUPS["test"]):
        print("On 2 cores: about 40 minutes, and 30 more the first time, for what is then kept in the cache.")
    sys.stdout.flush()


@dataclass
class Report:
    """What the stages have taken so far, by name, and how the last one failed."""

    times: dict[str, float] = field(default_factory=dict)
    cpu: dict[str, float] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    """Stages that this machine cannot run."""
    failure: str = ""

    def line(self, stage: Stage) -> str:
        """Return the result of a stage in words."""
        seconds, cpu = self.times.get(stage.name), self.cpu.get(stage.name)
        if stage.name in self.missing:
            return "not run: no Python for it on this machine (above)"
        if seconds is None:
            return "not run"
        failed = self.failure and stage.name == list(self.times)[-1]
        line = f"{'FAILED' if failed else 'passed':<8} {seconds:6.1f} s"
        if cpu is None:
            return line
        recorded = "" if stage.cpu is None else f" of {stage.cpu:.0f}"
        return f"{line}  {cpu:6.1f} CPU s{recorded}"

    def over(self, stages: list[Stage]) -> list[str]:
        """Return the names of the stages that are over their budgets."""
        return [stage.name for stage in stages if over_budget(stage, self.cpu.get(stage.name, 0))]

    def summarise(self, stages: list[Stage], total: float) -> None:
        """Print the time of each stage, which are over their budgets, and what failed and how to repeat it."""
        print("\n=== summary")
        for stage in stages:
            print(f"  {stage.name:<18} {self.line(stage)}")
        print(f"  {'total':<27} {total:6.1f} s  {sum(self.cpu.values()):6.1f} CPU s")
        if over := self.over(stages):
            print(f"over its budget: {', '.join(over)}")
        if self.failure:
            name = list(self.times)[-1]
            print(f"FAILED: {name}: {self.failure}\nrepeat with: python3 tests/tools/stages.py {name}")
        passed, failed = len(self.times) - len(self.missing) - bool(self.failure), int(bool(self.failure))
        print(f"{passed} passed, {failed} failed, {len(self.missing)} not run", flush=True)


def carry_out(stage: Stage, beside: list[Stage], begun: dict[str, Beside], report: Report) -> None:
    """Begin the stages that run beside a stage, run that, or wait for it where it has been begun, and report."""
    start = time.monotonic()
    try:
        begun.update({other.name: Beside(other) for other in beside})
        report.cpu[stage.name] = begun[stage.name].finish() if stage.name in begun else run_stage(stage)
        check_budget(stage, report.cpu[stage.name])
    except NotRun:
        if stage.core:
            report.missing.append(stage.name)
        else:
            report.failure = "no Python for any ansible-core on this machine (above)"
    except StageFailed as error:
        report.failure = str(error)
    except Interrupted as error:
        report.failure = f"interrupted by {error}"
    report.times[stage.name] = begun[stage.name].seconds if stage.name in begun else time.monotonic() - start
    result = "FAILED" if report.failure else "not run," if stage.name in report.missing else "passed"
    print(f"=== {stage.name}: {result} in {report.times[stage.name]:.1f} s", flush=True)


def main() -> int:
    """Run the stages named on the command line."""
    listen(interrupted)
    stages = select(sys.argv[1:] or ["test"])
    announce(stages)
    report = Report()
    begun: dict[str, Beside] = {}
    began = time.monotonic()
    for stage in stages:
        print(f"\n=== {stage.name}: {stage.about}", flush=True)
        carry_out(stage, [other for other in stages if other.beside == stage.name], begun, report)
        if report.failure:
            break
    listen(signal.SIG_IGN)
    for other in begun.values():
        other.stop()
    report.summarise(stages, time.monotonic() - began)
    return 1 if report.failure else 0


if __name__ == "__main__":
    sys.exit(main())
