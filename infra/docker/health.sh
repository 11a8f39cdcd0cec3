#!/bin/sh
# A health check that runs every few seconds until it passes, and every minute from then on. Docker before 25 knows one interval only, and
# each check costs a tenth of a second of CPU (moby/moby#39102): a check that passes again waits before it ends.
# Usage: health.sh CHECK [SECONDS]. CHECK is a command of the shell; it may take SECONDS (5). With HEALTH_ONCE=1 it never waits;
# HEALTH_WELL names another place for the mark that the last check has passed.
# `pgrep -f` would find this script by its argument: write the pattern's first letter as [x].
well=${HEALTH_WELL:-/dev/shm/well} # gone with the container's start, and always writable

limit=$(command -v timeout) || limit=
code=0
${limit:+"$limit" "${2:-5}"} sh -c "$1" || code=$?
if [ "$code" != 0 ]; then
  rm -f "$well"
  case $code in 124 | 143) echo "no answer within ${2:-5} s" ;; esac
  exit 1
fi
if [ -e "$well" ] && [ -z "${HEALTH_ONCE:-}" ]; then sleep 50; fi
: > "$well"
