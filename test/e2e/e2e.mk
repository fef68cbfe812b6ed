# Targets that need real programs. They are installed once into LARDER_CACHE.

E2E := cd test/e2e &&

.PHONY: tools

tools: ## install every program that the end-to-end tests drive
	$(E2E) go run ./cmd/tools
