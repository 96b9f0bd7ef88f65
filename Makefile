# iSunCoin: every task of the repository. `make help` lists them.

SHELL       := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS   += --no-print-directory

# Asked once, so that all programs of one build say the same; without taking git's lock from anybody.
VERSION ?= $(shell GIT_OPTIONAL_LOCKS=0 git describe --tags --always --dirty 2>/dev/null || echo dev)
VERSION := $(VERSION)
COMMIT  ?= $(shell git rev-parse HEAD 2>/dev/null || echo unknown)
COMMIT  := $(COMMIT)

# RELEASE=1 builds what is handed to others: no folders of this machine in it, and names resolved by Go
# itself, the same way everywhere. Otherwise programs are built as tests and the linter are, so that the
# chain's thousand packages are compiled once and not once for each.
RELEASE ?=
BUILD_TAGS := $(if $(RELEASE),netgo)
SDK_VERSION_PKG := github.com/cosmos/cosmos-sdk/version
LDFLAGS = -X $(SDK_VERSION_PKG).Name=isuncoin \
	-X $(SDK_VERSION_PKG).AppName=$(1) \
	-X $(SDK_VERSION_PKG).Version=$(VERSION) \
	-X $(SDK_VERSION_PKG).Commit=$(COMMIT) \
	-X $(SDK_VERSION_PKG).BuildTags=$(BUILD_TAGS)
BUILD_FLAGS = $(if $(RELEASE),-trimpath) -tags '$(BUILD_TAGS)' -ldflags '$(call LDFLAGS,$(1))'
BINARIES := isunchaind isun-worker isun

# NVIDIA's header marks what older drivers need as deprecated, a hundred lines at the first build.
export CGO_CFLAGS ?= -O2 -g -Wno-deprecated-declarations

# One package's tests on a busy two-core machine need minutes, never this long.
TEST_TIMEOUT ?= 20m
TEST_FLAGS ?=
GO_TEST = go test -count=1 -timeout $(TEST_TIMEOUT) $(TEST_FLAGS)

# Simulation: blocks and seeds are kept short here; a long run sets them.
export SIM_BLOCKS ?= 30
export SIM_BLOCK_SIZE ?= 20
export SIM_SEEDS ?= 1,2,3
SIM_TIMEOUT ?= 20m

BENCH ?= .
BENCH_TIME ?= 1s

# KEEP=1 leaves what `make demo` started running.
KEEP ?=

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z][a-z0-9-]*:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{ printf "  %-14s %s\n", $$1, $$2 }'

##@ build

.PHONY: build
build: $(addprefix build/,$(BINARIES)) ## build isunchaind, isun-worker and isun into build/ (RELEASE=1: reproducible)

# go build decides what is up to date, so the rule always runs.
.PHONY: $(addprefix build/,$(BINARIES))
$(addprefix build/,$(BINARIES)): build/%:
	go build $(call BUILD_FLAGS,$*) -o $@ ./cmd/$*

# Without cgo, so no compiler for arm64 is needed; what is only there with cgo must be built by tag.
.PHONY: build-arm64
build-arm64: ## the worker and the client for arm64, into build/arm64/
	GOARCH=arm64 CGO_ENABLED=0 go build $(call BUILD_FLAGS,isun-worker) -o build/arm64/isun-worker ./cmd/isun-worker
	GOARCH=arm64 CGO_ENABLED=0 go build $(call BUILD_FLAGS,isun) -o build/arm64/isun ./cmd/isun

.PHONY: install
install: $(addprefix install-,$(BINARIES)) ## install the three binaries into the Go bin folder

.PHONY: $(addprefix install-,$(BINARIES))
$(addprefix install-,$(BINARIES)): install-%:
	go install $(call BUILD_FLAGS,$*) ./cmd/$*

.PHONY: clean
clean: ## remove build/ and the copied protos (the built tools stay)
	rm -rf build .cache/proto-deps .cache/proto-gen.* .cache/buf

##@ check

.PHONY: lint
lint: ## golangci-lint with the layering rules, and the consensus check
	@scripts/build-tools.sh lint
	go run ./scripts/consensuscheck ./app/... ./x/...
	.cache/tools/golangci-lint run

# What property tests draw from; 0 draws anew each time, as go test alone does.
RAPID_SEED ?= 1

.PHONY: test
test: build ## everything that must pass: unit, integration and end-to-end tests
	@scripts/ensure-docker.sh
	@scripts/ensure-opencl.sh
	@scripts/ensure-skopeo.sh
	@# The end-to-end tests run by themselves, after the others: they measure time.
	@status=0; set -x; \
	RAPID_SEED=$(RAPID_SEED) $(GO_TEST) $$(go list ./... | grep -v '/tests/e2e$$') || status=1; \
	ISUN_BIN='$(CURDIR)/build' $(GO_TEST) ./tests/e2e || status=1; \
	exit $$status

.PHONY: test-race
test-race: ## the worker, the clients and the image library under the race detector
	@scripts/ensure-docker.sh
	@scripts/ensure-opencl.sh
	@scripts/ensure-skopeo.sh
	$(GO_TEST) -race ./worker/... ./client/... ./uai/... ./examples/...

