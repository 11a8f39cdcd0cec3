#!/bin/sh
# compile.sh NAME MODULE@VERSION PACKAGE: builds /out/NAME; copies FILES (paths inside the module) to /out/files.
# `go install` refuses a module with replace directives, so a module of our own repeats them.
set -eu
name=$1 module=${2%@*} version=${2#*@} package=$3

# certificate authorities of a machine behind an inspecting proxy
if [ -s /run/secrets/ca ]; then export SSL_CERT_FILE=/run/secrets/ca; fi

(cd / && go mod download "$module@$version")
# the module cache writes capitals as !c
cached=$(go env GOMODCACHE)/$(echo "$module" | sed 's/[A-Z]/!\L&/g')@$version
theirs=$cached/go.mod
{
  echo 'module kgc.hu/demo/build'
  sed -n '/^go /p; /^toolchain /p' "$theirs"
  echo "require $module $version"
  # every replace and exclude, but those that point into their own tree; Kubernetes publishes its staging folder as v0.x.y
  awk '/^(replace|exclude) \($/ { block = $1; next } /^\)/ { block = "" } block { print block, $0; next } /^(replace|exclude) / { print }' "$theirs" |
    sed "s#\([^ ]*\) => \./staging/src/.*#\1 => \1 v0${version#v1}#" | grep -v '=> \.' || true
} > go.mod

# -v names each package: a build of minutes is seen to move
go build -v -mod=mod -trimpath -ldflags "-s -w ${LDFLAGS:-}" -o "/out/$name" "$package"
for file in ${FILES:-}; do
  install -D -m 644 "$cached/$file" "/out/files/$(basename "$file")"
done
