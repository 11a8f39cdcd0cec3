#!/bin/sh
# Keeps Loki's files below LOKI_MAX_MB, which Loki itself knows no setting for: while they are larger it asks Loki to delete the oldest day that
# it has, and of today what is older than an hour. Loki takes the lines out of its index before their files, so that no query misses what is left.
# It needs: /loki to read, LOKI_URL, LOKI_MAX_MB. SWEEP_INTERVAL: seconds between two looks; SWEEP_PAUSE: seconds that Loki may take to delete;
# SWEEP_KEEP: seconds that are never asked for.
set -u
pause=${SWEEP_PAUSE:-2700} keep=${SWEEP_KEEP:-3600} next=0

say() { echo "level=$1 msg=\"$2\""; }

# a table of the index is a day: its number since 1970
oldest_day() {
  for table in /loki/chunks/index/index_*; do
    day=${table##*_}
    case $day in '' | *[!0-9]*) ;; *) echo "$day" ;; esac
  done | sort -n | head -n 1
}

sweep() {
  now=$(date +%s) day=$(oldest_day)
  start=$((${day:-0} * 86400))
  # until midnight, and not a second before: a line that is left would keep the day
  end=$((start + 86400))
  if [ $end -gt $((now - keep)) ]; then end=$((now - keep)); fi
  if [ -z "$day" ] || [ $end -le $start ]; then
    say error "$used MB of $LOKI_MAX_MB: nothing is old enough to be deleted"
    return 0
  fi
  # {application=~".+"}
  if wget -qO- -T 30 --post-data= "$LOKI_URL/loki/api/v1/delete?query=%7Bapplication%3D~%22.%2B%22%7D&start=$start&end=$end"; then
    say warn "$used MB of $LOKI_MAX_MB: deleted from day $day up to $end"
    next=$((now + pause))
  else
    say error "$used MB of $LOKI_MAX_MB: Loki did not take the request to delete"
  fi
}

say info "the logs may take $LOKI_MAX_MB MB"
while :; do
  used=$(du -sm /loki 2>/dev/null | cut -f1)
  if [ "${used:-0}" -gt "$LOKI_MAX_MB" ] && [ "$(date +%s)" -ge $next ]; then sweep; fi
  # for the health check
  : > /tmp/looked
  sleep "${SWEEP_INTERVAL:-60}"
done
