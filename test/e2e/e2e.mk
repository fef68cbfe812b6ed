# Targets that need real programs. They are installed once into LARDER_CACHE.

E2E := cd test/e2e &&

.PHONY: tools test-sccache e2e

tools: ## install every program that the end-to-end tests drive
	$(E2E) go run ./cmd/tools

test-sccache: build ## real sccache, its shortest proof: two machines, Rust and C
	$(E2E) go run ./cmd/tools sccache-0.16 project-rust project-c
	$(E2E) go test -count=1 -short -timeout 10m ./sccache

e2e: build tools ## every real client, unmodified
	$(E2E) go test -count=1 -timeout 60m -p 1 -v ./...
