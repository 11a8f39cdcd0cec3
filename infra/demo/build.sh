#!/usr/bin/env bash
# Builds the demo's images from packages; what is built already costs seconds. Traefik's binary is compiled once and kept under
# ~/.cache/kgc-stack. Usage: build.sh [image …]
set -euo pipefail
cd "$(dirname "$0")"

say() { echo "  $*" >&2; }

# The official image where a registry answers, otherwise the binary from Traefik's Go module.
provide_traefik() {
  local version=3.6.12 image=kgc-demo/traefik:demo official cache
  if docker image inspect "$image" >/dev/null 2>&1; then return; fi
  official=$(sed -n 's/^ *image: \(traefik:.*\)/\1/p' ../docker/traefik/docker-compose.yml)
  if timeout 10 docker pull --quiet "$official" >/dev/null 2>&1; then
    docker tag "$official" "$image"
    return
  fi
  cache=${XDG_CACHE_HOME:-$HOME/.cache}/kgc-stack/traefik-$version
  if [ ! -x "$cache/traefik" ]; then
    say "compiling Traefik $version from its Go module: once, about 6 minutes on two cores"
    rm -rf "$cache.part"
    quietly "$cache.log" docker buildx build --progress plain --file traefik/build.Dockerfile --build-arg VERSION=$version \
      --secret id=ca,src=/etc/ssl/certs/ca-certificates.crt --output "type=local,dest=$cache.part" traefik
    chmod 755 "$cache.part/traefik"
    mv "$cache.part" "$cache"
  fi
  # Docker 20.10 knows one build context only: the entrypoint goes to the binary
  cp traefik/entrypoint.sh "$cache/"
  docker buildx build --quiet --file traefik/Dockerfile --tag "$image" "$cache" >/dev/null
}

# Runs a long command with its output in a log, and a line every 30 seconds; shows the log's end when it fails.
quietly() {
  local log=$1 start=$SECONDS pid
  shift
  mkdir -p "$(dirname "$log")"
  "$@" > "$log" 2>&1 & pid=$!
  while kill -0 $pid 2>/dev/null; do
    sleep 1
    if (( SECONDS - start > 0 && (SECONDS - start) % 30 == 0 )); then say "… $((SECONDS - start)) s: $(tail -n 1 "$log" | cut -c1-100)"; fi
  done
  if ! wait $pid; then
    tail -n 20 "$log" >&2
    echo "build.sh: this failed: $1 $2 $3; the whole log: $log" >&2
    exit 6
  fi
}

echo '▶ Build the demo images' >&2
start=$SECONDS
./base/build.sh
provide_traefik
quietly "${XDG_CACHE_HOME:-$HOME/.cache}/kgc-stack/demo-images.log" docker buildx bake --progress plain --file docker-compose.build.yml "$@"
echo "✔ Build the demo images ($((SECONDS - start)) s)" >&2
