#!/bin/sh
# Puts the content of a backup into /volume, step by step: prepare (unpacks and verifies it beside the old), swap (by renames), finish, drop.
# .kgc-phase says how far the backup ID has come, so that any step can be done again. What was there before stays in .kgc-before-restore.
set -eu
export LC_ALL=C
new=/volume/.kgc-restore old=/volume/.kgc-before-restore phase=/volume/.kgc-phase
read_phase() { if [ -f "$phase" ]; then cat "$phase"; fi; }
write_phase() { echo "$1 $ID" >"$phase.new" && mv "$phase.new" "$phase"; }
# the entries of a folder but those of a restore, moved with another ending
move_all() {
  for one in "$1"/* "$1"/.[!.]* "$1"/..?*; do
    name=${one##*/}
    case $name in .kgc-phase* | .kgc-restore | .kgc-before-restore) continue ;; esac
    # a link that leads nowhere is there all the same
    if [ -e "$one" ] || [ -L "$one" ]; then mv "$one" "$2/$name$3"; fi
  done
}

case $1 in
  state)
    if [ -f "$phase" ]; then read_phase; elif [ -d "$old" ]; then echo kept; elif [ -z "$(ls -A /volume)" ]; then echo empty; else echo full; fi
    ;;
  prepare)
    case $(read_phase) in "out $ID" | "in $ID" | "done $ID") exit 0 ;; esac
    rm -rf "$new"
    mkdir "$new"
    if [ -f "/backup/$VOLUME/tar" ]; then
      tar --numeric-owner -xpf "/backup/$VOLUME/tar" -C "$new"
      (cd "$new" && find . -type f -print0 | sort -z | xargs -0 -r sha256sum) | cmp - "/backup/$VOLUME/files" >&2
    else
      chown "$(stat -c %u:%g /volume)" "$new"
      chmod "$(stat -c %a /volume)" "$new"
    fi
    sync
    write_phase ready
    ;;
  swap)
    case $(read_phase) in "ready $ID") write_phase out ;; esac
    case $(read_phase) in "out $ID")
      # a folder of its own owner: the application does not see into it, and Traefik reads no file with this ending
      mkdir -p "$old"
      chmod 700 "$old"
      move_all /volume "$old" .old
      write_phase in
      ;;
    esac
    case $(read_phase) in "in $ID")
      move_all "$new" /volume ''
      chown "$(stat -c %u:%g "$new")" /volume
      chmod "$(stat -c %a "$new")" /volume
      write_phase 'done'
      ;;
    esac
    ;;
  finish)
    # nothing was there before: nothing is kept
    rm -rf "$new" "$phase"
    if [ -d "$old" ]; then rmdir "$old" 2>/dev/null || true; fi
    ;;
  drop) rm -rf "$old" ;;
esac
