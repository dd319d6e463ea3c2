# Two images out of one build, each of one static binary and the roots it trusts: no shell, no package
# manager, no user but 65532. They run with a read-only root file system and without any capability.
#
#   docker buildx build --platform linux/amd64,linux/arm64 --build-arg VERSION=v0.1.0 --target wisp -t wisp .
#   docker buildx build --platform linux/amd64,linux/arm64 --build-arg VERSION=v0.1.0 --target wisp-webhook -t wisp-webhook .

FROM --platform=$BUILDPLATFORM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY . .
ARG TARGETOS=linux
ARG TARGETARCH
ARG VERSION=dev
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    GOOS=$TARGETOS GOARCH=$TARGETARCH make build OUT=/out VERSION=$VERSION

# What both images have. Scratch has no users file, and needs none: the number is what Kubernetes looks at.
FROM scratch AS base
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
USER 65532:65532
ARG VERSION=dev
LABEL org.opencontainers.image.source=https://github.com/wisp-sidecar/wisp \
      org.opencontainers.image.version=$VERSION

FROM base AS wisp-webhook
LABEL org.opencontainers.image.title=wisp-webhook \
      org.opencontainers.image.description="Adds wisp to the Pods that ask for it"
COPY --from=build /out/wisp-webhook /wisp-webhook
ENTRYPOINT ["/wisp-webhook"]

# The last one is what a build without --target makes.
FROM base AS wisp
LABEL org.opencontainers.image.title=wisp \
      org.opencontainers.image.description="A workload identity sidecar: service-account tokens in, cloud credentials out"
COPY --from=build /out/wisp /wisp
ENTRYPOINT ["/wisp"]
CMD ["run"]
