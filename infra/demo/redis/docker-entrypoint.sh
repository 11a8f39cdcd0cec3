#!/bin/sh
# Arguments that are options or a configuration file are meant for redis-server; root gives itself up.
set -eu
case ${1:-} in
  -* | *.conf) set -- redis-server "$@" ;;
esac
# outside a container's network Redis would refuse every client that is not local
if [ "$*" = redis-server ]; then set -- redis-server --protected-mode no; fi
if [ "$1" = redis-server ] && [ "$(id -u)" = 0 ]; then
  chown -R redis:redis /data
  exec /usr/bin/setpriv --reuid=redis --regid=redis --init-groups "$@"
fi
exec "$@"
