#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# From a bare machine to `kubectl get namespaces` answered by a virtual cluster.
# `demo.sh remove` takes away what it made.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

name=demo
namespace=vcluster-$name
directory=build/demo
kubeconfig=$PWD/$directory/kubeconfig
host_cluster=(tests/host_cluster/host-cluster)
embedded=nested-demo
started=$SECONDS

# There is no inventory, and there needs to be none.
export ANSIBLE_LOCALHOST_WARNING=false ANSIBLE_INVENTORY_UNPARSED_WARNING=false

say() { printf '\n\033[1m== %s (%d s)\033[0m\n' "$*" $((SECONDS - started)); }

if [[ -z ${KUBECONFIG:-} ]]; then
    where="an embedded host cluster, which is started on this machine (needs root and Linux)"
else
    where="the host cluster of KUBECONFIG=$KUBECONFIG"
fi

chart=${NESTED_CLUSTERS_CHART:-vcluster} # a name in the official repository, or a path
use_embedded() { # the tools that were built with it, and its chart where the official repository is out of reach
    PATH="$("${host_cluster[@]}" bin-dir):$PATH"
    chart="$("${host_cluster[@]}" chart)"
}

if [[ ${1:-} == remove ]]; then
    echo "Removing virtual cluster $name from $where."
    if [[ -z ${KUBECONFIG:-} ]]; then
        "${host_cluster[@]}" down --name "$embedded"
    else
        . tests/tools/env.sh
        ansible-playbook playbooks/demo.yml -e demo_name="$name" -e demo_state=absent
    fi
    rm -rf "$directory"
    exit
fi

cat <<TEXT
This creates virtual cluster "$name" with ansible-playbook, runs a small workload in it, and shows it from inside.
It uses $where.
A machine that has run it before needs under two minutes. The first time, the tools are installed (1 minute) and an
embedded host cluster is built from source (about 20 minutes on 2 cores).
TEXT

say "Ansible and the collection"
. tests/tools/env.sh
mkdir -p "$directory"

if [[ -z ${KUBECONFIG:-} ]]; then
    say "Embedded host cluster"
    KUBECONFIG=$("${host_cluster[@]}" up --name "$embedded")
    export KUBECONFIG
    use_embedded
fi
for program in kubectl helm; do
    command -v "$program" >/dev/null || { echo "$program is missing on the PATH" >&2; exit 1; }
done

port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')

say "Virtual cluster $name"
ansible-playbook playbooks/demo.yml -e demo_name="$name" -e demo_kubeconfig="$kubeconfig" \
    -e demo_server="https://localhost:$port" -e demo_chart_ref="$chart"

say "A workload in it, through its own kubeconfig"
kubectl --namespace "$namespace" port-forward "service/$name" "$port:443" >"$directory/port-forward.log" &
forward=$!
trap 'kill $forward 2>/dev/null || true' EXIT
inside() { kubectl --kubeconfig "$kubeconfig" "$@"; }
until inside get --raw /readyz >/dev/null 2>&1; do
    kill -0 $forward || { cat "$directory/port-forward.log" >&2; exit 1; }
    sleep 0.2
done
inside apply -f tests/tools/demo-workload.yml
inside --namespace demo rollout status deployment/hello --timeout=120s

say "Seen from inside"
inside get namespaces,pods --all-namespaces

say "Done"
cat <<TEXT
Look around:
  export PATH=$(dirname "$(command -v kubectl)"):\$PATH
  kubectl --kubeconfig $KUBECONFIG --namespace $namespace port-forward service/$name $port:443 &
  kubectl --kubeconfig $kubeconfig get namespaces
Remove it all again:
  make demo-remove
TEXT
