#!/bin/sh
# A health check that runs every few seconds until it passes, and every half minute from then on. Docker before 25 knows one interval only, and
# each check costs a tenth of a second of CPU (moby/moby#39102): a check that passes again waits before it ends.
# Usage: health.sh CHECK [SECONDS]. CHECK is a command of the shell; it may take SECONDS (5).
# `pgrep -f` would find this script by its argument: write the pattern's first letter as [x].
well=/dev/shm/well # gone with the container's start, and always writable

limit=$(command -v timeout) || limit=
if ! ${limit:+"$limit" "${2:-5}"} sh -c "$1"; then
  rm -f "$well"
  exit 1
fi
if [ -e "$well" ]; then sleep 25; fi
: > "$well"
