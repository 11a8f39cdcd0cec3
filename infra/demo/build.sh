#!/usr/bin/env bash
# Builds the demo's images from packages; what is built already costs seconds. Traefik's binary is compiled once and kept under
# ~/.cache/kgc-stack. Usage: build.sh [image …]
set -euo pipefail
cd "$(dirname "$0")"

# shellcheck source=infra/demo/gobuild/quietly.sh
. gobuild/quietly.sh

# The official image where a registry answers, otherwise the binary from Traefik's Go module.
provide_traefik() {
  local version=3.6.12 image=kgc-demo/traefik:demo official module cache
  if docker image inspect "$image" >/dev/null 2>&1; then return; fi
  official=$(sed -n 's/^ *image: \(traefik:.*\)/\1/p' ../docker/traefik/docker-compose.yml)
  if timeout 10 docker pull --quiet "$official" >/dev/null 2>&1; then
    docker tag "$official" "$image"
    return
  fi
  module=github.com/traefik/traefik/v3
  PATCH="github.com/go-acme/lego/v4 traefik/lego" LDFLAGS="-X $module/pkg/version.Version=$version -X $module/pkg/version.Codename=demo" \
    gobuild/gobuild.sh traefik "$module@v$version" "$module/cmd/traefik"
  cache=$KGC_CACHE/traefik-$version
  # Docker 20.10 knows one build context only: the entrypoint goes to the binary
  cp traefik/entrypoint.sh "$cache/"
  docker buildx build --quiet --file traefik/Dockerfile --tag "$image" "$cache" >/dev/null
}

echo '▶ Build the demo images' >&2
start=$SECONDS
./base/build.sh
provide_traefik
standin/node.sh
# of this repository's own packages: PostgreSQL's grammar, by which the migration reads SQL, and what makes one file of a package
printf 'FROM scratch\nCOPY libpg-query /libpg-query\nCOPY @pgsql /@pgsql\n' | docker buildx build --quiet --file - --tag kgc-demo/pg-grammar:17 ../../node_modules >/dev/null
printf 'FROM scratch\nCOPY esbuild /\n' | docker buildx build --quiet --file - --tag kgc-demo/esbuild:demo "../../node_modules/@esbuild/linux-$(node -p process.arch)/bin" >/dev/null
files=(--file docker-compose.build.yml)
# an application's own, in its folder here; its contexts are seen from this folder
for file in */docker-compose.build.yml; do [[ ! -f $file ]] || files+=(--file "$file"); done
quietly "$KGC_CACHE/demo-images.log" docker buildx bake --progress plain "${files[@]}" "$@"
echo "✔ Build the demo images ($((SECONDS - start)) s)" >&2
