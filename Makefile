# The Local Rank Book. `make help` lists what can be made.
#
# PYTHON=python3.12 make book   chooses the Python that .venv is made with (3.11 or newer).

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
INSTALLED := $(VENV)/.installed
CODE := lrlib tests book benchmarks

# What chapters compute as they run is not kept among the stored runs in data/results, which git tracks.
RUN_CHAPTERS := env LRLIB_RESULTS="$${LRLIB_RESULTS:-$(CURDIR)/_build/results}"

# A chapter's networks are small: one thread is as fast as two, and several fighting for busy cores took ten times as long.
export OMP_NUM_THREADS ?= 1

.PHONY: help book test lint nbval lab full notebooks clean

help:
	@echo 'make book        run the chapters and write the site to _build/html'
	@echo 'make test        lint, build the book, test the library, the notebooks and the built pages'
	@echo 'make lab         open the chapters in JupyterLab'
	@echo 'make notebooks   run the notebooks in place, and store their outputs (NB=book/02-local-rank.ipynb for one)'
	@echo 'make full        run the full experiments that are stale or missing (all: 6 h 30 min of one CPU core)'
	@echo 'make lint        check style and format'
	@echo 'make nbval       run the notebooks and compare every output with the one that is committed'
	@echo 'make clean       remove what was built; .venv and downloaded data stay'

# One environment, made once, and again when the pins or the package change.
$(INSTALLED): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo 'The book needs Python 3.11 or newer, and $(PYTHON) is' "$$($(PYTHON) --version 2>&1)." \
		'Try: PYTHON=python3.11 make' >&2; exit 1; }
	@test -x $(PY) || $(PYTHON) -m venv $(VENV)
	@echo 'Installing the pinned packages into $(VENV): some minutes, once.'
	@$(PY) -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

book: $(INSTALLED)
	@$(RUN_CHAPTERS) $(PY) book/build.py site

lint: $(INSTALLED)
	$(PY) -m ruff check $(CODE)
	$(PY) -m ruff format --check $(CODE)

# Strict: every output of every cell of every notebook is compared with the one that is committed.
nbval: $(INSTALLED)
	$(RUN_CHAPTERS) LRLIB_OUTPUT=still $(PY) -m pytest --nbval --nbval-current-env --nbval-cell-timeout=600 \
		--nbval-sanitize-with=tests/nbval_sanitize.cfg book

# Each step runs even if an earlier one failed, and the last lines say which did.
test: $(INSTALLED)
	@failed=; \
	$(MAKE) --no-print-directory lint || failed="$$failed lint"; \
	$(MAKE) --no-print-directory book || failed="$$failed book"; \
	$(MAKE) --no-print-directory nbval || failed="$$failed notebooks"; \
	$(PY) -m pytest || failed="$$failed tests"; \
	if [ -n "$$failed" ]; then echo "FAILED:$$failed" >&2; exit 1; fi; \
	echo 'Everything passed, but for what is listed as SKIPPED above, if anything is.'

lab: $(INSTALLED)
	cd book && $(RUN_CHAPTERS) ../$(VENV)/bin/jupyter lab

notebooks: $(INSTALLED)
	@$(RUN_CHAPTERS) $(PY) book/build.py notebooks $(NB)

full: $(INSTALLED)
	for name in teacher mnist drivers depth batch_size estimators rank_information vib; do \
	  $(PY) -m lrlib run $$name --preset full --unless-current || exit 1; done

clean:
	rm -rf _build .pytest_cache .ruff_cache lrlib.egg-info
	find $(CODE) -name __pycache__ -type d -prune -exec rm -rf {} +
