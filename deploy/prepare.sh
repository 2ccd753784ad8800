#!/bin/sh
# Makes what `docker compose up` mounts, once: a NATS seed per role and market,
# the accounts file with their public keys, and a secret per site for its
# agent's tool calls. Existing keys and secrets stay as they are.
set -eu
cd "$(dirname "$0")/.."
state=deploy/state
mkdir -p "$state/nats" "$state/sites"
bin/leadbus nats-config --nats-keys "$state/nats" >"$state/accounts.conf"
for domain in $(bin/leadbus config check --domains); do
  file="$state/sites/$domain"
  [ -s "$file" ] || (umask 077 && od -An -N24 -tx1 /dev/urandom | tr -d ' \n' >"$file")
done
[ -s "$state/postgres-password" ] || (umask 077 && od -An -N16 -tx1 /dev/urandom | tr -d ' \n' >"$state/postgres-password")
for env in host production; do
  [ -e "deploy/$env.env" ] || cp "deploy/$env.example.env" "deploy/$env.env"
done
echo "keys and secrets are in $state; fill in deploy/host.env and deploy/production.env, then: docker compose up -d"
