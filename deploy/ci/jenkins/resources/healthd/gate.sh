#!/usr/bin/env bash
# A gate with nothing but curl: for a pipeline that cannot install healthd's command. Starts the gate, or joins the one
# of the same key, waits for its verdict, and leaves the gate's JSON in verdict.json.
#
#   HEALTHD_URL=… HEALTHD_TOKEN=… gate.sh SERVICE VERSION KEY [POLICY]
#
# Exit codes as of `healthd gate verify`: 0 passed, 1 failed, 2 inconclusive or cancelled, 3 could not ask. Only 0
# promotes. LOCK names the holder of the deploy lock; TARGET where the version runs; BASELINE and BASELINE_TARGET the
# version that it is compared with, and that a rollback goes to; VERDICT another file; RETRY_FOR for how many seconds a
# daemon that does not answer is asked again.
set -euo pipefail
trap 'exit 3' ERR # a fault of this script is no verdict

service=${1:-} version=${2:-} key=${3:-} policy=${4:-}
target=${TARGET:-} baseline=${BASELINE:-} baseline_target=${BASELINE_TARGET:-} lock=${LOCK:-}
verdict=${VERDICT:-verdict.json} retry_for=${RETRY_FOR:-60}
if [[ -z $service || -z $version || -z $key || -z ${HEALTHD_URL:-} ]]; then
  echo "usage: HEALTHD_URL=… HEALTHD_TOKEN=… gate.sh SERVICE VERSION KEY [POLICY]; none of the first three may be empty" >&2
  exit 3
fi
# What goes into JSON needs no escaping then.
for word in "$service" "$version" "$key" "$policy" "$lock" "$target" "$baseline" "$baseline_target"; do
  if [[ ! $word =~ ^[A-Za-z0-9._:/@+~-]{0,128}$ ]]; then
    echo "not a name: $word" >&2
    exit 3
  fi
done
if [[ -n $baseline_target && -z $baseline ]]; then
  echo "BASELINE_TARGET without BASELINE" >&2
  exit 3
fi
member() { [[ -z $2 ]] || printf ', "%s": "%s"' "$1" "$2"; }
request="{\"service\": \"$service\", \"candidate\": {\"version\": \"$version\"$(member target "$target")}"
[[ -z $baseline ]] || request+=", \"baseline\": {\"version\": \"$baseline\"$(member target "$baseline_target")}"
request+="$(member policy "$policy")$(member lock "$lock")}"

# A job of GitHub Actions with `permissions: {id-token: write}` needs no token of its own: GitHub gives it one, for five
# minutes, which healthd accepts where auth.identities says so.
bearer() {
  if [[ -n ${HEALTHD_TOKEN:-} || -z ${ACTIONS_ID_TOKEN_REQUEST_URL:-} ]]; then
    printf '%s' "${HEALTHD_TOKEN:-}"
    return
  fi
  curl --silent --show-error --max-time 15 \
    --config <(printf 'header = "Authorization: Bearer %s"\n' "${ACTIONS_ID_TOKEN_REQUEST_TOKEN:-}") \
    "$ACTIONS_ID_TOKEN_REQUEST_URL&audience=${HEALTHD_AUDIENCE:-$HEALTHD_URL}" |
    sed -n 's/.*"value": *"\([A-Za-z0-9._-]*\)".*/\1/p'
}

ask() { # the token goes through a file descriptor: arguments are for every process on the host to read
  local token
  token=$(bearer)
  curl --silent --show-error --max-time 40 --output "$verdict" --write-out '%{http_code}' \
    --config <([[ -z $token ]] || printf 'header = "Authorization: Bearer %s"\n' "$token") \
    --header "Idempotency-Key: $key" --header 'Content-Type: application/json' \
    --data "$request" "$HEALTHD_URL/gates/verify?wait=25s"
}

silent_since=$SECONDS
while true; do
  status=$(ask) || status=000
  case $status in
    200) echo "passed" && exit 0 ;;
    412) break ;;
    202) silent_since=$SECONDS ;; # it still runs: the same key joins it again
    000 | 429 | 502 | 503 | 504)
      if ((SECONDS - silent_since >= retry_for)); then
        echo "healthd could not be asked: $status" >&2
        exit 3
      fi
      sleep 2
      ;;
    *)
      echo "healthd refused: $status $(cat "$verdict")" >&2
      exit 3
      ;;
  esac
done
# The first of its kind is the gate's own. What was not decided, but is rolled back, has failed.
gate=$(<"$verdict")
if [[ ! $gate =~ \"verdict\":\ ?\"(inconclusive|cancelled)\" || $gate =~ \"rollback\":\ ?\{ ]]; then
  echo "failed" && exit 1
fi
echo "inconclusive or cancelled"
exit 2
