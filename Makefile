# linekeep: `make help` lists what there is.
export PATH := $(PATH):$(HOME)/.cargo/bin
.DEFAULT_GOAL := help
.PHONY: help demo build test check manuals deb deb-check reproducible package-test plain-test trixie-build vm-test bench bench-decoys bench-sandbox fuzz clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

demo: ## set everything up and show the main job on this machine's own package checksums
	@scripts/demo

build: ## the three programs, in target/release
	@scripts/setup build
	cargo build --locked --release --bins

test: ## every test
	@scripts/setup test
	cargo build --locked --no-default-features --bin linekeep --target-dir target/client
	cargo test --locked --no-fail-fast
	cargo test --locked --features manuals --lib command::manuals

check: ## format, clippy, dependencies, documentation, generated files
	@scripts/setup check
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	cargo clippy --locked --no-default-features --bin linekeep --target-dir target/client -- -D warnings
	cargo clippy --locked --features manuals --lib --bin linekeep-manuals -- -D warnings
	@scripts/deny
	RUSTDOCFLAGS='-D warnings' cargo doc --locked --no-deps --quiet
	@cargo run --locked --quiet --bin linekeepd -- reference | diff -u docs/configuration.md - \
	    || { echo 'docs/configuration.md is stale: cargo run --bin linekeepd -- reference > docs/configuration.md' >&2; exit 1; }
	@cargo run --locked --quiet --bin linekeepd -- reference --records | diff -u docs/records.md - \
	    || { echo 'docs/records.md is stale: cargo run --bin linekeepd -- reference --records > docs/records.md' >&2; exit 1; }
	@scripts/manuals check
	@scripts/crates-copyright --check

manuals: ## write man pages and completions anew, out of the definitions
	@scripts/setup build
	@scripts/manuals write

deb: ## the Debian packages, in target/deb
	@scripts/setup package
	@scripts/deb

package-test: deb ## the packages in real Debian 12 and 13 with systemd: install, serve, upgrade, purge
	python3 packaging/test/package_test.py $(SUITES)

plain-test: deb ## the packages where no systemd runs: the init script, and piuparts
	python3 packaging/test/plain_test.py $(SUITES)

trixie-build: ## the packages built in a Debian 13 by its own rustc and cargo, from apt alone
	@scripts/setup package
	python3 packaging/test/build_test.py

vm-test: deb ## the packages in a virtual machine with Debian's own kernel: AppArmor, memory limits, address filters
	@scripts/setup vm
	python3 packaging/test/vm_test.py

deb-check: deb ## what reviewers of the packages look at first: lintian, hardening, exposure of the unit
	@scripts/deb-check

reproducible: ## two builds of the packages from two folders, which must not differ in a bit
	@scripts/setup package
	@scripts/reproducible

bench: ## compare ways of looking up and write docs/performance; QUICK=1: in two minutes, to target/performance
	@scripts/setup build
	cargo bench --locked --bench performance $(if $(QUICK),-- quick,$(if $(LINES),-- lines $(LINES)))

bench-decoys: ## whether the time of a refusal tells known identities from unknown ones (HANDSHAKES=20000)
	@scripts/setup build
	cargo bench --locked --bench decoys -- $(or $(HANDSHAKES),20000)

bench-sandbox: deb ## what the unit's sandbox costs, beside a server that looks nothing up (ROUNDS=5)
	python3 packaging/test/sandbox_cost.py $(ROUNDS)

SECONDS_EACH ?= 60
fuzz: ## run every fuzz target for SECONDS_EACH seconds
	@scripts/setup build
	@scripts/fuzz $(SECONDS_EACH)

clean: ## remove what was built
	rm -rf target fuzz/target
