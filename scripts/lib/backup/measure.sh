#!/bin/sh
# For the scripts of this folder.

# Prints size and checksum of files in /backup, computed where they lie; `end` says that the list is whole.
measure() {
  for name; do
    printf '%s %s %s\n' "$(sha256sum <"/backup/$name" | cut -d ' ' -f 1)" "$(stat -c %s "/backup/$name")" "$name"
  done
  echo end
}

# Ends where /backup has no room for so many bytes.
require_room() {
  free=$(df -Pk /backup | awk 'END { print $4 * 1024 }')
  if [ "$free" -lt "$1" ]; then
    echo "no room: the engine has $free bytes free, and this needs about $1" >&2
    exit 1
  fi
}
