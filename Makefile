# SandboxLabs. `make` lists the targets.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
# Tests and builds share the machine's libvirt and its processors.
.NOTPARALLEL:
MAKEFLAGS += --no-builtin-rules

MICRO := images/build/micro.qcow2
SCRIPTS = $(shell git ls-files -- '*.sh' .ci/run images/micro/rootfs/etc/init.d images/micro/rootfs/etc/acpi images/micro/initramfs/init)

# In the group that was joined by this very set-up, too.
WITH_LIBVIRT = deploy/with-libvirt.sh

# golangci-lint includes staticcheck.
GOLANGCI := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.12.0
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.6.0
GOTESTSUM := gotest.tools/gotestsum@v1.13.0

# What the targets of tests take: RUN is a regular expression of the tests to run, PKG the Go
# packages, REPORT a file for the results in JUnit's form.
RUN ?=
PKG ?= ./...
REPORT ?=
quote = '$(subst ','\'',$(value $(1)))'

# Four tests of a package at a time: most wait, for libvirt and for guests, which have slots of
# their own. Go starts those that wait for each other roughly in the reverse order of their files:
# tests that take more than a minute are in files whose names come late, so that the others do not
# wait for one. The report names packages by their folders.
GO_TEST = go run $(GOTESTSUM) --format=standard-quiet \
	$(if $(REPORT),--junitfile=$(REPORT) --junitfile-testcase-classname=relative) \
	-- -race -count=1 -p 2 -parallel 4 -timeout 30m $(if $(value RUN),-run $(call quote,RUN)) $(PKG)

# What CI runs beside the tests: make test ALSO='lint fuzz'.
ALSO ?=
# The parts in the order in which they run. What is quoted separately runs side by side, but
# not the browser beside the Go tests: these make networks, and Chromium drops its requests
# (ERR_NETWORK_CHANGED) when the machine's interfaces change.
LANES ?= '$(ALSO) test-unit test-go test-browser' test-image
# After this time, what still runs is ended, and is a failure.
LIMIT ?= 1h

.PHONY: help
help: ## List these targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: setup
setup: ## Prepare the machine: packages, libvirt, the micro image, the binary
	@deploy/setup.sh
	@$(MAKE) --no-print-directory micro build
	@$(WITH_LIBVIRT) bin/sandboxlabs image add --base micro --os-type linux $(MICRO)

.PHONY: run
run: setup ## Set up, then start the service in the background and print how to sign in
	@$(WITH_LIBVIRT) deploy/run.sh

.PHONY: stop
stop: ## Stop the service that `make run` started; the nodes keep running
	@deploy/stop.sh

.PHONY: micro
micro: ## Build the micro image, unless it is up to date
	@images/micro/build.sh $(MICRO)

.PHONY: build
build: web ## Build bin/sandboxlabs, browser UI included
	go build -o bin/sandboxlabs ./cmd/sandboxlabs

# npm writes this file at the end of an installation.
web/node_modules/.package-lock.json: web/package-lock.json
	cd web && npm ci --no-audit --no-fund
	@touch $@

.PHONY: dev
dev: web/node_modules/.package-lock.json ## Serve the UI with hot reload, for a running service (SANDBOXLABS_URL=http://127.0.0.1:3001)
	cd web && npm run dev

.PHONY: release
release: ## Build bin/sandboxlabs for a release: fails if known vulnerabilities were not checked
	RELEASE=1 deploy/vulncheck.sh $(GOVULNCHECK)
	@$(MAKE) --no-print-directory build

.PHONY: web
web: web/dist/index.html

