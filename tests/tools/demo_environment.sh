#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# The demo without a host cluster of yours: examples/environment.yml on two that are started on this machine (root on
# Linux), up to a request that reaches a workload by its own name. `demo_environment.sh remove` takes it all away.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

directory=$PWD/build/demo-environment
host_cluster=(tests/host_cluster/host-cluster)
declare -A members=([a]=nested-demo [b]=nested-demo-b)
started=$SECONDS

# There is no inventory, and there needs to be none.
export ANSIBLE_LOCALHOST_WARNING=false ANSIBLE_INVENTORY_UNPARSED_WARNING=false

say() { printf '\n\033[1m== %s (%d s)\033[0m\n' "$*" $((SECONDS - started)); }

background() { # NAME PROGRAM ARGUMENTS: one process of that name
    start-stop-daemon --start --background --make-pidfile --pidfile "$directory/$1.pid" --output "$directory/$1.log" \
        --exec "$2" -- "${@:3}"
}
end() { # what an earlier demo left in the background
    for file in "$directory"/*.pid; do
        [[ -e $file ]] || continue
        start-stop-daemon --stop --quiet --oknodo --retry 5 --remove-pidfile --pidfile "$file" \
            --exec "$(cat "${file%.pid}.program")"
    done
}

if [[ ${1:-} == remove ]]; then
    echo "Taking down the two host clusters of the demo, with all that is on them."
    end
    for name in "${members[@]}"; do "${host_cluster[@]}" down --name "$name"; done
    rm -rf "$directory"
    exit
fi

cat <<TEXT
This makes an environment with ansible-playbook, from examples/environment.yml: two host clusters, a group with ingress
and wildcard DNS, three virtual clusters, one of them paused. A workload in one of them then answers to its own name.
The host clusters are started on this machine, which needs root and Linux. With KUBECONFIG set, the demo uses that one
for a single virtual cluster instead.
A machine that has run it before needs a minute and a half, if it is not busy. The first time, the tools are installed
(1 minute) and the host clusters are built from source (about 20 minutes on 2 cores).
TEXT

say "Ansible and the collection"
. tests/tools/env.sh
# What only roles need is not laid out beside the collection, but taken from where the tools are.
tools=$(dirname "$ANSIBLE_PYTHON_INTERPRETER")
ANSIBLE_COLLECTIONS_PATH=$ANSIBLE_COLLECTIONS_PATH:$(dirname "$tools") # it is exported
end
mkdir -p "$directory"

say "Two host clusters"
declare -A address
for one in a b; do
    file=$("${host_cluster[@]}" up --name "${members[$one]}")
    address[$one]=$("${host_cluster[@]}" status --name "${members[$one]}" --json |
        python3 -c 'import json, sys; print(json.load(sys.stdin)[0]["gateway"])')
    cp "$file" "$directory/$one.kubeconfig"
done
PATH="$("${host_cluster[@]}" bin-dir):$PATH"
for one in a b; do
    KUBECONFIG=$directory/$one.kubeconfig kubectl config rename-context "${members[$one]}" "$one"
done
export KUBECONFIG=$directory/kubeconfig
KUBECONFIG=$directory/a.kubeconfig:$directory/b.kubeconfig kubectl config view --flatten >"$directory/merged"
mv "$directory/merged" "$KUBECONFIG"
chmod 0600 "$directory"/*kubeconfig

say "What they have before: an ingress controller each, and a DNS server"
for one in a b; do
    kubectl --context "$one" apply -f tests/tools/demo-ingress-class.yml
    program=$tools/traefik
    echo "$program" >"$directory/traefik-$one.program"
    KUBECONFIG=$directory/$one.kubeconfig background "traefik-$one" "$program" \
        --entrypoints.web.address="${address[$one]}:80" --entrypoints.websecure.address="${address[$one]}:443" \
        --providers.kubernetesingressnginx --providers.kubernetesingressnginx.publishstatusaddress="${address[$one]}"
done
(cd tests/host_cluster && python3 -c "from packages import ensure_packages; ensure_packages({'bind9': ['named']})")
cat >"$directory/example.com.zone" <<'ZONE'
$TTL 60
@ IN SOA ns hostmaster 1 60 60 60 0
@ IN NS ns
ns IN A 127.0.0.1
ZONE
rm -f "$directory"/*.jnl
cat >"$directory/named.conf" <<CONF
options {
  directory "$directory";
  pid-file none;
  session-keyfile none;
  listen-on { ${address[a]}; };
  listen-on-v6 { none; };
  recursion no;
  dnssec-validation no;
};
controls { };
zone "example.com" { type primary; file "example.com.zone"; allow-update { localhost; }; };
CONF
program=$(PATH=$PATH:/usr/sbin command -v named)
echo "$program" >"$directory/named.program"
background named "$program" -g -c "$directory/named.conf"

# Only what the demo starts asks that DNS server: it sees another /etc/resolv.conf.
echo "nameserver ${address[a]}" >"$directory/resolv.conf"
cat >"$directory/there" <<THERE
#!/bin/sh
# Run a command where the names of the demo resolve: $directory/there COMMAND
export PATH="$PATH" KUBECONFIG="$KUBECONFIG"
exec unshare --mount sh -c 'mount --bind "$directory/resolv.conf" /etc/resolv.conf && exec "\$@"' sh "\$@"
THERE
chmod 0700 "$directory/there"

environment=(
    "$directory/there" ansible-playbook nested.clusters.environment -e environment_file=examples/environment.yml
    -e dns_server="${address[a]}" -e address_a="${address[a]}" -e address_b="${address[b]}"
    -e kubeconfigs="$directory/kubeconfigs" -e chart="$("${host_cluster[@]}" chart)"
)
say "The environment, from one file"
"${environment[@]}"

say "A workload in virtual cluster team-a, through its own kubeconfig and URL"
inside() { "$directory/there" kubectl --kubeconfig "$directory/kubeconfigs/team-a.kubeconfig" "$@"; }
server=$(inside config view --output 'jsonpath={.clusters[0].cluster.server}')
name=hello.${server#https://*.}
inside cluster-info
inside apply -f tests/tools/demo-workload.yml
inside apply -f - <<WORKLOAD
apiVersion: v1
kind: Service
metadata: {name: hello, namespace: demo}
spec:
  selector: {app: hello}
  ports: [{port: 80, targetPort: 8080}]
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: hello, namespace: demo}
spec:
  ingressClassName: nginx
  rules:
    - host: $name
      http:
        paths:
          - {path: /, pathType: Prefix, backend: {service: {name: hello, port: {number: 80}}}}
WORKLOAD
inside --namespace demo rollout status deployment/hello --timeout=120s
inside get namespaces,pods --all-namespaces

say "A request to http://$name"
"$directory/there" "$tools/python" tests/tools/demo_request.py "http://$name/"

say "The same file once more changes nothing"
"${environment[@]}" | tee "$directory/again.log" | sed -n '/PLAY RECAP/,$p'
if grep -q 'changed=[1-9]' "$directory/again.log"; then
    echo "It did change something: see $directory/again.log" >&2
    exit 1
fi

say "What there is"
"$directory/there" ansible-playbook nested.clusters.report -e group=dev \
    -e '{"host_clusters": [{"name": "host-a", "context": "a"}, {"name": "host-b", "context": "b"}]}' |
    sed -n '/^ok: .*item=/,/^}/p'

say "Done"
cat <<TEXT
Look around:
  $directory/there kubectl --kubeconfig $directory/kubeconfigs/team-a.kubeconfig get pods --all-namespaces
  $directory/there kubectl --context a get pods --all-namespaces
Remove it all again:
  make demo-remove
TEXT
