#!/bin/sh
# compile.sh MODULES NAME PACKAGE [NAME PACKAGE …]: builds /out/NAME/NAME against one module that requires all of MODULES (`path@version …`), so
# that what they share is compiled once, at the newest version that one of them asks for. FILES (`NAME:path@version/file …`) go to /out/NAME/files.
set -eu
modules=$1
shift

# certificate authorities of a machine behind an inspecting proxy
if [ -s /build/ca.crt ]; then export SSL_CERT_FILE=/build/ca.crt; fi

# the module cache writes capitals as !c
cached() { echo "$(go env GOMODCACHE)/$(echo "$1" | sed 's/[A-Z]/!\L&/g')"; }

# `go install` refuses a module with replace directives, so a module of our own repeats them: every replace and exclude, but those that point into
# their own tree; Kubernetes publishes its staging folder as v0.x.y
directives() {
  awk '/^(replace|exclude) \($/ { block = $1; next } /^\)/ { block = "" } block { print block, $0; next } /^(replace|exclude) / { print }' "$1" |
    sed "s#\([^ ]*\) => \./staging/src/.*#\1 => \1 v0.${2#*.}#" | grep -v '=> \.' || true
}

for module in $modules; do (cd / && go mod download "$module"); done
{
  echo 'module kgc.hu/demo/build'
  for module in $modules; do sed -n 's/^go //p' "$(cached "$module")/go.mod"; done | sort -V | tail -n 1 | sed 's/^/go /'
  for module in $modules; do echo "require ${module%@*} ${module#*@}"; done
  for module in $modules; do directives "$(cached "$module")/go.mod" "${module#*@}"; done | awk '!seen[$1 $2]++'
} > go.mod

# a replacement, since no overlay may lie over the module cache
if [ -n "${PATCHED:-}" ]; then
  go mod download "$PATCHED"
  cp -r "$(go list -mod=mod -m -f '{{.Dir}}' "$PATCHED")" patched
  chmod -R u+w patched
  cp -r patch/. patched/
  go mod edit -replace "$PATCHED=./patched"
fi

# a compiler that collects its garbage less often takes a seventh less of the processors, and more memory
if [ "$(awk '/^MemAvailable/ { print $2 }' /proc/meminfo)" -gt $(($(nproc) * 3000000)) ]; then export GOGC=400; fi
# -v names each package: a build of minutes is seen to move; nobody debugs what comes of it, and without inlining (-l) it takes 30 % less of the processors
while [ $# -gt 0 ]; do
  go build -v -mod=mod -trimpath -tags "${TAGS:-}" -gcflags='all=-dwarf=false -l' -ldflags "-s -w ${LDFLAGS:-}" -o "/out/$1/$1" "$2"
  shift 2
done
for file in ${FILES:-}; do
  install -D -m 644 "$(cached "${file#*:}")" "/out/${file%%:*}/files/$(basename "$file")"
done
