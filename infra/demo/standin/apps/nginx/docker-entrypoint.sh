#!/bin/sh
# nginx:alpine's, which prepares nothing for a command other than nginx.
exec "$@"