.PHONY: test-host
test-host: build ## a Debian server with nginx and PostgreSQL becomes an image and moves (debootstrap: as root, some minutes at first)
	@scripts/ensure-docker.sh
	@scripts/ensure-host-tree.sh
	ISUN_BIN='$(CURDIR)/build' $(GO_TEST) -tags hosttree ./tests/e2e -run '^TestDebianServer'

.PHONY: test-sim
test-sim: ## random transactions against the whole chain (SIM_SEEDS, SIM_BLOCKS, SIM_BLOCK_SIZE)
	go test -count=1 -timeout $(SIM_TIMEOUT) -tags sims $(TEST_FLAGS) ./tests/sim/...

# What the nightly simulation draws: seeds × blocks × transactions a block.
NIGHTLY_SEEDS ?= $(shell seq -s, 1 50)
NIGHTLY_BLOCKS ?= 300
NIGHTLY_BLOCK_SIZE ?= 30

.PHONY: sim-nightly
sim-nightly: ## long random chains in both executors, exported and imported in the middle (NIGHTLY_SEEDS, …_BLOCKS)
	SIM_SEEDS='$(NIGHTLY_SEEDS)' SIM_BLOCKS=$(NIGHTLY_BLOCKS) SIM_BLOCK_SIZE=$(NIGHTLY_BLOCK_SIZE) \
		go test -count=1 -timeout 0 -tags sims -v $(TEST_FLAGS) ./tests/sim/...

MARKET_STEPS ?= 2000000

.PHONY: market-soak
market-soak: ## a random market with books of its own, for MARKET_STEPS messages
	MARKET_STEPS=$(MARKET_STEPS) go test -count=1 -timeout 0 -v $(TEST_FLAGS) ./tests/market

# folder:target
FUZZ_TIME ?= 3m
FUZZ_TARGETS ?= $(addsuffix :FuzzMsg,x/suns/keeper x/lease/keeper x/audit/keeper x/uai/keeper) \
	x/lease/types:FuzzParseLeaseID x/lease/types:FuzzParsePlacementID x/suns/types:FuzzParseNodeID \
	x/suns/types:FuzzGenesis x/uai/types:FuzzParseImageID x/typedevent:FuzzEventIsThatOfTheSDK uai:FuzzImage uai:FuzzParseConfig worker/netbench:FuzzReadFrame worker/probe:FuzzKernelText worker/cloud/registry:FuzzRequest \
	worker/cloud/chunk:FuzzCut worker/cloud/chunk:FuzzDecode worker/cloud/object:FuzzWalk \
	$(addprefix matproof:,FuzzParseProof FuzzVerify FuzzVerifyInMemory)

.PHONY: fuzz
fuzz: ## every fuzz target for FUZZ_TIME
	@set -x; for target in $(FUZZ_TARGETS); do \
		go test ./$${target%%:*} -run '^$$' -fuzz "^$${target##*:}$$" -fuzztime $(FUZZ_TIME) -parallel 1; \
	done

.PHONY: bench
bench: build ## what things cost, into build/bench/report.json (BENCH chooses by pattern, BENCH_TIME how long each)
	@scripts/ensure-docker.sh
	@scripts/ensure-opencl.sh
	@# One package at a time: they measure time.
	ISUN_BIN='$(CURDIR)/build' ISUN_BENCH_REPORT='$(CURDIR)/build/bench/report.json' go test -p 1 -run '^$$' \
		-bench '$(BENCH)' -benchtime $(BENCH_TIME) -benchmem -timeout 120m ./tests/bench/...
	@cat build/bench/report.json

.PHONY: bench-compare
bench-compare: build ## what isun-worker bench finds beside sysbench, fio, iperf3, clpeak and STREAM (COMPARE=cpu memory disk network opencl)
	scripts/compare-bench.sh $(COMPARE)

# A million nodes need a disk, not memory, and no time limit.
BENCH_NODES ?= 1000000

.PHONY: bench-large
bench-large: ## the market's benchmarks with BENCH_NODES nodes, on disk
	BENCH_NODES=$(BENCH_NODES) BENCH_DB=goleveldb ISUN_BENCH_REPORT='$(CURDIR)/build/bench/report-large.json' \
		go test -run '^$$' -bench '$(BENCH)' -benchtime 3s -benchmem -timeout 0 ./tests/bench/scale

##@ run

.PHONY: demo
demo: build ## the main job on this machine, start to finish (KEEP=1 leaves it running)
	@scripts/ensure-docker.sh
	go build -o build/demo-runner ./scripts/demo
	KEEP='$(filter-out 0 no,$(KEEP))' build/demo-runner

.PHONY: demo-stop
demo-stop: ## end a demo that was left running
	@build/demo-runner stop

.PHONY: localnet
localnet: build/isunchaind ## a chain of one validator on this machine, nothing else
	build/isunchaind localnet

##@ schema

.PHONY: proto
proto: ## generate Go code from proto/, without a schema registry
	@scripts/proto.sh generate

.PHONY: proto-lint
proto-lint: ## check names, comments and layout of the .proto files
	@scripts/proto.sh lint

.PHONY: proto-check
proto-check: ## fail if the generated code is stale or a .proto is not formatted
	@scripts/proto.sh check

.PHONY: proto-format
proto-format: ## rewrite the .proto files in buf's format
	@scripts/proto.sh format
