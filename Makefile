# Targets for people and for the gate. `make` alone lists them.
# Needs: Python 3.11 or newer with venv and pip, make, a C compiler. Everything else goes into $(VENV).

VENV ?= .venv
OUT ?= demo-report
MINUTES ?= 15
LEARNING ?= runs/learning
BENCHES ?= start byol folder reading frozen_study knn tsne raster growth
ARGS ?=
# Tested with 3.11, so that one comes first; an interpreter that is too old or broken is passed over.
PYTHON ?= $(shell for p in python3.11 python3 python3.12 python3.13; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)

BIN := $(VENV)/bin
AUDIT := $(VENV)/audit.json
PIP := $(BIN)/python -m pip --disable-pip-version-check
PINS := pyproject.toml constraints.txt

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help setup demo test check format pytest browser bench peers bench-learning bench-sam audit clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo "Variables: PYTHON (interpreter to build on), VENV ($(VENV)), OUT ($(OUT)), MINUTES ($(MINUTES)), LEARNING ($(LEARNING)), ARGS (for pytest, bench and bench-learning)"

demo: $(VENV)/.installed-demo  ## set up, run the study on the embedded data, write the report to OUT
	$(BIN)/headstart demo --out $(OUT) --minutes $(MINUTES)
	@echo "Report: $(OUT)/report.html"

test: check browser pytest  ## the gate: set up, check, then run every test

pytest: $(VENV)/.installed-dev  ## run the tests alone; ARGS='tests/data -n 0' narrows them
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile $(ARGS)

check: $(VENV)/.installed-dev audit  ## style, types, layers, known vulnerabilities
	$(BIN)/ruff format --check src tests benchmarks
	$(BIN)/ruff check src tests benchmarks
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.installed-dev  ## rewrite the code in the house format
	$(BIN)/ruff format src tests benchmarks
	$(BIN)/ruff check --fix src tests benchmarks

setup: $(VENV)/.installed-dev  ## only create the virtual environment for development

browser: $(VENV)/.installed-dev  ## have a Chromium for the tests of the report
	@if command -v chromium || command -v chromium-browser || command -v google-chrome; then :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		apt-get update -q && apt-get install -qy --no-install-recommends chromium; \
	else $(BIN)/python -m playwright install chromium; fi

bench: peers  ## measure everything beside its peers, into docs/performance.md (hours); ARGS='--quick' only sees that it runs
	@for name in $(BENCHES); do echo "== $$name"; $(BIN)/python -m benchmarks.$$name $(ARGS) || exit 1; done

peers: $(VENV)/.installed-dev  ## make .venv-peers, the environment of what headstart is measured beside
	$(BIN)/python -m benchmarks.peers

bench-learning: $(VENV)/.installed-dev  ## measure what pre-training is worth (many hours); ARGS='--data digits --minutes 5'
	$(BIN)/python -m benchmarks.learning run --out $(LEARNING) $(ARGS)

bench-sam: $(VENV)/.installed-dev  ## measure automatic masks beside segment-anything's and transformers'; ARGS='--points 8' is quick
	$(BIN)/python -m benchmarks.sam --out runs/sam $(ARGS)

audit: $(VENV)/.installed-audit  ## look the pinned versions up among known vulnerabilities; part of check, passed over without a network
	@rm -f $(AUDIT)
	@$(VENV)/audit/bin/pip-audit --strict --no-deps --disable-pip --progress-spinner off --timeout 5 \
		-r constraints.txt -f json -o $(AUDIT) 2>$(AUDIT).log && echo "audit: no known vulnerability." || \
		if [ -s $(AUDIT) ]; then cat $(AUDIT).log >&2; $(VENV)/audit/bin/python -m json.tool $(AUDIT) >&2; exit 1; \
		else echo "audit: NOT DONE, the index of vulnerabilities did not answer ($(AUDIT).log)." >&2; fi

clean:  ## remove caches and build leftovers; the environment and your runs stay
	rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.installed-demo: $(PINS) | $(VENV)/.created
	@echo "Installing headstart with its demo data into $(VENV): several GB, most of it PyTorch."
	$(PIP) install -e '.[demo]' -c constraints.txt
	@touch $@

$(VENV)/.installed-dev: $(PINS) | $(VENV)/.created
	@echo "Installing headstart with its development tools into $(VENV): several GB, most of it PyTorch."
	$(PIP) install -e '.[dev]' -c constraints.txt
	@touch $@

$(VENV)/.installed-audit: | $(VENV)/.created
	$(BIN)/python -m venv $(VENV)/audit
	$(VENV)/audit/bin/python -m pip --disable-pip-version-check install pip-audit==2.10.1
	@touch $@

$(VENV)/.created:
	@test -n "$(PYTHON)" || { echo "headstart needs Python 3.11 or newer, and none was found." \
		"Install one, or name it: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$(PYTHON) is not Python 3.11 or newer." \
		"Name one that is: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@
