#!/bin/sh
# Options, and words that Traefik knows as its own commands, are meant for Traefik; anything else is run as it is.
set -eu
case ${1:-} in
  -* | version | healthcheck) set -- traefik "$@" ;;
esac
exec "$@"
