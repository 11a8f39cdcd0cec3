# Compiles one command from a Go module; the last stage holds nothing but it. gobuild.sh makes the context: compile.sh, perhaps a folder `main`.
FROM kgc-demo/base:trixie AS build
# Debian's packages move on within the release; the module's version is what is pinned
# hadolint ignore=DL3008
RUN --mount=type=cache,target=/var/cache/apt,sharing=locked --mount=type=cache,target=/var/lib/apt,sharing=locked \
    apt-get update -qq && apt-get install -y -qq --no-install-recommends golang-go ca-certificates
WORKDIR /build
COPY . .
# Debian's Go is older than most modules ask for: it fetches the one that they need
ENV GOTOOLCHAIN=auto CGO_ENABLED=0
ARG NAME MODULE PACKAGE LDFLAGS FILES GOFLAGS
RUN --mount=type=secret,id=ca --mount=type=cache,target=/root/go --mount=type=cache,target=/root/.cache/go-build \
    sh compile.sh "$NAME" "$MODULE" "$PACKAGE"

FROM scratch
COPY --from=build /out /
