# Every target does its own set-up: on a fresh Debian machine with Rust and a C compiler nothing else has to be typed.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help demo release test lint test-clients prove prove-small bench setup setup-clients

BIN := target/release/qingwave
# More arguments for the demo, e.g. `make demo DEMO_ARGS="--listen 127.0.0.1:9000 --data demo-data"`.
DEMO_ARGS ?=
# The environments that scripts/setup.sh makes: the newest SDKs, which also drive the load of `make prove`, and those before.
SDKS := newest before
PYTHON := target/clients/newest/bin/python
export PYTHONDONTWRITEBYTECODE := 1

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

demo: release ## build and run the whole product with a built-in upstream: no provider key needed
	@exec $(BIN) demo $(DEMO_ARGS)

release: setup # the optimised binary, in minutes
	cargo build --release --locked

test: setup ## everything that needs cargo alone: unit, property, golden, layers, docs
	cargo test --workspace --locked

lint: setup ## formatting and clippy, warnings are errors
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings

test-clients: release setup-clients ## the quickstart, the official SDKs and command lines, the pages of docs/works-with
	PYTHON=$(PYTHON) tests/clients/quickstart.sh
	for sdk in $(SDKS); do \
	    QINGWAVE_BIN=$(BIN) target/clients/$$sdk/bin/python -m pytest -q -n 2 --dist worksteal -p no:cacheprovider tests/clients; \
	done

prove: release setup-clients ## kill -9, overdraft and reload storm at full size
	QINGWAVE_BIN=$(BIN) $(PYTHON) tests/prove/kill9.py --kills 100
	QINGWAVE_BIN=$(BIN) $(PYTHON) tests/prove/overdraft.py --calls 1000
	QINGWAVE_BIN=$(BIN) $(PYTHON) tests/prove/reloads.py --seconds 30

prove-small: release setup-clients ## the same in about a minute, as CI runs it
	QINGWAVE_BIN=$(BIN) $(PYTHON) tests/prove/kill9.py --kills 10
	QINGWAVE_BIN=$(BIN) $(PYTHON) tests/prove/overdraft.py --calls 1000
	QINGWAVE_BIN=$(BIN) $(PYTHON) tests/prove/reloads.py --seconds 5

bench: setup ## the gateway against bare Pingora (and nginx where installed), one table
	benches/run.sh

setup:
	@scripts/setup.sh build

setup-clients: setup
	@scripts/setup.sh clients
