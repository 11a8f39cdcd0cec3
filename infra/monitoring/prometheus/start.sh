#!/bin/sh
# Prometheus reads no variable in a relabelling: the configuration is written with their values before it starts.
set -eu
sed "s/\${KGC_ENVIRONMENT}/$KGC_ENVIRONMENT/; s/\${COMPOSE_PROJECT_NAME}/$COMPOSE_PROJECT_NAME/; s/\${PROMETHEUS_INTERVAL}/$PROMETHEUS_INTERVAL/" \
  /kgc/prometheus.yml >/tmp/prometheus.yml
exec /bin/prometheus --config.file=/tmp/prometheus.yml --storage.tsdb.path=/prometheus --storage.tsdb.retention.time=15d \
  --storage.tsdb.retention.size=2GB
