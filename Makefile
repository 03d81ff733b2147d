# test   everything a change must pass: vet, all tests under the race detector; installs what is missing
# soak   the long runs: races, millions of random cases, floods
# bench  the benchmarks, those against peers in internal/bench included
# fuzz   every fuzz target in turn, FUZZTIME each
# e2e    the example in a real browser; installs Chromium when missing
# lint   gofmt, vet, staticcheck, govulncheck

GO        ?= go
FUZZTIME  ?= 30s
BENCH     ?= .
BENCHTIME ?= 1s

# Vectors lie beside the repository, not in it; tests of vectors skip without them.
VECTORS := $(wildcard ../shared/testdata)
ifneq ($(VECTORS),)
export VESTIBULE_VECTORS ?= $(abspath $(VECTORS))
endif

# Modules of their own below the root; internal/tools has no code.
NESTED := $(filter-out internal/tools,$(patsubst %/go.mod,%,$(wildcard internal/*/go.mod)))

NEED := GO="$(GO)" sh internal/tools/need.sh

.PHONY: test soak bench fuzz e2e lint vet-nested

# -count=1: the cache does not see vectors change, for they lie outside the module. -vet=all: vet beside the tests, of the
# same builds; a go vet of its own would build everything once more, without -race.
test:
	$(NEED) cc redis
	CGO_ENABLED=1 VESTIBULE_REQUIRE_REDIS=1 $(GO) test -race -vet=all -count=1 -shuffle=on -timeout 9m ./...
	$(MAKE) --no-print-directory vet-nested

vet-nested:
	$(NEED) cc
	@set -e; for m in $(NESTED); do echo "$(GO) vet ./... in $$m"; (cd $$m && CGO_ENABLED=1 $(GO) vet -race ./...); done

soak:
	$(NEED) cc redis
	CGO_ENABLED=1 VESTIBULE_SOAK=1 VESTIBULE_REQUIRE_REDIS=1 $(GO) test -race -count=1 -run Soak -timeout 60m ./...

bench:
	$(NEED) redis
	VESTIBULE_REQUIRE_REDIS=1 $(GO) test -run '^$$' -bench '$(BENCH)' -benchtime $(BENCHTIME) -benchmem -timeout 60m ./...
	if [ -e internal/bench/go.mod ]; then cd internal/bench && \
		VESTIBULE_REQUIRE_REDIS=1 $(GO) test -run '^$$' -bench '$(BENCH)' -benchtime $(BENCHTIME) -benchmem -timeout 60m ./...; fi

fuzz:
	GO="$(GO)" FUZZTIME="$(FUZZTIME)" sh internal/tools/fuzz.sh

e2e:
	$(NEED) chromium firefox node xvfb tshark curl redis
	cd internal/e2e && $(GO) test -count=1 -timeout 10m ./...

lint: vet-nested
	$(GO) vet ./...
	GO="$(GO)" sh internal/tools/lint.sh . $(NESTED)
