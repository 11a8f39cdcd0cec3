# What migrates KGC's database: the datamodel of the pinned commit, its migrations if it has any, and the Prisma that its lock file names. KGC's own
# .dockerignore leaves migrations out; BuildKit reads the one beside this file. The program (migrate/) is mounted, with the two packages that it needs.
ARG NODE_IMAGE=node:20-alpine
FROM ${NODE_IMAGE}
# hadolint ignore=DL3018
RUN apk add --no-cache openssl
WORKDIR /kgc
COPY pnpm-lock.yaml ./
RUN version=$(awk '/^  [^ ]/ { here = $1 == "apps/kgc-api:" } here && /^      prisma:$/ { mine = 1 } mine && $1 == "version:" { sub(/\(.*/, "", $2); print $2; exit }' pnpm-lock.yaml) \
    && npm install --no-audit --no-fund "prisma@${version:?apps/kgc-api of pnpm-lock.yaml names no prisma}" libpg-query@17.7.4 pg@8.23.1 \
    && npm cache clean --force
COPY apps/kgc-api/prisma ./prisma
USER 1001
