# Compiles Traefik from its Go module; the last stage holds nothing but the binary.
#   docker buildx build --file build.Dockerfile --secret id=ca,src=/etc/ssl/certs/ca-certificates.crt --output type=local,dest=OUT .
FROM kgc-demo/base:trixie AS build
# Debian's packages move on within the release; the module's version is what is pinned
# hadolint ignore=DL3008
RUN --mount=type=cache,target=/var/cache/apt,sharing=locked --mount=type=cache,target=/var/lib/apt,sharing=locked \
    apt-get update -qq && apt-get install -y -qq --no-install-recommends golang-go ca-certificates
WORKDIR /build
COPY compile.sh /usr/local/bin/compile
ARG VERSION=3.6.12
# Debian's Go is older than the module asks for: it fetches the one that it needs
ENV GOTOOLCHAIN=auto
RUN --mount=type=secret,id=ca --mount=type=cache,target=/root/go --mount=type=cache,target=/root/.cache/go-build \
    compile "$VERSION" /out/traefik

FROM scratch
COPY --from=build /out/traefik /traefik
