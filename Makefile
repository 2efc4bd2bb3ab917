# `make demo` and `make test` do all their own set-up on a fresh machine.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SETUP := $(VENV)/.set-up
OF_PYTHON := $(notdir $(PYTHON))
LOWEST := .venv-lowest-$(OF_PYTHON)
VERSION_TESTS := $(addprefix tests/,engine versions checkpoints cli data nemo requests results scoring stats)
# A file of tests runs in one process; each process takes up to 2 GB.
SPREAD := --numprocesses logical --maxprocesses 4 --dist loadfile
# Where it is set (often in containers), each of some hundred processes that the tests start compiles evalsuite again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: setup side-packages demo test test-slow test-kernels test-lowest test-newest lint wheel-check reference gate docs docs-site models schema clean

setup: $(SETUP)

$(SETUP): pyproject.toml constraints.txt requirements-demo.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[gguf,test]'
	$(BIN)/pip install --quiet --no-deps --requirement requirements-demo.txt
	touch $@

# Packages that cannot be installed beside the others: exemplars and the math grader of recipe nemotron_base.
SIDE_PACKAGES ?= $(or $(EVALSUITE_PACKAGES),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/evalsuite/packages)
side-packages: setup
	$(BIN)/pip install --quiet --no-deps --upgrade --target $(SIDE_PACKAGES)/nvidia-lm-eval-26.3 nvidia-lm-eval==26.3
	$(BIN)/pip install --quiet --no-deps --upgrade --target $(SIDE_PACKAGES)/math-verify-0.9.0 math-verify==0.9.0 \
		latex2sympy2_extended==1.11.0

demo: setup
	$(BIN)/evalsuite run --tasks mmlu,lm_eval/hellaswag,gsm8k --model smollm2-135m --limit 20 --out demo

test: setup lint
	$(BIN)/python -m pytest -m "not slow" $(SPREAD)

# What takes minutes, and the tests that hypothesis draws for, with other draws each time.
test-slow: setup
	$(BIN)/python -m pytest -m "slow or hypothesis" --hypothesis-profile search

# The GPU's kernels without a GPU: fetches the lowest and the newest Triton (up to 290 MB each), interprets the kernels,
# compiles them for an A100 and an H100. FlexAttention's program is torch's own: it is also taken from the lowest torch.
test-kernels: setup $(LOWEST)/.set-up
	$(BIN)/python -m pytest -m slow tests/engine/native/kernels
	$(LOWEST)/bin/python -m pytest -m slow tests/engine/native/kernels -k '3.6.0 and (flex or compile)'

# With the lowest versions that pyproject.toml names, or the newest ones that pip finds, in an environment of their own
# (2.8 GB): the engine, and what reads and writes through pandas, pyarrow, pydantic, SciPy, statsmodels, tree-sitter,
# typer and rich. Another Python than that of .venv has another environment: make test-lowest PYTHON=python3.12.
test-lowest test-newest: test-%: .venv-%-$(OF_PYTHON)/.set-up
	$(<D)/bin/python -m pytest -m "not slow" $(SPREAD) $(VERSION_TESTS)

.venv-%-$(OF_PYTHON)/.set-up: pyproject.toml requirements-demo.txt tests/versions/*.py | $(SETUP)
	$(BIN)/python -m tests.versions $* $(@D) $(PYTHON)
	$(@D)/bin/pip install --quiet --no-deps --requirement requirements-demo.txt
	touch $@

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Builds the wheel, installs it into an empty environment, and runs a task from another folder.
wheel-check: setup
	$(BIN)/python tests/wheel_check.py

# A fresh run of a small model against the one that is kept in results/reference.
gate: setup
	$(BIN)/python benchmarks/reference.py --gate

reference: setup
	$(BIN)/python benchmarks/reference.py

# docs/recipes.md from the prompt specs, and the files that other pages show.
docs: setup
	$(BIN)/python -m evalsuite.registry.catalog docs/recipes.md
	$(BIN)/python -m tests.shown_files

# The documentation as a site, in site/; the public names' docstrings are read, not imported.
docs-site: setup
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[docs]'
	$(BIN)/mkdocs build

# docs/models.md: a tiny model of every architecture, against plain forward passes; half an hour of one core.
models: setup
	$(BIN)/python -m tests.zoo docs/models.md

schema: setup
	$(BIN)/python -m evalsuite.results.schema

clean:
	rm -rf $(VENV) .venv-lowest* .venv-newest* build dist site *.egg-info demo
