# Targets that need real programs. They are installed once into LARDER_CACHE.
# The tests run in namespaces: as root, or where users may make namespaces.

E2E := cd test/e2e &&

# Builds of terraform-provider-minio, which is in no package registry: one program
# terraform-provider-minio_vVERSION, or a folder of them. Without it the run says
# NOT RUN.
export LARDER_E2E_TF_PROVIDER ?= $(wildcard $(LARDER_CACHE)/tf-provider)

.PHONY: tools demo bench-sccache test-sccache e2e

tools: ## install every program that the end-to-end tests drive (about 40 minutes, once)
	$(E2E) go run ./cmd/tools

demo: build ## a server, two machines, real builds: cold and warm times and hits
	$(E2E) go run ./cmd/tools sccache-0.16 project-rust project-c >/dev/null
	$(E2E) go build -o ../../bin/demo ./cmd/demo && ../../bin/demo

bench-sccache: build ## warm builds from the server beside warm builds from sccache's own local disk
	$(E2E) go run ./cmd/tools sccache-0.16 project-rust >/dev/null
	$(E2E) go build -o ../../bin/demo ./cmd/demo && ../../bin/demo -disk-turns 5

test-sccache: build ## real sccache, its shortest proof: two machines, Rust and C
	$(E2E) go run ./cmd/tools sccache-0.16 project-rust project-c
	$(E2E) go test -count=1 -short -timeout 15m ./sccache

e2e: build tools ## every real client, unmodified
	$(E2E) go test -count=1 -timeout 80m -p 1 -v ./...
