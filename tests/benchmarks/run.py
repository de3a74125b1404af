# SPDX-License-Identifier: GPL-3.0-or-later
"""Measure the collection against its peers, in one run on one machine; limits are ratios.

Run it with `make bench`. PARTS names some of the parts: make bench PARTS="unchanged info". BASE names a commit of this
repository, with which each part is measured first, on the same host cluster and with the same ansible-core.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time

import base
import create
import environment
import group_create
import group_info
import info
import resume
import state
import unchanged
from host import NAME, REPOSITORY, SECOND_NAME, Interrupted, host
from report import BenchError, Result, save, table

TARGET = REPOSITORY / "build/bench.json"
PARTS = {
    part.__name__: part for part in (unchanged, create, group_create, environment, state, resume, info, group_info)
}


def announce() -> None:
    """Say what is about to happen."""
    print("Measures tasks of nested.clusters against their peers, for about 40 minutes on 2 cores:")
    print("  unchanged  a task with nothing to do, against kubernetes.core.helm and kubernetes.core.k8s")
    print("  create     until the virtual cluster's API answers, against helm --wait")
    print("  group_create  100 (fake) virtual clusters in a group by one task, against helm 100 times")
    print("  environment  100 (fake) virtual clusters on two host clusters, unchanged, against loops of others")
    print("  state      200 (fake) virtual clusters paused and resumed, against API calls and `vcluster pause`")
    print("  resume     until the virtual cluster's API answers, against `vcluster resume`")
    print("  info       1 and 1,000 (fake) virtual clusters, against a raw LIST and `vcluster list`")
    print("  group_info 1,000 (fake) virtual clusters of a group of two host clusters, against a raw LIST of each")
    if own := os.environ.get("KUBECONFIG"):
        print(f"On the host cluster of KUBECONFIG={own}.")
        print("Namespaces and nodes named nested-bench-* are made there, and removed at the end.")
    else:
        print(f"On a host cluster named {NAME}, started and taken down again (root on Linux).")
        print("With KUBECONFIG set, that cluster is used instead.")
    print(
        f"The second host cluster is NESTED_CLUSTERS_SECOND_KUBECONFIG's, or one named {SECOND_NAME}, in the same way."
    )
    sys.stdout.flush()


def chosen() -> list[str]:
    """Return the parts that NESTED_CLUSTERS_BENCH_PARTS names, or all. Raises BenchError for an unknown one."""
    names = os.environ.get("NESTED_CLUSTERS_BENCH_PARTS", "").split() or list(PARTS)
    if unknown := [name for name in names if name not in PARTS]:
        raise BenchError(f"there is no part {unknown[0]}; the parts are {', '.join(PARTS)}")
    return names


def measure(results: list[Result]) -> None:
    """Measure the parts in order; results are added as soon as they are there."""
    names = chosen()
    commit = os.environ.get("NESTED_CLUSTERS_BENCH_BASE")
    with contextlib.ExitStack() as stack:
        compared = stack.enter_context(base.checkout(commit)) if commit else None
        found = stack.enter_context(host())
        for name in names:
            part = PARTS[name].measure
            measured = compared.compare(part, found) if compared else part(found)
            print(table(measured), flush=True)
            results += measured


def main() -> int:
    """Measure, print, save; 1 if a limit is exceeded or not everything could be measured."""
    announce()
    start = time.monotonic()
    results: list[Result] = []
    failure = ""
    try:
        measure(results)
    except (BenchError, OSError) as error:
        failure = str(error)
    except Interrupted as error:
        failure = f"interrupted by {error}"
    save(results, TARGET)
    if results:
        print(f"\n{table(results)}\n")
    over = [result.name for result in results if result.verdict == "over"]
    print(f"{len(results) - len(over)} ok, {len(over)} over, in {time.monotonic() - start:.0f} s; {TARGET}")
    if failure:
        print(f"bench: not everything was measured: {failure}", file=sys.stderr)
    return 1 if over or failure else 0


if __name__ == "__main__":
    sys.exit(main())
