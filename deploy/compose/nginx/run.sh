#!/bin/sh
# Runs NGINX, and reloads it when the switch is turned: healthd writes the file from another container, where it can
# neither check nor signal. What NGINX refuses is said and left out; the one before goes on.
#
#   run.sh CONFIGURATION SWITCH
set -eu
configuration=$1 switch=$2
seen=$(cksum "$switch")
nginx -c "$configuration" -g 'daemon off;' &
pid=$!
trap 'kill -QUIT "$pid"' TERM INT
while kill -0 "$pid" 2>/dev/null; do
  sleep 1 &
  wait $! || true
  now=$(cksum "$switch")
  if [ "$now" != "$seen" ]; then
    seen=$now
    if nginx -t -q -c "$configuration"; then
      kill -HUP "$pid"
    else
      echo "$switch is refused: the traffic stays where it is" >&2
    fi
  fi
done
wait "$pid"
