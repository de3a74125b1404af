# SPDX-License-Identifier: GPL-3.0-or-later
"""What each stage of the test suite costs: how it is measured, and what is said of one that costs more than before."""

from __future__ import annotations

import configparser
import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

TOOLS = Path(__file__).resolve().parents[3] / "tests/tools"
BUSY = "import time\nwhile time.process_time() < 0.5: pass\n"  # half a CPU second


@pytest.fixture
def stages(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Return the program as a module."""
    monkeypatch.syspath_prepend(str(TOOLS))
    spec = importlib.util.spec_from_file_location("stages", TOOLS / "stages.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)  # dataclasses look it up
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def toolbox_cores() -> set[str]:
    """Return every ansible-core that the collection is tested with."""
    table = configparser.ConfigParser()
    table.read(TOOLS.parent / "cores.ini")
    return set(table.sections())


def stage(stages: ModuleType, program: str = BUSY, name: str = "busy", **options: Any) -> Any:
    return stages.Stage(name, "a test", (sys.executable, "-c", program), **options)


def carried_out(stages: ModuleType, one: Any) -> Any:
    report = stages.Report()
    stages.carry_out(one, [], {}, report)
    return report


@pytest.mark.parametrize(
    ("recorded", "over", "fails"),
    [(None, False, False), (0.6, False, False), (0.42, True, False), (0.2, True, True)],
)
def test_cpu_seconds_over_recorded_ones_are_named_and_fail_from_half_more_on(
    stages: ModuleType, recorded: float | None, over: bool, fails: bool
) -> None:
    one = stage(stages, cpu=recorded)
    assert stages.over_budget(one, 0.5) == over
    if fails:
        with pytest.raises(stages.StageFailed, match=r"took 0 CPU seconds, more than 1\.5 times"):
            stages.check_budget(one, 0.5)
    else:
        stages.check_budget(one, 0.5)


def test_cpu_seconds_of_a_stage_include_those_of_its_children(stages: ModuleType) -> None:
    """Those that it waits for; what earlier stages took does not count."""
    nested = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {BUSY!r}], check=True)\n"
    for program in (BUSY, nested):
        report = carried_out(stages, stage(stages, program))
        assert 0.5 <= report.cpu["busy"] < 2
        assert report.times["busy"] > 0
        assert not report.failure


def test_cpu_seconds_of_a_stage_beside_are_its_own(
    stages: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(stages, "REPOSITORY", tmp_path)
    first, other = stage(stages, "pass", "first"), stage(stages, f"{BUSY}print('said')", "other", beside="first")
    report, begun = stages.Report(), dict[str, Any]()
    stages.carry_out(first, [other], begun, report)
    stages.carry_out(other, [], begun, report)
    assert report.cpu["first"] < 0.4
    assert report.cpu["other"] >= 0.5
    assert "said" in capfd.readouterr().out


def test_stage_beside_that_still_runs_is_stopped(
    stages: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stages, "REPOSITORY", tmp_path)
    running = stages.Beside(stage(stages, "import time; time.sleep(300)"))
    running.stop()
    assert running.process.returncode
    with pytest.raises(ProcessLookupError):
        os.kill(running.process.pid, 0)


def test_failed_stage_says_its_status_and_how_to_repeat_it(
    stages: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    one = stage(stages, "raise SystemExit(3)")
    report = carried_out(stages, one)
    assert "exit status 3" in report.failure
    report.summarise([one], 1)
    said = capsys.readouterr().out
    assert "repeat with: python3 tests/tools/stages.py busy" in said
    assert "0 passed, 1 failed, 0 not run" in said


def test_stage_without_a_python_is_counted_as_not_run(
    stages: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    program = f"import os\nassert os.environ['NESTED_CLUSTERS_CORE'] == '2.99'\nraise SystemExit({stages.NOT_RUN})"
    one = stage(stages, program, core="2.99")
    report = carried_out(stages, one)
    assert not report.failure
    report.summarise([one], 1)
    said = capsys.readouterr().out
    assert "busy               not run: no Python for it" in said
    assert "0 passed, 0 failed, 1 not run" in said


def test_stages_without_any_python_fail(stages: ModuleType) -> None:
    report = carried_out(stages, stage(stages, f"raise SystemExit({stages.NOT_RUN})"))
    assert "no Python for any ansible-core" in report.failure


def test_summary_names_stages_over_budget(stages: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    all_stages = [stage(stages, name=name, cpu=cpu) for name, cpu in (("a", 10.0), ("b", 10.0), ("c", None))]
    report = stages.Report({"a": 5, "b": 5, "c": 5}, {"a": 10.5, "b": 12, "c": 90})
    report.summarise([*all_stages, stage(stages, name="d", cpu=1)], 15)
    said = capsys.readouterr().out
    assert "over its budget: b\n" in said
    assert "12.0 CPU s of 10\n" in said
    assert "90.0 CPU s\n" in said
    assert "not run" in said
    assert "3 passed, 0 failed, 0 not run" in said


def test_stage_far_over_budget_fails(stages: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    one = stage(stages, cpu=0.2)
    report = carried_out(stages, one)
    assert "more than 1.5 times" in report.failure
    report.summarise([one], 1)
    said = capsys.readouterr().out
    assert "over its budget: busy" in said
    assert "FAILED: busy: it took" in said


def test_check_is_part_of_test_and_needs_no_host_cluster(stages: ModuleType) -> None:
    assert set(stages.GROUPS["check"]) < set(stages.GROUPS["test"])
    assert not [one.name for one in stages.select(["check"]) if one.cluster or one.ours]


def test_stages_that_run_pytest_print_the_slowest(stages: ModuleType) -> None:
    for name in ("unit", "api", "real"):
        (one,) = stages.select([name])
        assert "--durations=15" in one.command


def test_stages_of_faults_name_files_that_are_there(stages: ModuleType) -> None:
    """Tests move from one tier to the other; pytest is told their files."""
    chosen = stages.select(["faults"])
    files = [word for one in chosen for word in one.command if word.endswith(".py")]
    assert {Path(file).parent.name for file in files} == {"api", "real"}
    assert [file for file in files if not (TOOLS.parents[1] / file).exists()] == []
    assert sum(one.cluster for one in chosen) == 1, "host clusters are started once"


def test_stages_of_other_cores_cover_what_each_has_to_show(stages: ModuleType, toolbox_cores: set[str]) -> None:
    """In short with everything else, in full by their own group."""
    others = toolbox_cores - {"2.21"}

    def of(group: str) -> dict[str, set[str]]:
        chosen = stages.select([group])
        return {core: {one.name.partition("-")[0] for one in chosen if one.core == core} for core in others}

    assert of("test") == {core: {"sample"} for core in others}
    full = {core: {"unit", "playbooks"} for core in others} | {"2.16": {"unit", "sanity", "api"}}
    assert of("cores") == full
    # The whole tier, and so each module and each playbook.
    (whole,) = stages.select(["api-2.16"])
    assert "tests/api" in whole.command
    assert not [word for word in whole.command if word.startswith(("--ignore", "--deselect", "-k"))]
    (default,) = stages.select(["playbooks"])
    assert default.core == ""
    assert "playbooks" in stages.GROUPS["test"]
