#!/bin/sh
# Prisma's command line, where its package is installed.
STANDIN_APP=prisma exec /opt/standin/bin/node /opt/standin/main.mjs prisma "$@"
