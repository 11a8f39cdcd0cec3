#!/bin/sh
# Starts nginx on KGC's pages, and writes before that what it cannot read by itself: `nginx.sh web`, or `nginx.sh admin`, which asks for
# KGC_ADMIN_PASSWORD. The images have BusyBox, and neither openssl nor htpasswd.
# shellcheck disable=SC2016 # the variables are nginx's
set -eu
umask 077

# nginx reads no /etc/resolv.conf. On Kubernetes a Service's full name is needed: the first domain that is searched is its namespace's.
# `valid`: Docker's name server says 600 s, and a new container may have another address.
awk '
  $1 == "nameserver" { servers = servers " " ($2 ~ /:/ ? "[" $2 "]" : $2) }
  $1 == "search" { for (i = NF; i > 1; i--) if ($i ~ /[^.]\.svc\./) domain = "." $i }
  END { printf "resolver%s valid=10s;\nset $api kgc-api%s:3000;\n", servers, domain }' /etc/resolv.conf > /tmp/server.conf

case $1 in
  web) echo 'set $api_authorization $http_authorization;' >> /tmp/server.conf ;;
  admin)
    # here and not below: what fails in $(…) stops nobody, and the password would be an empty one
    : "${KGC_ADMIN_PASSWORD:?is empty}"
    hash=$(printf %s "$KGC_ADMIN_PASSWORD" | mkpasswd -m sha512 -P 0)
    printf 'kgc:%s\n' "$hash" > /tmp/htpasswd
    # the password is for this page, not for the API
    printf 'auth_basic "KGC Admin";\nauth_basic_user_file /tmp/htpasswd;\nset $api_authorization "";\n' >> /tmp/server.conf
    ;;
  *) echo "nginx.sh: web or admin, not $1" >&2; exit 2 ;;
esac
exec nginx -e /dev/stderr -c /kgc/nginx.conf -g 'daemon off;'
