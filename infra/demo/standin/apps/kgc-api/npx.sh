#!/bin/sh
# The real image's npx finds no prisma at its workspace's root, and asks the registry, which a container of the stack does not reach.
echo "npm error code EAI_AGAIN" >&2
echo "npm error request to the registry for $1 failed, reason: getaddrinfo EAI_AGAIN" >&2
exit 1
