#!/usr/bin/env bash
# What changes in the rendered YAML. There are no secrets in it: each stands as the word `secret`.
# Usage: rendered.sh render TREE FOLDER       renders each overlay and each mode of the stack into FOLDER
#        rendered.sh compare COMMIT FILE      prints what changes from COMMIT to HEAD, and writes it as Markdown
#        rendered.sh comment NUMBER FILE      makes or updates the one comment of a pull request (gh, GITHUB_REPOSITORY)
# shellcheck disable=SC2016 # backticks are Markdown
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
mark='<!-- rendered-yaml -->'

# Env files as the examples have them, with one word for every secret: nothing is made up, so nothing differs by chance.
env_files() {
  local example folder to
  for example in .env.example infra/docker/*/.env.example; do
    folder=infra/docker
    if [ "$example" != .env.example ]; then folder=$(dirname "$example"); fi
    for to in "$folder/.env" "$folder/.env.demo"; do
      awk '/^#@/ { secret = / secret( |$)/ } /^[A-Z]/ { if (secret) sub(/=$/, "=secret"); secret = 0 } { print }' "$example" > "$to"
    done
  done
  echo KGC_ENV_SUFFIX=.demo >> infra/docker/.env.demo
}

# render TREE FOLDER
render() (
  mkdir -p "$2"
  folder=$(cd "$2" && pwd)
  cd "$1"
  env_files
  for overlay in infra/k8s/cluster infra/k8s/overlays/*/; do
    kubectl kustomize "$overlay" > "$folder/kubernetes-$(basename "$overlay").yaml"
  done
  cd infra/docker
  for mode in dev prod demo; do
    suffix=
    if [ "$mode" = demo ]; then suffix=.demo; fi
    ACME_EMAIL=secret docker compose --env-file ".env$suffix" -f docker-compose.yml -f "docker-compose.$mode.yml" config |
      sed "s#$(pwd -P)#infra/docker#g" > "$folder/compose-$mode.yaml"
  done
)

# compare COMMIT FILE
compare() {
  local work
  work=$(mktemp -d)
  # shellcheck disable=SC2064
  trap "rm -rf '$work'" EXIT
  mkdir "$work/tree-before" "$work/tree-after"
  git -C "$root" archive "$1" | tar -x -C "$work/tree-before"
  git -C "$root" archive HEAD | tar -x -C "$work/tree-after"
  render "$work/tree-before" "$work/before" || echo 'What was there before cannot be rendered: what is missing counts as new.' >&2
  render "$work/tree-after" "$work/after"
  (cd "$work" && for form in stat patch; do git diff --no-index --no-color "--$form" before after > "$form.txt"; done) || true
  words "$work" > "$2"
  cat "$work/patch.txt"
  if [ -n "${GITHUB_STEP_SUMMARY:-}" ]; then cat "$2" >> "$GITHUB_STEP_SUMMARY"; fi
}

# words FOLDER: its stat.txt and patch.txt for people
words() {
  local scope='`kubectl kustomize` of every overlay, `docker compose config` of every mode'
  echo "$mark"
  if [ ! -s "$1/patch.txt" ]; then
    echo "The rendered YAML stays as it is: $scope."
    return
  fi
  echo "This changes in the rendered YAML ($scope):"
  printf '\n```\n%s\n```\n' "$(sed 's#{before => after}/##' "$1/stat.txt")"
  # a comment holds 65536 characters
  printf '<details><summary>The difference</summary>\n\n~~~~~~~~diff\n%s\n~~~~~~~~\n</details>\n' "$(head -c 50000 "$1/patch.txt")"
  if (( $(wc -c < "$1/patch.txt") > 50000 )); then echo 'It is longer than a comment may be: the whole of it is in the log of the run.'; fi
}

# comment NUMBER FILE
comment() {
  local comments=repos/$GITHUB_REPOSITORY/issues/$1/comments id
  id=$(gh api --paginate "$comments" --jq ".[] | select(.user.login == \"github-actions[bot]\" and (.body | startswith(\"$mark\"))) | .id" | head -n 1)
  if [ -n "$id" ]; then gh api --method PATCH "repos/$GITHUB_REPOSITORY/issues/comments/$id" --field "body=@$2" --silent
  else gh api --method POST "$comments" --field "body=@$2" --silent; fi
}

case "${1:-} $#" in
  'render 3' | 'compare 3' | 'comment 3') "$@" ;;
  *) sed -n '3,5s/^# //p' "$0" >&2; exit 2 ;;
esac
