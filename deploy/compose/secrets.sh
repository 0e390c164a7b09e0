#!/usr/bin/env bash
# Makes a random password for each service of compose.yaml, and a token for healthd, unless there is one already.
set -euo pipefail
cd "$(dirname "$0")"
install --directory --mode=0700 secrets # who may enter is decided here; in the containers others must read the files
for name in postgresql_password redis_password grafana_password healthd_token; do
  [[ -e secrets/$name ]] && continue
  head --bytes=24 /dev/urandom | base64 | tr '+/' '-_' | tr --delete '\n' > "secrets/$name"
  chmod 0444 "secrets/$name"
done
rm --force secrets/healthd_token_hash
printf 'sha256:%s' "$(sha256sum < secrets/healthd_token | cut --delimiter=' ' --fields=1)" > secrets/healthd_token_hash
chmod 0444 secrets/healthd_token_hash
