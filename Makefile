# make test needs nothing but Go. make check is what CI runs.

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
# Functions that start at every 16th byte instead of every 32nd make the binary 1 % smaller.
STRIP    = -s -w -funcalign=16
LDFLAGS  = $(STRIP) -X main.version=$(VERSION)
# Neither side of wisp speaks HTTP/2, and leaving it out saves half a megabyte.
TAGS     = nethttpomithttp2
# What has something to do at the start or every half hour needs no inlining, which saves 6 %: libraries,
# wisp's own way to the clouds, text, logs and TLS. A cached read costs what it costs with all of it inlined (BenchmarkRead).
COLD     = github.com/aws/... golang.org/x/oauth2/... go.yaml.in/... github.com/spf13/... \
           github.com/wisp-sidecar/wisp/agent/... github.com/wisp-sidecar/wisp/cmd/... \
           github.com/wisp-sidecar/wisp/refresher/awssts github.com/wisp-sidecar/wisp/refresher/entra github.com/wisp-sidecar/wisp/refresher/googlests \
           github.com/wisp-sidecar/wisp/refresher/oauthsts github.com/wisp-sidecar/wisp/refresher/source github.com/wisp-sidecar/wisp/refresher/upstream \
           github.com/cenkalti/... github.com/fsnotify/... \
           compress/... crypto/... encoding/asn1 encoding/xml fmt log/... math/big mime/... regexp/... text/... vendor/...
GCFLAGS  = $(patsubst %,-gcflags=%=-l,$(COLD))
BUILD    = CGO_ENABLED=0 go build -tags $(TAGS) $(GCFLAGS) -trimpath -ldflags "$(LDFLAGS)"

.PHONY: build test check conformance cluster playground cross image fuzz clean

OUT ?= dist
build:                ## the binaries, at dist/wisp and dist/wisp-webhook, or in OUT
	$(BUILD) -o $(OUT)/ ./cmd/...

test:                 ## all tests that need nothing but Go
	go test ./...

conformance:          ## real SDKs and command-line tools: installs those that it can, skips what it cannot
	cd examples/conformance && go test -count=1 ./clients
	@sed -n '/^## Clients and outlets/,/^## Checks/{/^## Checks/d;p}' docs/compatibility.md # which the run has come out with
	cd examples/conformance && go test -count=1 -p 1 $$(go list ./... | grep -v '/clients$$')

cluster:              ## injection on a real API server, which is built (minutes, once); needs etcd, and root to run Pods
	cd examples/cluster && bash -o pipefail -c \
	  "go test -count=1 -timeout 60m -v ./... | grep --line-buffered -vE '^ *=== |^PASS$$|^ +--- PASS: Test([^R]|R[^u])'"

check:                ## everything that CI runs
	bash .ci/run

playground:           ## the whole thing on loopback: no cloud, no cluster
	go run ./examples/playground

cross:                ## the supported platforms (linux) and that for development (darwin)
	GOOS=linux  GOARCH=amd64 $(BUILD) -o dist/wisp-linux-amd64  ./cmd/wisp
	GOOS=linux  GOARCH=arm64 $(BUILD) -o dist/wisp-linux-arm64  ./cmd/wisp
	GOOS=linux  GOARCH=amd64 $(BUILD) -o dist/wisp-webhook-linux-amd64 ./cmd/wisp-webhook
	GOOS=linux  GOARCH=arm64 $(BUILD) -o dist/wisp-webhook-linux-arm64 ./cmd/wisp-webhook
	GOOS=darwin GOARCH=arm64 $(BUILD) -o dist/wisp-darwin-arm64 ./cmd/wisp

image:                ## the container images, for this machine's architecture
	docker build --build-arg VERSION=$(VERSION) --target wisp -t wisp:$(VERSION) .
	docker build --build-arg VERSION=$(VERSION) --target wisp-webhook -t wisp-webhook:$(VERSION) .

FUZZTIME ?= 10s
fuzz:                 ## each fuzz target for FUZZTIME
	@go list ./... | while read -r package; do \
	  go test -list '^Fuzz' "$$package" | grep '^Fuzz' | while read -r target; do \
	    echo "$$package $$target"; go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 1x "$$package" || exit 1; \
	  done || exit 1; \
	done

clean:
	rm -rf dist
