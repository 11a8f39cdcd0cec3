# For build scripts, to be sourced: where built things are kept, what is told on stderr, and long commands with their output in a log.
# shellcheck shell=bash
export KGC_CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/kgc-stack

say() { echo "  $*" >&2; }

# Runs a long command with its output in a log, and a line every 30 seconds; shows the log's end when it fails. It may take as long as it wants
# while it writes something: KGC_SILENCE seconds (1200) without a new word end it.
quietly() {
  local log=$1 start=$SECONDS moved=$SECONDS size=0 now why='' limit=${KGC_SILENCE:-1200} pid
  shift
  mkdir -p "$(dirname "$log")"
  # a busy machine may take longer than a second to start the command, which would make it
  : > "$log"
  "$@" > "$log" 2>&1 & pid=$!
  # a background command of a script does not hear the terminal's Ctrl-C
  # shellcheck disable=SC2064
  trap "kill $pid 2>/dev/null; exit 130" INT TERM
  while kill -0 $pid 2>/dev/null; do
    sleep 1
    now=$(stat --format %s "$log")
    if (( now != size )); then size=$now moved=$SECONDS; fi
    if (( SECONDS - moved >= limit )); then
      why="it wrote nothing for $limit s and was ended"
      kill $pid
      break
    fi
    if (( SECONDS - start > 0 && (SECONDS - start) % 30 == 0 )); then say "… $((SECONDS - start)) s: $(tail -n 1 "$log" | cut -c1-100)"; fi
  done
  trap - INT TERM
  if ! wait $pid || [ -n "$why" ]; then
    tail -n 20 "$log" >&2
    echo "$(basename "$0"): this failed: $1 $2 $3${why:+: $why}; the whole log: $log" >&2
    exit 6
  fi
}
