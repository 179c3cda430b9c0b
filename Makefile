# Short names for the usual commands; .ci/run holds the checks themselves.

SHARED ?= ../shared

.PHONY: all build test lint race fuzz testdata bench pgo score ci

all: build test

build:
	CGO_ENABLED=0 go build -o tcpfollow ./cmd/tcpfollow

test:
	CGO_ENABLED=0 go test ./...

lint:
	.ci/run format tidy vet staticcheck golangci

race:
	.ci/run race

fuzz:
	.ci/run fuzz

testdata:
	go run ./internal/cmd/mktestdata testdata

bench:
	CGO_ENABLED=0 go test -run '^$$' -bench . -count 10 ./bench

# The profile that the compiler optimises the program by: renew it when the hot paths have changed.
pgo:
	CGO_ENABLED=0 go test -run '^$$' -bench Follow -benchtime 5s -cpuprofile cmd/tcpfollow/default.pgo -o /dev/null ./bench

score:
	TCPFOLLOW_SHARED=$(SHARED) .ci/run score

ci:
	.ci/run
