#!/bin/sh
# Makes what `docker compose up` mounts, once: a NATS seed per role and market,
# the accounts file with their public keys, a secret per site for its agent's
# tool calls, and the secret of owners' links. Existing keys and secrets stay as
# they are.
set -eu
cd "$(dirname "$0")/.."
state=deploy/state
mkdir -p "$state/nats" "$state/sites" "$state/trackers"
bin/leadbus nats-config --nats-keys "$state/nats" >"$state/accounts.conf"
for domain in $(bin/leadbus config check --domains); do
  file="$state/sites/$domain"
  [ -s "$file" ] || (umask 077 && od -An -N24 -tx1 /dev/urandom | tr -d ' \n' >"$file")
done
[ -s "$state/postgres-password" ] || (umask 077 && od -An -N16 -tx1 /dev/urandom | tr -d ' \n' >"$state/postgres-password")
[ -e deploy/production.env ] || (umask 077 && sed "s/^LEADBUS_LINK_SECRET=\$/&$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n')/" deploy/production.example.env >deploy/production.env)
[ -e deploy/host.env ] || cp deploy/host.example.env deploy/host.env
echo "keys and secrets are in $state; fill in deploy/host.env and deploy/production.env, then: docker compose up -d"
