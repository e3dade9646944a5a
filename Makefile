# `make install`, `make explore`, `make quickstart`, `make test`: nothing else
# is needed on a machine with git, make and Python 3.11. Everything lives in
# .venv; a second call finds it there.

VENV := .venv
PYTHON := $(shell command -v python3.11 || command -v python3)
RUN := $(VENV)/bin/python
# Newer than everything that decides what is installed, hence the second call
# is instant and an edited constraint installs again.
STAMP := $(VENV)/.installed
PIP := $(RUN) -m pip --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help install explore quickstart test test-slow lint docs clean

help:
	@echo 'make install     the pinned stack and this package into $(VENV)'
	@echo 'make explore     masks on your photographs, in a browser'
	@echo '                 (options: make explore ARGS="photo.jpg")'
	@echo 'make quickstart  pre-train two small models and write a report'
	@echo '                 (options: make quickstart ARGS="--help")'
	@echo 'make test        every test but the slow ones'
	@echo 'make test-slow   the slow ones'
	@echo 'make lint        ruff and mypy'
	@echo 'make docs        the documentation site, in docs/_build/html'
	@echo 'make clean       remove $(VENV) and build products'

install: $(STAMP)

$(STAMP): constraints.txt setup.py pyproject.toml Makefile
	@test -n '$(PYTHON)' || { echo 'Python is not installed; install' \
		'Python 3.11 and call make again.' >&2; exit 1; }
	@'$(PYTHON)' -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
	echo '$(PYTHON) is older than Python 3.10; install Python 3.11 and call' \
		'make again.' >&2; exit 1; }
	@echo '[1/4] virtual environment $(VENV) with $(PYTHON)'
	@'$(PYTHON)' -m venv $(VENV) || { echo 'The virtual environment could not' \
		'be made; install the venv module of $(PYTHON) (Debian: apt-get' \
		'install python3-venv) and call make again.' >&2; exit 1; }
	@$(PIP) install -q -c constraints.txt pip setuptools wheel
	@echo '[2/4] torch and torchvision (5 GB on disk; a minute to ten)'
	@$(PIP) install -c constraints.txt torch torchvision
	@echo '[3/4] OpenMMLab stack (maintained fork), report and test tools'
	@# The stack comes as source; its builds use the pinned setuptools, which
	@# --no-build-isolation would also give, but then onedl-mmcv would see
	@# torch and compile its operators for a quarter of an hour.
	@$(PIP) install -c constraints.txt --build-constraint constraints.txt \
		onedl-mmengine onedl-mmcv onedl-mmpretrain
	@echo '[4/4] sbam_mm itself, editable'
	@$(PIP) install -q -c constraints.txt --build-constraint constraints.txt \
		-e '.[dev]'
	@touch $(STAMP)
	@echo 'Installed. Next: make explore, make quickstart, make test, or' \
		'. $(VENV)/bin/activate'

explore: install
	@$(RUN) -W ignore tools/explore.py $(ARGS)

quickstart: install
	@# The stack warns about optional parts at import; none is used here.
	@$(RUN) -W ignore tools/quickstart.py $(ARGS)

test: install
	@echo 'Running the tests (all but the slow ones)'
	@$(RUN) -m pytest -m 'not slow' -n 2 --dist worksteal --durations=15 $(ARGS)

test-slow: install
	@echo 'Running the slow tests'
	@$(RUN) -m pytest -m slow --durations=15 $(ARGS)

lint: install
	$(RUN) -m ruff check .
	$(RUN) -m mypy

docs: install
	@# -W: a warning is an error, of which all are listed.
	@$(RUN) -W ignore -m sphinx -b html -q -W --keep-going docs \
		docs/_build/html
	@echo 'Written: docs/_build/html/index.html'

clean:
	rm -rf $(VENV) build dist *.egg-info sbam_mm/.mim .mypy_cache \
		.ruff_cache .pytest_cache docs/_build docs/_gallery docs/api \
		docs/notebooks
