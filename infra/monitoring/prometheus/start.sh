#!/bin/sh
# Prometheus reads no variable in a relabelling or a list of targets: both files are written with their values before it starts.
set -eu

# before 2.54 Prometheus gives every network by itself, and refuses the setting
case $(/bin/prometheus --version 2>&1) in
*'version 2.'[0-9].* | *'version 2.'[0-4][0-9].* | *'version 2.5'[0-3].*) unknown=match_first_network ;;
*) unknown=nothing ;;
esac

write() {
  sed "/^ *$unknown:/d; s/\${KGC_ENVIRONMENT}/$KGC_ENVIRONMENT/; s/\${COMPOSE_PROJECT_NAME}/$COMPOSE_PROJECT_NAME/; s/\${PROMETHEUS_INTERVAL}/$PROMETHEUS_INTERVAL/
    s/\${DOMAIN}/$DOMAIN/; s/\${URL_PORT}/$URL_PORT/; s/\${PROBE_MODULE}/$module/; s/\${PROBE_EDGE}/$PROBE_EDGE/"
}

# by the names that everybody knows, and then their certificates must be signed; or at Traefik itself
if [ -n "$PROBE_EDGE" ]; then
  module=public-unsigned
  write </kgc/prometheus.yml >/tmp/prometheus.yml
else
  module=public
  sed '/^ *# with PROBE_EDGE/,/^ *# end/d' /kgc/prometheus.yml | write >/tmp/prometheus.yml
fi
# who is stopped must be asked all the same: so they stand in files, and not in the containers' labels
mkdir -p /tmp/probes
for file in /kgc/probes/*.yml; do
  if [ -f "$file" ]; then write <"$file" >"/tmp/probes/${file##*/}"; fi
done
exec /bin/prometheus --config.file=/tmp/prometheus.yml --storage.tsdb.path=/prometheus --storage.tsdb.retention.time=15d \
  --storage.tsdb.retention.size=2GB
