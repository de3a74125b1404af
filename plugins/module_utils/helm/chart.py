# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where vCluster's chart comes from, and whether a chart is vCluster's."""

from __future__ import annotations

import os
import re
import tarfile
from dataclasses import dataclass, replace
from typing import Any

from ..common import yaml_io
from ..common.errors import OptionError

_VERSION = "{version}"
_DISTRIBUTIONS = ("", "-k8s", "-k0s", "-eks")  # source: charts/*/Chart.yaml of vCluster 0.19


@dataclass(frozen=True)
class Chart:
    """Where the chart comes from: a name in ``repository``, or a path or oci:// reference in ``reference``.

    ``{version}`` in a reference stands for the version, so that several of them can be meant.
    """

    reference: str
    repository: str
    version: str | None

    def of(self, version: str) -> Chart:
        """Return the chart of one version."""
        return replace(self, reference=self.reference.replace(_VERSION, version), version=version)

    @property
    def versioned(self) -> bool:
        """Return whether the reference means another chart for each version."""
        return _VERSION in self.reference

    @property
    def local(self) -> bool:
        """Return whether it is a path: a bare name is looked up in the repository, whatever lies in this directory."""
        return not self.reference.startswith("oci://") and (
            "/" in self.reference or self.reference.endswith((".tgz", ".tar.gz"))
        )

    @property
    def path(self) -> str:
        return os.path.abspath(os.path.expanduser(self.reference))

    def own_version(self) -> str:
        """Return the version in the Chart.yaml of a local chart. Raises OptionError when it is no chart of vCluster."""
        try:
            data = self._read_metadata()
            if not is_vcluster(data["name"]):
                raise ValueError(f"it is chart {data['name']}")
            return str(data["version"])
        except (OSError, tarfile.TarError, yaml_io.YAMLError, KeyError, TypeError, ValueError) as error:
            raise OptionError(
                "chart_ref",
                self.reference,
                "vCluster's chart, as a name, directory, .tgz or oci:// reference",
                reason=str(error),
            ) from error

    def _read_metadata(self) -> Any:
        if os.path.isdir(self.path):
            with open(os.path.join(self.path, "Chart.yaml"), "rb") as file:
                return yaml_io.load(file)
        with tarfile.open(self.path) as archive:
            for member in archive:
                if member.name.count("/") == 1 and member.name.endswith("/Chart.yaml"):
                    return yaml_io.load(archive.extractfile(member) or b"")
        raise ValueError("it holds no Chart.yaml")

    def arguments(self) -> list[str]:
        if self.local:  # a directory or a .tgz has one version, its own
            return [self.path]
        version = ["--version", self.version] if self.version else []
        if self.reference.startswith("oci://"):
            return [self.reference, *version]
        return [self.reference, "--repo", self.repository, *version]


# Until 0.19 there was one a distribution, and the same once more for the platform.
_CHARTS = frozenset(f"vcluster{pro}{distribution}" for pro in ("", "-pro") for distribution in _DISTRIBUTIONS)
_CHART_LABEL = re.compile(r"(?P<name>.+?)-v?\d+\.\d+\.\d+.*")


def is_vcluster(chart: str) -> bool:
    """Return whether a chart of this name is vCluster's. Those of the platform, such as vcluster-platform, are not."""
    return chart in _CHARTS


def is_label_of_vcluster(label: str) -> bool:
    """Return whether the label ``chart`` of an object, NAME-VERSION, is one that vCluster's chart writes."""
    match = _CHART_LABEL.fullmatch(label)
    return is_vcluster(match["name"] if match else label)
