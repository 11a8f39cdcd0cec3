#!/bin/sh
# Archives /volume into /backup/$VOLUME, unpacks that again and lists what comes out with its checksums. A file that stayed as it was meanwhile and
# is not in the archive is an error; what somebody wrote or removed meanwhile is not. NAMED: with sizes and MD5, too.
set -eu
umask 077
export LC_ALL=C
# shellcheck source=scripts/lib/backup/measure.sh
. /kgc/measure.sh
out=/backup/$VOLUME
mkdir "$out" "$out/content"
list() { find . -path './.kgc-*' -prune -o -type f -exec stat -c '%s %Y %n' {} + | sort; }

# the archive, and what is unpacked of it
require_room "$(du -sk /volume | awk '{ print $1 * 2048 }')"
cd /volume
list >"$out/before"
# 1: a file has changed meanwhile
code=0
tar --numeric-owner --exclude './.kgc-*' -cf "$out/tar" . >&2 || code=$?
if [ "$code" -gt 1 ]; then exit "$code"; fi
list >"$out/after"

tar --numeric-owner -xpf "$out/tar" -C "$out/content"
cd "$out/content"
list >"$out/unpacked"
comm -12 "$out/before" "$out/after" | comm -23 - "$out/unpacked" >"$out/missing"
if [ -s "$out/missing" ]; then
  echo "not in the archive of $VOLUME:" >&2
  head -n 5 "$out/missing" >&2
  exit 1
fi
find . -type f -print0 | sort -z | xargs -0 -r sha256sum >"$out/files"
if [ -n "${NAMED:-}" ]; then find . -type f -print0 | xargs -0 -r md5sum >"$out/md5"; fi
cd /
rm -rf "$out/content"
measure "$VOLUME/tar" "$VOLUME/files" ${NAMED:+"$VOLUME/unpacked" "$VOLUME/md5"}
