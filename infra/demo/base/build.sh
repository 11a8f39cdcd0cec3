#!/usr/bin/env bash
# Provides the image that all demo images stand on: kgc-demo/base:trixie.
# Debian's own image where a registry answers; otherwise the same minimal system made by mmdebstrap from Debian's packages.
# Nothing happens when the image is there already. Usage: build.sh [--no-pull]
set -euo pipefail
# shellcheck source=infra/demo/gobuild/quietly.sh
. "$(dirname "$0")/../gobuild/quietly.sh"

image=kgc-demo/base:trixie
# tag and digest agree in three independent public pins
official=debian:trixie-20260803-slim@sha256:3a39a0592364683e6bab97937b72cad5a8fa6dcbbee90edb3bb48c7f8e94f258

if docker image inspect "$image" >/dev/null 2>&1; then exit 0; fi

# A registry that does not answer must not cost more than a few seconds.
if [ "${1:-}" != --no-pull ] && timeout 10 docker pull --quiet "$official" >/dev/null 2>&1; then
  docker tag "$official" "$image"
  exit 0
fi

if ! command -v mmdebstrap >/dev/null; then
  echo "base: no image registry answers and mmdebstrap is not installed: apt-get install mmdebstrap debian-archive-keyring" >&2
  exit 3
fi

# On Debian the mirror that the machine itself uses; elsewhere mmdebstrap's own choice.
# shellcheck disable=SC2016 # the words in $(…) are apt's
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Origin: Debian' 'Label: Debian' 2>/dev/null | head -n 1 || true)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
quietly "$KGC_CACHE/base.log" mmdebstrap --variant=minbase --include=ca-certificates trixie "$folder/base.tar" ${mirror:+"$mirror"}
docker import "$folder/base.tar" "$image" >/dev/null
