# Needs python3 (3.11 to 3.13) with pip; all else is built by tools/release_env.py when it is first needed.

PYTHON ?= python3
RELEASE ?= 1.5.1
RELEASES ?= $(shell $(PYTHON) tools/release_env.py --list)
# Two workers: the machines this is tested on have two cores, and most tests lower a program.
PYTEST_ARGS ?= -n 2 --dist worksteal
# A thorough run judges every example under both profiles, on every release, and every repair: MARKS="not campaign".
MARKS ?= not campaign and not thorough

BIN := $(CURDIR)/.venvs/$(RELEASE)/bin
CORE_BIN := $(CURDIR)/.venvs/core/bin
# The backend looks for its tools (model-converter, vela) on PATH.
WITH_ENV := PATH="$(BIN):$$PATH"

# The tests start Python hundreds of times. Without byte code, most of each start is spent compiling fuseguard.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help demo cost zoo test test-site test-fast test-pythons test-releases release bench fuzz lint types docs \
  pictures env clean

help:
	@echo "make demo           train, quantize, check and lower a classifier, with and without fuseguard"
	@echo "make cost           what guard and repair cost on Ethos-U, by Vela's estimate"
	@echo "make zoo            build real models and judge their lowerings: hours; ZOO_ARGS chooses, docs/zoo.md has results"
	@echo "make test           lint, types and all tests, with ExecuTorch $(RELEASE)"
	@echo "make test-fast      the quick tests that need no torch, in an environment without torch"
	@echo "make test-pythons   most of these on Python 3.10, 3.12 and 3.13, those that are installed"
	@echo "make test-releases  all tests that lower programs, with ExecuTorch $(RELEASES)"
	@echo "make release        add the ExecuTorch release RELEASE: constraints, environment, comparison, recording"
	@echo "make bench          measure the rows of docs/performance.md, before and after the optimizations"
	@echo "make fuzz           100,000 damaged and forged files of every format: docs/fuzzing.md"
	@echo "make lint           ruff and mypy --strict"
	@echo "make types          mypy --strict alone"
	@echo "make docs           the documentation, in build/site"
	@echo "make pictures       the pictures of the documentation; needs chromium, and model-explorer for one"
	@echo "make clean          remove what the other targets left in this checkout"

env:
	@$(PYTHON) tools/release_env.py $(RELEASE) > /dev/null

demo: env
	@$(WITH_ENV) $(BIN)/python examples/digits/demo.py

cost: env
	@test -f examples/digits/out/digits.pt2 || $(MAKE) demo > /dev/null
	@$(WITH_ENV) $(BIN)/python examples/digits/cost.py

# The programs are built with the packages of constraints/zoo-1.5.1.txt, and lowered in the environments of the releases.
zoo:
	@for release in zoo-1.5.1 1.5.1 1.4.1; do $(PYTHON) tools/release_env.py $$release > /dev/null || exit 1; done
	PYTHONPATH=examples .venvs/zoo-1.5.1/bin/python -m zoo.run $(ZOO_ARGS)

lint: env
	$(BIN)/ruff check .
	@$(MAKE) --no-print-directory types

types: env
	$(BIN)/python -m mypy --strict

test: lint
	$(WITH_ENV) $(BIN)/python -m pytest -m "$(MARKS)" --ignore=tests/browser --ignore=tests/docs/test_site.py $(PYTEST_ARGS)
	@$(MAKE) --no-print-directory test-site

# The tests of the browser and of the site need packages that are in the environment without torch.
test-site:
	@$(PYTHON) tools/release_env.py core > /dev/null
	$(CORE_BIN)/python -m pytest tests/browser tests/docs/test_site.py

test-fast:
	@$(PYTHON) tools/release_env.py core > /dev/null
	$(CORE_BIN)/python -m pytest -m "not torch and not slow and not thorough and not campaign and not network" $(PYTEST_ARGS)

test-pythons:
	@$(PYTHON) tools/python_versions.py

test-releases:
	@failed=; for release in $(RELEASES); do \
	  echo "== ExecuTorch $$release"; \
	  python=$$($(PYTHON) tools/release_env.py $$release) || exit 1; \
	  PATH="$$(dirname "$$python"):$$PATH" "$$python" -m pytest tests/releases tests/plugin tests/differential -m "$(MARKS)" $(PYTEST_ARGS) \
	    || failed="$$failed $$release"; \
	done; \
	if [ -n "$$failed" ]; then echo "failed:$$failed"; exit 1; fi

release:
	@$(PYTHON) tools/release_env.py core > /dev/null
	$(CORE_BIN)/python tools/add_release.py $(RELEASE)

bench: env
	$(WITH_ENV) $(BIN)/python tests/bench/bench.py $(BENCH_ARGS)
	@$(PYTHON) tools/release_env.py core > /dev/null
	$(CORE_BIN)/python tools/generate_docs.py

fuzz:
	@$(PYTHON) tools/release_env.py core > /dev/null
	$(CORE_BIN)/python tools/fuzz.py $(FUZZ_ARGS)

docs:
	@$(PYTHON) tools/release_env.py core > /dev/null
	$(CORE_BIN)/python tools/generate_docs.py
	NO_MKDOCS_2_WARNING=1 $(CORE_BIN)/mkdocs build --strict --quiet

pictures:
	@$(PYTHON) tools/release_env.py core > /dev/null
	$(CORE_BIN)/python tools/pictures.py

clean:
	rm -rf .venvs build dist htmlcov .coverage .coverage.* .mypy_cache .pytest_cache .ruff_cache .hypothesis
	rm -rf examples/digits/out
	find verifier rules tests tools examples -name __pycache__ -type d -prune -exec rm -rf {} +
