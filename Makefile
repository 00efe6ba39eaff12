# Two commands that do all of their own set-up: `make demo` and `make test`.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test lint clean
.DELETE_ON_ERROR:

demo: .venv/ready
	$(BIN)/georanker demo

test: .venv/ready
	@{ command -v chromium && command -v chromedriver; } > /dev/null || echo \
	  "make test: the tests of the report in a browser are left out without chromium and chromedriver:" \
	  "apt-get install chromium chromium-driver"
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# torch comes first and pinned: resolved through another package, it may bring gigabytes that a CPU cannot use.
.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "georanker needs Python 3.11 or newer: make PYTHON=python3.11")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q -c constraints.txt torch
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[cpu,demo,dev]'
	touch $@

clean:
	rm -rf .venv
