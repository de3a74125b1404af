# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A virtual cluster in a cluster group: decide, reserve, then as any other.

What host clusters say is read first and decided on without a lock, so that a refusal costs nothing. Only who is
about to take more than it has decides once more under the locks of all host clusters, and writes at once: the
namespace with its size is the reservation.
"""

from __future__ import annotations

from functools import partial

from ..common.errors import NestedClustersError
from ..groups import group_lock, group_view
from ..groups.group_view import GroupView
from ..helm.cli import OpenHelmOn
from ..k8s.host_clusters import HostCluster
from ..lifecycle import reconcile
from ..lifecycle.request import Request, RunOptions
from ..virtual_cluster.cluster_state import Outcome
from ..virtual_cluster.membership import AdmissionRequest
from . import reservation
from .complete import complete
from .decision_rules import Decision, PlanOutdated, decide

ATTEMPTS = 50  # each is lost only to somebody who got what was left


# --- doing ------------------------------------------------------------------------------------------------


def present(
    given: list[HostCluster],
    open_helm: OpenHelmOn,
    request: Request,
    admission: AdmissionRequest,
    run: RunOptions,
    first: GroupView | None = None,
) -> tuple[Outcome, Decision, GroupView]:
    """Bring a virtual cluster of a group to what the request, the group and its size say.

    ``first`` is a view that the caller has just read. Raises what ``reconcile.present`` does, AdmissionDenied, and
    OptionError; all of them before anything is changed, except where waiting or Helm fails.
    """
    for attempt in range(ATTEMPTS):
        view = first if first and not attempt else group_view.picture(given, admission.group)
        decision = decide(view, request, admission)
        full = complete(request, view.group, decision, admission.ahead)
        proposal = reservation.Proposal(given, request, admission, view, decision, full, run.patience)
        helm, reserve = partial(open_helm, decision.kubernetes), partial(reservation.reserve_one, proposal)
        try:
            outcome = reconcile.present(decision.kubernetes, helm, full, run, reserve)
        except (PlanOutdated, group_lock.LockLost):
            continue
        return outcome, decision, view
    raise NestedClustersError(
        f"virtual cluster {request.name}: other tasks were faster {ATTEMPTS} times; run the task again"
    )
