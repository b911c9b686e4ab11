# Everything a person or CI calls. Needs make and Python 3.11+; the rest is made here, in .venv and .flotilla.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.SUFFIXES:

bootstrap := sh config/embedded/python.sh -m config.embedded.bootstrap

.PHONY: help demo test lint bench bench-docs soak openapi lock clean

help: ## Say what there is
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 20
	@echo
	@echo "  FLOTILLA_PORT=8001 and FLOTILLA_BIND=0.0.0.0 move the demo; the rest is in docs/operators/."

demo: ## Start everything on this machine until Ctrl-C (RESET=1 starts over)
	@exec $(bootstrap) demo --dashboard built -- -m config.embedded

test: ## Run all tests (ARGS="tests/fleet -x" for some)
	@exec $(bootstrap) dev --dashboard built -- -m tests.run $(ARGS)

lint: ## Check style, types and imports
	@exec $(bootstrap) dev --dashboard packages -- -m tests.lint

bench: ## Measure (ONLY=<prefix>, FULL=1 for the long ones)
	@exec $(bootstrap) dev -- -m benchmarks

bench-docs: ## Write docs/benchmarks.md from what was measured
	@exec $(bootstrap) dev -- -m benchmarks.docs

soak: ## Run the long forms of tests (ONLY=<name>)
	@exec $(bootstrap) dev --dashboard built -- -m tests.soak

openapi: ## Write docs/api/openapi.yaml
	@exec $(bootstrap) dev -- -m tests.openapi

lock: ## Resolve requirements*.in, with hashes (UPGRADE=1 takes the newest)
	@exec $(bootstrap) dev -- -m config.embedded.lock_requirements

clean: ## Remove what was built; data stays in .flotilla (make demo RESET=1)
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis build
	rm -rf frontend/node_modules frontend/dist frontend/.vite
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
