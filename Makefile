# leadbus: 'make help' lists the targets.
SHELL := /bin/sh
GO ?= go
export CGO_ENABLED ?= 1
CACHE := .cache

.DEFAULT_GOAL := help
.PHONY: help run test quality bench chaos cluster lint fmt build postgres deploy nats clean

help: ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: postgres ## set up what is missing and run everything on this machine, with sandbox vendors
	@$(GO) build -o bin/leadbus ./cmd/leadbus
	@exec bin/leadbus run

test: postgres ## set up what is missing and run every test with the race detector
	$(GO) test -race -timeout 15m ./test ./... # the longest first

quality: ## measure the call detectors on the labelled calls: precision and recall
	@$(GO) test -count 1 -run TestQuality -v ./internal/role/scanner/quality

bench: postgres ## measure accepting, the whole way and the recorder, beside the bare broker, disk and Postgres
	$(GO) test -run '^$$' -bench . -benchtime 5s -timeout 20m ./test/
	$(GO) test -run '^$$' -bench Record -benchtime 300x ./internal/engine/store/

chaos: postgres ## kill, stop and cut every process under load, then count from outside; CHAOS=10m for longer
	$(GO) run ./test/chaos $(if $(CHAOS),--duration $(CHAOS)) $(CHAOS_FLAGS)

cluster: postgres ## three NATS nodes and two of every role as processes of their own, with sandbox vendors, until Ctrl-C
	$(GO) run ./test/chaos --cluster --serve

lint: ## run the pinned linter (built on first use)
	$(GO) tool -modfile=tools/go.mod golangci-lint run ./...

fmt: ## format the code
	$(GO) tool -modfile=tools/go.mod golangci-lint fmt ./...

build: ## build every command into bin/
	$(GO) build -trimpath -o bin/ ./cmd/...

postgres: ## find Postgres binaries, and PgBouncer for a test, or install or fetch them
	@sh scripts/postgres.sh $(CACHE)/postgres

deploy: build ## make the keys, secrets and accounts file that docker-compose.yml mounts
	@sh deploy/prepare.sh

nats: ## build the pinned nats CLI into bin/nats
	cd tools/nats && $(GO) build -o ../../bin/nats github.com/nats-io/natscli/nats

clean: ## remove binaries and caches; data stays
	rm -rf bin $(CACHE)
