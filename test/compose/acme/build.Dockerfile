# Compiles Pebble, Let's Encrypt's own test authority, and makes the certificate of its API; the last stage holds nothing but these.
FROM kgc-demo/base:trixie AS build
# Debian's packages move on within the release; the module's version is what is pinned
# hadolint ignore=DL3008
RUN --mount=type=cache,target=/var/cache/apt,sharing=locked --mount=type=cache,target=/var/lib/apt,sharing=locked \
    apt-get update -qq && apt-get install -y -qq --no-install-recommends golang-go ca-certificates openssl
WORKDIR /out
RUN openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3650 -subj /CN=pebble \
      -addext subjectAltName=DNS:pebble,DNS:localhost -keyout key.pem -out cert.pem
ARG VERSION
# Debian's Go is older than the module asks for: it fetches the one that it needs
ENV GOTOOLCHAIN=auto GOBIN=/out CGO_ENABLED=0
# the secret holds the certificate authorities of a machine behind an inspecting proxy
RUN --mount=type=secret,id=ca --mount=type=cache,target=/root/go --mount=type=cache,target=/root/.cache/go-build \
    SSL_CERT_FILE=/run/secrets/ca go install -trimpath "github.com/letsencrypt/pebble/v2/cmd/pebble@v$VERSION"

FROM scratch
COPY --from=build /out /
