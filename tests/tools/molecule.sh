#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Run molecule's scenarios for the roles, on a host cluster of their own: tests/tools/molecule.sh test --all
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
PATH="$(tests/host_cluster/host-cluster bin-dir):$PATH"
METALLB_CHART="$(tests/host_cluster/host-cluster source metallb)"
export HOST_CLUSTER_NAME="${HOST_CLUSTER_NAME:-nested-molecule}"
export K8S_AUTH_KUBECONFIG="${NESTED_CLUSTERS_STATE:-/var/lib/nested-clusters}/$HOST_CLUSTER_NAME/kubeconfig"
GATEWAY_API_CRDS="$(tests/host_cluster/host-cluster source gateway-api)"
# What only roles need is not laid out beside the collection, but taken from where the tools are.
ANSIBLE_COLLECTIONS_PATH="$ANSIBLE_COLLECTIONS_PATH:$(dirname "$(dirname "$ANSIBLE_PYTHON_INTERPRETER")")"
NESTED_CLUSTERS_CHART="$(tests/host_cluster/host-cluster chart)"
# Molecule's own place for this is shared by all checkouts of one directory name.
MOLECULE_EPHEMERAL_DIRECTORY="$PWD/build/molecule/$HOST_CLUSTER_NAME"
export PATH METALLB_CHART GATEWAY_API_CRDS NESTED_CLUSTERS_CHART MOLECULE_EPHEMERAL_DIRECTORY
if [ "${1:-}" = test ]; then
  # A run that was killed leaves its host cluster, or molecule's belief that there is one: a test starts without both.
  tests/host_cluster/host-cluster down --name "$HOST_CLUSTER_NAME"
  rm -rf "$MOLECULE_EPHEMERAL_DIRECTORY"
  # Servers that scenarios start end with this process, which becomes molecule. What `converge` starts goes on for the
  # commands that follow it.
  export MOLECULE_RUN=$$
fi
exec molecule "$@"
