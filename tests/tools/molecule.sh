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
export PATH METALLB_CHART GATEWAY_API_CRDS
exec molecule "$@"
