# Everything that a person or CI runs. `make` formats, lints and tests.
#
# Tools and test programs are pinned by the project's own files and built once
# into LARDER_CACHE, outside the checkout.

SHELL       := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
export CGO_ENABLED := 0
export LARDER_CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/larder

LINT_VERSION := 2.15.0
LINT         := $(LARDER_CACHE)/bin/golangci-lint-$(LINT_VERSION)

.PHONY: all build run fmt lint unit faults race test mutants bench help

all: fmt lint test ## format, lint, test

build: ## build bin/larder
	go build -trimpath -o bin/ ./cmd/...

run: build ## build and run a server that stock sccache can use at once
	./bin/larder serve ./data

fmt: $(LINT) ## format the code
	$(LINT) fmt

lint: $(LINT) ## check format and lint rules
	$(LINT) fmt --diff
	$(LINT) run
	cd test/e2e && $(LINT) run -c ../../.golangci.yml
	cd tools && $(LINT) run -c ../.golangci.yml ./mutants

test: unit test-sccache ## unit, conformance, crash and fault tests, and a real sccache (10 minutes on 2 cores)

unit: ## unit, conformance, crash and fault tests, the long walks thinned out
	go test -short -shuffle=on -timeout 20m ./...

faults: ## the long walks in full: every disk operation failed and crashed at, every byte flipped
	go test -count=1 -v -timeout 60m -run 'TestCrash|TestFaults|TestFlip|TestModel|TestKill' ./internal/engine/local | grep -v '^=== '

bench: build ## compare the server with a bare handler, as ratios beside their bars (BENCH='-many 0' for the short form)
	go build -trimpath -o bin/ ./test/bench ./test/bench/baseline
	./bin/bench -baseline bin/baseline $(BENCH)

race: ## the same under the race detector (needs a C compiler)
	CGO_ENABLED=1 go test -race -shuffle=on ./...

mutants: ## plant defects, one at a time, and demand that a test catches each
	cd tools && go test -count=1 ./mutants && go run ./mutants

$(LINT):
	mkdir -p $(@D)
	cd tools && go build -o $@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint

help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## /\1\t/' | expand -t 12

include test/e2e/e2e.mk
