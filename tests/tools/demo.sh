#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# From a bare machine to virtual clusters before your eyes: one on the host cluster of KUBECONFIG; without that, an
# environment of three on two host clusters of its own. `demo.sh remove` takes away what it made.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
[[ -n ${KUBECONFIG:-} ]] || exec tests/tools/demo_environment.sh "$@"

name=demo
namespace=vcluster-$name
directory=build/demo
kubeconfig=$PWD/$directory/kubeconfig
started=$SECONDS

# There is no inventory, and there needs to be none.
export ANSIBLE_LOCALHOST_WARNING=false ANSIBLE_INVENTORY_UNPARSED_WARNING=false

say() { printf '\n\033[1m== %s (%d s)\033[0m\n' "$*" $((SECONDS - started)); }

where="the host cluster of KUBECONFIG=$KUBECONFIG"
chart=${NESTED_CLUSTERS_CHART:-vcluster} # a name in the official repository, or a path

if [[ ${1:-} == remove ]]; then
    echo "Removing virtual cluster $name from $where."
    . tests/tools/env.sh
    ansible-playbook tests/tools/demo.yml -e demo_name="$name" -e demo_state=absent
    rm -rf "$directory"
    exit
fi

cat <<TEXT
This creates virtual cluster "$name" with ansible-playbook, runs a small workload in it, and shows it from inside.
It uses $where.
A machine that has run it before needs about half a minute. The first time, the tools are installed (1 minute).
TEXT

say "Ansible and the collection"
. tests/tools/env.sh
mkdir -p "$directory"

for program in kubectl helm; do
    command -v "$program" >/dev/null || { echo "$program is missing on the PATH" >&2; exit 1; }
done

port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')

say "Virtual cluster $name"
ansible-playbook tests/tools/demo.yml -e demo_name="$name" -e demo_kubeconfig="$kubeconfig" \
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
