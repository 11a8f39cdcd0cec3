# The container that Go commands are compiled in.
FROM kgc-demo/base:trixie
# Debian's packages move on within the release; the modules' versions are what is pinned
# hadolint ignore=DL3008
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends golang-go ca-certificates && rm -rf /var/lib/apt/lists/*
WORKDIR /build
# Debian's Go is older than most modules ask for: it fetches this one. One for all, or each would compile the standard library again
ENV GOTOOLCHAIN=go1.26.11 CGO_ENABLED=0
