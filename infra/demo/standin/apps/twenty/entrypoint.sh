#!/bin/sh
# Migrates and registers the cron jobs unless the DISABLE_ variables forbid it, then runs the command.
set -e
/opt/standin/bin/node /opt/standin/main.mjs entrypoint "$@"
exec "$@"
