# SPDX-License-Identifier: GPL-3.0-or-later
"""A control plane whose container cannot start: waiting ends early, with the reason, and the way on."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from host_api import Host
from modules import Module
from places import Place
from troubles import TROUBLES, check_corrected, check_fails_early

pytestmark = pytest.mark.fault("what cannot become ready, and an API server that restarts")


@pytest.mark.long
@pytest.mark.parametrize("word", ["image", "crash"])
def test_task_corrected_after_container_failure_goes_on(
    host: Host, vcluster: Module, new: Callable[..., Place], word: str
) -> None:
    """Waiting ends early; with the cause removed, the same virtual cluster becomes ready, and stays unchanged."""
    where = new(word)
    check_fails_early(host, vcluster, where, TROUBLES[word])
    check_corrected(host, vcluster, where, TROUBLES[word])
