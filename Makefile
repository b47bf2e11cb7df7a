# `make help` lists what there is. `make check` is exactly what CI runs.

SQLC := CGO_ENABLED=0 go run github.com/sqlc-dev/sqlc/cmd/sqlc@v1.31.1
LINT := CGO_ENABLED=0 go run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
STATIC := CGO_ENABLED=0 go build -trimpath -ldflags '-s -w'

TESTFLAGS ?= -timeout 10m
FUZZTIME ?= 20s
BENCHTIME ?= 1s

.DEFAULT_GOAL := help
.PHONY: help demo test short race fuzz bench bench-peers bench-check plans storm sim crash build gen gen-check fmt fmt-check vet lint check up down clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## run the two quickstart jobs against 1 API and 2 workers and stay up (ONCE=1: stop when both are done; LISTEN=127.0.0.1:8081: another port)
	@./scripts/need-postgres.sh
	@$(STATIC) -o bin/statek ./cmd/statek
	go run ./examples/triage/demo $(if $(ONCE),-once) $(if $(LISTEN),-listen $(LISTEN))

test: ## run every test, against a real PostgreSQL
	@./scripts/need-postgres.sh
	@./scripts/need-pgbouncer.sh
	@go build -o bin/testcount ./scripts/testcount
	@go test -json $(TESTFLAGS) ./... | bin/testcount

short: ## run the tests that need no database
	@go build -o bin/testcount ./scripts/testcount
	@go test -json -short $(TESTFLAGS) ./... | bin/testcount

race: ## run every test under the race detector (needs a C compiler)
	@./scripts/need-postgres.sh
	@./scripts/need-pgbouncer.sh
	@go build -o bin/testcount ./scripts/testcount
	@CGO_ENABLED=1 go test -json -race $(TESTFLAGS) ./... | bin/testcount

fuzz: ## run each fuzz target for FUZZTIME (20s)
	@grep -rHoE '^func Fuzz[A-Za-z0-9_]+' --include='*_test.go' . | while IFS=: read -r file func; do \
		echo "$${func#func } in $$(dirname "$$file")"; \
		go test -run '^$$' -fuzz "^$${func#func }\$$" -fuzztime $(FUZZTIME) "$$(dirname "$$file")" </dev/null || exit 1; \
	done

bench: ## run every benchmark for BENCHTIME (1s)
	@./scripts/need-postgres.sh
	go test -run '^$$' -bench . -benchtime $(BENCHTIME) -timeout 30m ./...

bench-peers: ## the same jobs on Statek and its peers, in 5 minutes (ROUNDS=3, N=2000, ONLY=statek,statek-shared,statek-floor,floor-shared,dbos,river-tuned,river,river-noop,temporal,scaling)
	@./scripts/need-postgres.sh
	@$(STATIC) -o bin/statek-worker ./cmd/worker
	@cd bench && CGO_ENABLED=0 go build -o ../bin/bench .
ifneq (,$(findstring temporal,$(or $(ONLY),temporal)))
	@cd bench/temporal && CGO_ENABLED=0 go build -p 1 -o ../../bin/bench-temporal .
endif
	@bin/bench -rounds $(or $(ROUNDS),3) -n $(or $(N),2000) $(if $(ONLY),-only $(ONLY)) -worker bin/statek-worker \
		$(if $(findstring temporal,$(or $(ONLY),temporal)),-temporal bin/bench-temporal)

bench-check: ## vet and test the module of bench-peers
	cd bench && go vet ./... && go test ./...

plans: ## explain every query and count scans at PLENTY (10000000) rows of history; takes minutes and 10 GB of disk
	@./scripts/need-postgres.sh
	STATEK_PLENTY_ROWS=$(or $(PLENTY),10000000) go test -timeout 60m -count 1 -v -run '^(TestPlansOfQueries|TestWorkReadsNoGrownTable)$$' ./internal/store ./internal/app

storm: ## 10,000 tasks for 256 waiting jobs, while workers are killed and listeners cut off (STATEK_STORM_TASKS, STATEK_STORM_SEED)
	@./scripts/need-postgres.sh
	STATEK_STORM_TASKS=$${STATEK_STORM_TASKS:-10000} go test $(TESTFLAGS) -run '^TestClaimsInAStorm$$' -count 1 -v ./e2e

sim: ## simulate SEEDS (100000) worlds from SIM_FROM (0) on; one in which a rule is broken goes to internal/sim/testdata/seeds
	SEEDS=$${SEEDS:-100000} go test ./internal/sim -run '^TestSimulation$$' -count 1 -timeout 24h -v

crash: ## kill workers at every point of every scenario, then 2,000 jobs in a riot (CRASH_SEED, CRASH_JOBS, CRASH_SECONDS)
	@./scripts/need-postgres.sh
	CRASH_ALL=1 CRASH_JOBS=$${CRASH_JOBS:-2000} CRASH_SECONDS=$${CRASH_SECONDS:-420} go test -timeout 40m -run '^(TestKill9AtEveryPoint|TestKill9AtRarePoints|TestRiot)$$' -count 1 -v ./e2e

build: ## build static binaries: bin/statek-api, bin/statek-worker, bin/statek
	$(STATIC) -o bin/statek-api ./cmd/api
	$(STATIC) -o bin/statek-worker ./cmd/worker
	$(STATIC) -o bin/statek ./cmd/statek

gen: ## write what is generated: internal/store/db from SQL, docs/states.md from the state machine
	$(SQLC) generate
	go test ./internal/jobs -run TestStatesPage -update

gen-check: ## fail when generated code is not what the SQL says
	$(SQLC) diff

fmt: ## format all Go files
	gofmt -s -w .

fmt-check: ## fail when a Go file is not formatted
	@unformatted=$$(gofmt -s -l .); [ -z "$$unformatted" ] || { echo "not formatted, run make fmt:"; echo "$$unformatted"; exit 1; }

vet: ## run go vet
	go vet ./...

lint: ## run the linters of .golangci.yml
	$(LINT) run
	cd bench && $(LINT) run

check: fmt-check vet lint gen-check build test bench-check ## all of the above that CI demands

up: ## start the compose file: PostgreSQL, 2 APIs, 3 workers and a load balancer on port 8080
	docker compose up --build --detach --wait

down: ## stop it and remove its containers; the volume stays
	docker compose down

clean: ## remove what was built
	rm -rf bin
