#!/usr/bin/env bash
# Makes a random password for each service of compose.yaml, unless there is one already.
set -euo pipefail
cd "$(dirname "$0")"
install --directory --mode=0700 secrets # who may enter is decided here; in the containers others must read the files
for name in postgresql_password redis_password grafana_password; do
  [[ -e secrets/$name ]] && continue
  head --bytes=24 /dev/urandom | base64 | tr '+/' '-_' | tr --delete '\n' > "secrets/$name"
  chmod 0444 "secrets/$name"
done
