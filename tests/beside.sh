#!/usr/bin/env bash
# Runs a command beside processes that compute all the time. Usage: tests/beside.sh COUNT COMMAND…
# The exit code is the command's. The processes end with this one, whatever ends it.
set -euo pipefail

count=$1
shift
started=()
end() { [ ${#started[@]} -eq 0 ] || kill "${started[@]}" 2>/dev/null || true; }
trap end EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
for ((n = 0; n < count; ++n)); do
  bash -c 'while kill -0 "$1" 2>/dev/null; do for ((i = 0; i < 100000; ++i)); do :; done; done' busy $$ </dev/null >/dev/null 2>&1 &
  started+=($!)
done
# In the background, so that a signal is answered at once; there INT is ignored unless it is said otherwise.
(trap - INT && exec "$@") <&0 &
started+=($!)
status=0
wait $! || status=$?
exit $status
