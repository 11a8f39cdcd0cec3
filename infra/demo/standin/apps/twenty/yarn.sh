#!/bin/sh
# As upstream's package.json has it: worker:prod is `node dist/queue-worker/queue-worker`, a process of its own name.
if [ "$1" = worker:prod ]; then exec node dist/queue-worker/queue-worker; fi
exec /opt/standin/bin/node /opt/standin/main.mjs yarn "$@"
