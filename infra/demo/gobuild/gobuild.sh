#!/usr/bin/env bash
# Compiles Go commands from their modules, inside a build, so that the machine needs no Go: to ~/.cache/kgc-stack/NAME-VERSION/NAME.
# What is there already costs nothing. Usage: gobuild.sh NAME MODULE@VERSION PACKAGE [NAME MODULE@VERSION PACKAGE …]
# A PACKAGE that is a folder here (./x) is built against the module. LDFLAGS is added to the linker's; FILES are copied out of the module, to
# NAME-VERSION/files; GOFLAGS=-p=1 leaves a core to others.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=infra/demo/gobuild/quietly.sh
. "$here/quietly.sh"

build() {
  local name=$1 module=$2 package=$3 cache context start=$SECONDS
  cache=$KGC_CACHE/$name-${module##*@v}
  if [ -x "$cache/$name" ]; then return; fi
  say "compiling $name ${module##*@v}: once"
  context=$(mktemp -d)
  cp "$here/compile.sh" "$context/"
  if [ -d "$package" ]; then cp -r "$package" "$context/main"; package=./main; fi
  rm -rf "$cache.part"
  quietly "$cache.log" docker buildx build --progress plain --file "$here/build.Dockerfile" \
    --build-arg NAME="$name" --build-arg MODULE="$module" --build-arg PACKAGE="$package" \
    --build-arg LDFLAGS="${LDFLAGS:-}" --build-arg FILES="${FILES:-}" --build-arg GOFLAGS="${GOFLAGS:-}" \
    --secret id=ca,src=/etc/ssl/certs/ca-certificates.crt --output "type=local,dest=$cache.part" "$context"
  rm -rf "$context"
  chmod -R u=rwX,go=rX "$cache.part"
  rm -rf "$cache"
  mv "$cache.part" "$cache"
  say "compiled $name ($((SECONDS - start)) s)"
}

if (( $# == 0 || $# % 3 )); then sed -n '2,6s/^# //p' "$0" >&2; exit 2; fi
"$here/../base/build.sh"
while (( $# )); do build "$1" "$2" "$3"; shift 3; done
