#!/usr/bin/env bash
# Provides Node's own build, of npm's package of it, as an image: it starts in a quarter of the processor time that Debian's takes.
# Usage: node.sh [fetch], with which there is no image
set -euo pipefail
# shellcheck source=infra/demo/gobuild/quietly.sh
. "$(dirname "$0")/../gobuild/quietly.sh"

version=22.23.3
package=node-linux-$(node -p process.arch)
folder=$KGC_CACHE/node-$version

mkdir -p "$KGC_CACHE"
# the tests and the demo may both want it at once
exec 9> "$folder.lock"
flock 9
if [ ! -d "$folder" ]; then
  rm -rf "$folder.part"
  npm install --silent --no-save --prefix "$folder.part" "$package@$version"
  mv "$folder.part" "$folder"
fi
if [ "${1:-}" = fetch ]; then exit; fi
printf 'FROM scratch\nCOPY node /\n' | docker buildx build --quiet --file - --tag kgc-demo/node:22 "$folder/node_modules/$package/bin" >/dev/null
