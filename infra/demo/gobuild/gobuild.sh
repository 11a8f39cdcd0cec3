#!/usr/bin/env bash
# Compiles Go commands from their modules, in a container, so that the machine needs no Go: to ~/.cache/kgc-stack/NAME-VERSION/NAME.
# What is there already costs nothing. Usage: gobuild.sh NAME MODULE@VERSION PACKAGE [NAME MODULE@VERSION PACKAGE …]
# What one call names is built against one set of modules and shares what it has in common. A PACKAGE that is a folder here (/x/y) is built against
# them too. LDFLAGS is added to the linker's, TAGS are build tags; FILES (`NAME:MODULE@VERSION/file …`) are copied out of the modules, to NAME-VERSION/files.
# PATCH (`MODULE FOLDER`): what is in the folder takes the place of the module's own files of those names. CPU_SHARES is its
# weight beside other containers (256: they come first).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=infra/demo/gobuild/quietly.sh
. "$here/quietly.sh"

if (( $# == 0 || $# % 3 )); then sed -n '2,8s/^# //p' "$0" >&2; exit 2; fi
modules=() names=() versions=() packages=() context=$(mktemp -d) start=$SECONDS
container=kgc-gobuild-$$
trap 'rm -rf "$context"; docker rm --force "$container" >/dev/null 2>&1 || true' EXIT

while (( $# )); do
  name=$1 version=${2##*@v} package=$3
  case " ${modules[*]} " in *" $2 "*) ;; *) modules+=("$2") ;; esac
  if [ ! -x "$KGC_CACHE/$name-$version/$name" ]; then
    if [ -d "$package" ]; then cp -r "$package" "$context/$name"; package=./$name; fi
    names+=("$name")
    versions+=("$version")
    packages+=("$name" "$package")
  fi
  shift 3
done
if (( ! ${#names[@]} )); then exit 0; fi

"$here/../base/build.sh"
say "compiling ${names[*]}: once"
quietly "$KGC_CACHE/go-image.log" docker buildx build --progress plain --tag kgc-build/go:trixie --file "$here/build.Dockerfile" "$here"
cp "$here/compile.sh" "$context/"
read -r -a patch <<< "${PATCH:-}"
if (( ${#patch[@]} )); then cp -r "${patch[1]}" "$context/patch"; fi
if [ -f /etc/ssl/certs/ca-certificates.crt ]; then cp /etc/ssl/certs/ca-certificates.crt "$context/ca.crt"; fi
# what is fetched and compiled is kept in one place for all
docker create --name "$container" --cpu-shares "${CPU_SHARES:-256}" --volume kgc-go-cache:/root --env LDFLAGS="${LDFLAGS:-}" --env TAGS="${TAGS:-}" --env FILES="${FILES:-}" \
  --env PATCHED="${patch[0]:-}" kgc-build/go:trixie sh compile.sh "${modules[*]}" "${packages[@]}" >/dev/null
tar --create --directory "$context" . | docker cp - "$container:/build"
quietly "$KGC_CACHE/${names[0]}-${versions[0]}.log" docker start --attach "$container"
for i in "${!names[@]}"; do
  cache=$KGC_CACHE/${names[i]}-${versions[i]}
  rm -rf "$cache.part" "$cache"
  mkdir "$cache.part"
  docker cp "$container:/out/${names[i]}/." - | tar --extract --no-same-owner --directory "$cache.part"
  chmod -R u=rwX,go=rX "$cache.part"
  mv "$cache.part" "$cache"
done
say "compiled ${names[*]} ($((SECONDS - start)) s)"
