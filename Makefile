.DEFAULT_GOAL := help
.PHONY: help demo build test race fuzz bench micro lint clean

FUZZTIME ?= 60s
RENDITIONS ?= live,packed60
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-7s %s\n", $$1, $$2 }' Makefile

demo: ## a Space in the browser: prints the address
	go run ./cmd/spaces

build: ## stentord, stentor and spaces into bin/
	go build -o bin/ ./cmd/...

test: ## all tests, with real browsers; installs what they need
	./test

race: ## the Go tests with the race detector, without browsers
	./test --quick --race

fuzz: ## every fuzz target for FUZZTIME=60s
	.ci/fuzz $(FUZZTIME)

bench: ## fan-out to 500 listeners against the floor and plain pion: five minutes
	go run ./cmd/stentor bench fanout --listeners 500 --talking 3,1 --rendition $(RENDITIONS) --duration 15s --against pion

micro: ## Go benchmarks of the parts
	go test -bench . -run ^$$ ./...

lint: ## gofmt, vet, staticcheck
	@test -z "$$(git ls-files '*.go' | xargs gofmt -l | tee /dev/stderr)"
	go vet ./...
	go run $(STATICCHECK) ./...

clean: ## removes bin/
	rm -rf bin
