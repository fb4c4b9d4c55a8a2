# make run      see journal lines routed, within a minute
# make example  see a web shop that logs and forgets, and what comes of it
# make test     everything that can run on this machine, in a few minutes
#
# They install what is missing by themselves: Debian packages, with sudo where
# the user is not root.

SHELL := /bin/bash
GO ?= go
BIN := build/journald-router
RELEASE ?=

# The headers of libsystemd and a C compiler; the rest are the real parts that the
# tests run on: journald itself, the tool that forges journals, and servers.
BUILD_DEPS := gcc libc6-dev libsystemd-dev
TEST_DEPS := $(BUILD_DEPS) systemd systemd-journal-remote postgresql
# What the recipes of docs/PRODUCERS.md are written in, and what an addon of Node's is
# compiled with. A Node from elsewhere than Debian brings an npm along.
TEST_DEPS += bsdutils python3 python3-systemd nodejs g++ make $(if $(shell command -v npm),,npm)

# A private journald takes root, and so do the tests that run one.
ifneq ($(shell id -u),0)
EXEC := -exec 'sudo -E env PATH=$(PATH)'
endif

.PHONY: build
build: go
	scripts/install-deps $(BUILD_DEPS)
	$(GO) build -ldflags '-X main.release=$(RELEASE)' -o $(BIN) ./cmd/journald-router

# Go itself is not installed: Debian's may be too old. From 1.21 on it fetches the
# version that go.mod asks for.
.PHONY: go
go:
	@version=$$($(GO) env GOVERSION 2>/dev/null); case $$version in \
	go1.2[1-9]*|go1.[3-9][0-9]*) ;; \
	*) echo "Go 1.26 is wanted, or at least 1.21, which fetches it; here is $${version:-none}: see https://go.dev/dl" >&2; exit 1 ;; esac

.PHONY: run
run: build
	scripts/demo

# The shop of examples/signup, the router and all destinations on this machine: what
# arrives where, and how long the shop takes, come what may.
.PHONY: example
example: go
	scripts/install-deps $(BUILD_DEPS) systemd
	$(GO) run $(EXEC) ./examples/signup/walk

.PHONY: test
test: test-go test-torture test-container

# Everything but the container, with the race detector.
.PHONY: test-go
test-go: go
	scripts/install-deps $(TEST_DEPS)
	$(GO) test -race -timeout 15m $(EXEC) ./...

# A whole machine with systemd as PID 1: docker or podman, whichever is there.
.PHONY: test-container
test-container: build
	scripts/test-container

# The program is killed at random moments and at every step, and the power is cut
# under its spool. It prints what was delivered, duplicated and lost, and its seed.
KILLS ?= 1000
ROUNDS ?= 20
CUTS ?= 3000
SEED ?= 0
TORTURE := -tags=torture -count=1 -v -timeout=2h
.PHONY: torture
torture: go
	scripts/install-deps $(TEST_DEPS) strace
	$(GO) test $(TORTURE) $(EXEC) ./test/torture -kills=$(KILLS) -rounds=$(ROUNDS) -seed=$(SEED)
	$(GO) test $(TORTURE) $(EXEC) -run="PowerCut|SyncFails" ./spool -cuts=$(CUTS) -seed=$(SEED)

# The same in two minutes.
.PHONY: test-torture
test-torture:
	$(MAKE) torture KILLS=200 ROUNDS=2 CUTS=200

.PHONY: lint
lint:
	scripts/install-deps $(BUILD_DEPS) shellcheck
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); \
		if [ -n "$$unformatted" ]; then echo "gofmt -w is wanted for: $$unformatted" >&2; exit 1; fi
	$(GO) vet ./...
	$(GO) vet -tags=container ./test/container
	$(GO) vet -tags=failpoints ./internal/failpoint
	$(GO) vet -tags=torture ./test/torture ./spool
	$(GO) tool staticcheck ./...
	$(GO) tool staticcheck -tags=torture ./test/torture ./spool
	shellcheck $$(git ls-files scripts .ci)

# The program beside the C loop and others, in one run; see docs/PERFORMANCE.md.
.PHONY: bench
bench: build
	scripts/install-deps $(TEST_DEPS) python3 rsyslog
	$(GO) run ./bench $(BENCH) build

# Known vulnerabilities in what is used. It asks the Go vulnerability database.
.PHONY: vuln
vuln:
	scripts/install-deps $(BUILD_DEPS)
	$(GO) tool govulncheck ./...

.PHONY: clean
clean:
	rm -rf build