web/dist/index.html: web/node_modules/.package-lock.json $(shell find web/src web/public web/scripts web/index.html web/*.json web/vite.config.ts docs/*.md -type f 2>/dev/null)
	cd web && npm run build
	@touch $@

.PHONY: test
test: setup-test ## Set up, build and run all tests; the end lists what failed (ALSO='lint fuzz' adds these)
	@$(WITH_LIBVIRT) go run ./tools/suite run -limit $(LIMIT) -first 'build micro' $(LANES)

# N times, beside LOAD cores that a loop keeps busy.
N ?= 20
LOAD ?= 0
PART ?= test-go
.PHONY: test-again
test-again: build micro ## Run tests N=20 times and print how often each failed (RUN=regex PKG=packages PART=test-browser LOAD=cores)
	@$(WITH_LIBVIRT) go run ./tools/suite again -n $(N) -load $(LOAD) $(PART)

.PHONY: setup-test
setup-test:
	@deploy/setup.sh --test

.PHONY: test-go
test-go: build micro ## The Go tests, against the machine's libvirt (RUN=regex PKG=packages)
	$(WITH_LIBVIRT) $(GO_TEST)

# A few seconds each: what is found is kept in testdata/fuzz, and tried by every `make test-go`.
FUZZ_SECONDS ?= 15
.PHONY: fuzz
fuzz: ## Fuzz the parsers of image headers; takes a minute
	@for target in FuzzParseQcow2 FuzzIncoming FuzzVHDX FuzzXZ; do \
		go test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZ_SECONDS)s ./internal/diskimage; \
	done

.PHONY: test-unit
test-unit: web ## The browser UI's unit tests (RUN=regex)
	cd web && npm run test:unit -- $(if $(REPORT),--reporter=default --reporter=junit --outputFile.junit=$(REPORT)) $(if $(value RUN),-t $(call quote,RUN))

.PHONY: test-browser
test-browser: build micro ## The browser UI's tests in Chromium (RUN=regex)
	cd web && PWTEST_CACHE_DIR=$(CURDIR)/.cache/playwright PLAYWRIGHT_JUNIT_OUTPUT_FILE=$(REPORT) ../$(WITH_LIBVIRT) npm run test:e2e -- $(if $(value RUN),-g $(call quote,RUN))

.PHONY: test-image
test-image: micro ## Boot the micro image and test its features
	$(WITH_LIBVIRT) images/micro/test.sh $(MICRO)

.PHONY: test-debian
test-debian: build ## Build a Debian image, boot it, and test its cloud-init; as root, some minutes
	images/debian/build.sh images/build/debian.qcow2
	SANDBOXLABS_DEBIAN_IMAGE=$(CURDIR)/images/build/debian.qcow2 $(WITH_LIBVIRT) go test -count=1 -timeout 1h -v -run 'TestDebian$$' ./cmd/sandboxlabs

.PHONY: test-debian13
test-debian13: ## Run `make test` in a Debian 13 container, as root (RUN=regex PKG=packages: only these Go tests)
	@deploy/debian13.sh make $(if $(value RUN)$(filter-out ./...,$(PKG)),setup-test test-go RUN=$(call quote,RUN) PKG=$(call quote,PKG),test LIMIT=$(LIMIT))

.PHONY: lint
lint: setup-test web ## Check format, wording, style, known weaknesses and types
	@unformatted=$$(git ls-files -z -- '*.go' | xargs -0 gofmt -l); [ -z "$$unformatted" ] || { echo "gofmt wants changes in:"; echo "$$unformatted"; exit 1; }
	shellcheck -x $(SCRIPTS)
	go run ./tools/words
	cd web && npm run typecheck && npm run lint && npm run format:check
	@go run ./cmd/sandboxlabs openapi | cmp -s - web/openapi.json || { echo "web/openapi.json is outdated: run make build && bin/sandboxlabs openapi > web/openapi.json, then npm run generate in web/"; exit 1; }
	cd web && npm run generate -- --check
	go vet ./...
	@# A cache for this checkout only: results of another one name its paths.
	GOLANGCI_LINT_CACHE=$(CURDIR)/.cache/golangci-lint go run $(GOLANGCI) run --allow-parallel-runners
	@deploy/vulncheck.sh $(GOVULNCHECK)

.PHONY: bench
bench: build micro ## Measure against virsh and cp
	$(WITH_LIBVIRT) go test -tags bench -count=1 -timeout 30m -v ./internal/bench
	SANDBOXLABS_SCALE_DOMAINS=$${SANDBOXLABS_SCALE_DOMAINS:-1000} $(WITH_LIBVIRT) go test -count=1 -timeout 30m -v -run 'TestScale$$' ./cmd/sandboxlabs
	cd web && SANDBOXLABS_FIRST_PAGE_MS=$${SANDBOXLABS_FIRST_PAGE_MS:-1000} ../$(WITH_LIBVIRT) npm run test:e2e -- speed.spec.ts

.PHONY: fault
fault: build micro ## Kill and stop libvirtd and the service repeatedly at random moments; as root
	SANDBOXLABS_FAULT_ROUNDS=$${SANDBOXLABS_FAULT_ROUNDS:-200} $(WITH_LIBVIRT) go test -race -count=1 -timeout 2h -v -run 'TestFault' ./cmd/sandboxlabs
	SANDBOXLABS_TUS_BYTES=1073741824 SANDBOXLABS_UPLOAD_BYTES=536870912 \
		$(WITH_LIBVIRT) go test -count=1 -timeout 30m -v -run 'TestStockTusClient|TestTenUploads' ./cmd/sandboxlabs

.PHONY: block-jobs
block-jobs: build micro ## Pull, commit and copy a running guest's disk 200 times while its usage is read 50 times a second; as root
	SANDBOXLABS_BLOCK_JOBS=$${SANDBOXLABS_BLOCK_JOBS:-200} $(WITH_LIBVIRT) go test -race -count=1 -timeout 1h -v -run 'TestBlockJobs$$' ./cmd/sandboxlabs

.PHONY: soak
soak: build micro ## Create and delete 2,000 nodes and 10,000 consoles, and check that resource usage stays flat
	SANDBOXLABS_SOAK_CYCLES=$${SANDBOXLABS_SOAK_CYCLES:-2000} SANDBOXLABS_SOAK_CONNECTS=$${SANDBOXLABS_SOAK_CONNECTS:-10000} \
		$(WITH_LIBVIRT) go test -count=1 -timeout 12h -v -run 'TestSoak$$' ./cmd/sandboxlabs

.PHONY: screenshots
screenshots: build micro ## Update the screenshots of the browser UI
	cd web && ../$(WITH_LIBVIRT) npm run screenshots
	@# For a picture that would not get smaller, pngquant exits with 98 or 99 and changes nothing.
	@! command -v pngquant >/dev/null || pngquant --force --ext .png --skip-if-larger --strip --quality 65-95 docs/screenshots/*.png || [ $$? -ge 98 ]
