# SPDX-License-Identifier: Apache-2.0
# Thin front of meson. `make help` lists the targets.

BUILD ?= build
SAN ?= 0
JOBS ?= $(shell nproc)

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1\t\2/p' Makefile | expand -t 12

deps: ## install what a build needs (apt)
	@tools/deps.sh build

$(BUILD)/build.ninja:
	@meson setup $(BUILD) --buildtype=debugoptimized -Dwerror=true >$(BUILD).log 2>&1 || { cat $(BUILD).log; exit 1; }
	@mv $(BUILD).log $(BUILD)/setup.log

build: deps $(BUILD)/build.ninja ## build/telamon-agent, build/telamon-route, build/telamon
	@ninja -j$(JOBS) -C $(BUILD) --quiet

run: build ## start the agent in the foreground with its embedded defaults
	@tools/run.sh $(BUILD)

run-route: build ## start the gateway with an example configuration and a counting sink
	@tools/run-route.sh $(BUILD)

test: ## every tier that this host can run; SAN=1: unit, golden and fuzz corpus under sanitizers; SAN=thread: the gateway's threads
	@tools/deps.sh build test vm
	@SAN=$(SAN) BUILD=$(BUILD) tools/test.sh

vm: build ## the whole matrix of guest kernels
	@tools/deps.sh test vm
	@tests/vm/run.sh --matrix full

fuzz: ## run each fuzz target for FUZZ_SECONDS (60)
	@tools/deps.sh build test
	@tests/fuzz/run.sh

bench: build ## every benchmark; figures go to bench/results
	@tools/deps.sh test bench
	@bench/run.sh

bench-route: build ## the gateway beside vmagent; figures go to bench/results
	@tools/deps.sh test bench
	@BUILD=$(BUILD) bench/route/run
	@BUILD=$(BUILD) bench/route/edges
	@$(BUILD)/bench/route/bench_relabel | tee bench/results/route-relabel.txt

install: build ## install below DESTDIR
	@meson install -C $(BUILD) --quiet

clean: ## remove the build directory
	@rm -rf $(BUILD)

.PHONY: help deps build run run-route bench-route test vm fuzz bench install clean
