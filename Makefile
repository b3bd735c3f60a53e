# Needs python3 (3.11 or newer) and make, nothing else. Everything is installed into .venv.
PYTHON ?= python3
ARGS ?=
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
EXTRAS := agno,redteam,ray,web,postgres,embed,dev
# Set TORCH_INDEX to a package index of CPU builds where the default one would bring CUDA.
TORCH_INDEX ?=
CODE := $(wildcard src tests .ci benchmarks scripts examples)

.PHONY: demo test check bench install clean
.DEFAULT_GOAL := demo

demo: $(STAMP)
	$(BIN)/cryptosentinel demo $(ARGS)

test: $(STAMP)
	OMP_WAIT_POLICY=PASSIVE $(BIN)/python -m pytest -n auto -m "not slow" $(ARGS)

check: $(STAMP)
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/mypy

bench: $(STAMP)
	set -e; for script in benchmarks/[a-z]*.py; do echo "== $$script"; $(BIN)/python "$$script" $(ARGS); done

install: $(STAMP)

# torch first and alone, so that a CPU build already there satisfies every package that asks for torch.
$(STAMP): pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { echo "make: needs Python 3.11 or newer, found no '$(PYTHON)' (set PYTHON=...)" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if v >= (3, 11) else \
	  "make: needs Python 3.11 or newer, $(PYTHON) is %d.%d (set PYTHON=python3.11)" % (v[0], v[1]))'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) \
	  -c constraints.txt "$$(grep '^torch==' constraints.txt)"
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[$(EXTRAS)]'
	touch $@

clean:
	rm -rf $(VENV) dist build .pytest_cache .mypy_cache .ruff_cache
