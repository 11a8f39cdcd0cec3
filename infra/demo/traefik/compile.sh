#!/bin/sh
# compile.sh VERSION OUT: builds Traefik from its Go module.
# `go install` refuses a module with replace directives, so a module of our own repeats them.
set -eu
version=$1 out=$2 module=github.com/traefik/traefik/v3

# certificate authorities of a machine behind an inspecting proxy
if [ -s /run/secrets/ca ]; then export SSL_CERT_FILE=/run/secrets/ca; fi

(cd / && go mod download "$module@v$version")
theirs=$(go env GOMODCACHE)/cache/download/$module/@v/v$version.mod
{
  echo 'module kgc.hu/demo/traefik'
  sed -n '/^go /p; /^toolchain /p' "$theirs"
  echo "require $module v$version"
  # every replace and exclude, but those that point into their own tree
  awk '/^(replace|exclude) \($/ { block = $1; next } /^\)/ { block = "" } block { print block, $0; next } /^(replace|exclude) / { print }' "$theirs" |
    grep -v '=> \.' || true
} > go.mod

CGO_ENABLED=0 go build -mod=mod -trimpath -o "$out" \
  -ldflags "-s -w -X $module/pkg/version.Version=$version -X $module/pkg/version.Codename=demo" "$module/cmd/traefik"
