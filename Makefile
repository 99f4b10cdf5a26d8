# `make` sets up, `make figures` and `make test` do what the README says; `make help` lists the rest.
# Another interpreter: make PYTHON=/path/to/python3.12. Without CUDA (2 instead of 6 GB): make CPU=1.
# With the lowest versions that settings.ini claims: make LOWEST=1.

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PROFILE ?= tiny
JOBS ?= $(shell n=$$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2); [ $$n -lt 4 ] && echo $$n || echo 4)

# The first interpreter on the path that is new enough; looked for only when there is something to install.
new_enough := import sys; sys.exit(sys.version_info < (3, 10))
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python3.10 python; do \
  if $$p -c '$(new_enough)' 2>/dev/null; then echo $$p; break; fi; done)

# Commands run with the environment's programs first on the path.
run := PATH="$(CURDIR)/$(BIN):$$PATH"
# Tests use no network; they run side by side, so each process gets one thread.
test := $(run) HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=false MOTIONREPRO_PROFILE=smoke OMP_NUM_THREADS=1
nbdev_test := $(test) nbdev_test --n_workers $(JOBS) --timing

constraints := $(VENV)/lowest.txt
pip := $(BIN)/python -m pip install --disable-pip-version-check $(if $(LOWEST),--constraint $(constraints))
TORCH_INDEX := https://download.pytorch.org/whl/cpu

.PHONY: setup figures test test-slow train readme docs explorer book-run clean help
.DEFAULT_GOAL := setup

setup: $(STAMP) ## create .venv and install everything (6 GB, less with CPU=1); a second run installs nothing

# The stamp comes last: an environment without one is half finished, and is made anew. In compat mode the checkout is on the path: otherwise Python started
# beside a checkout called motionrepro takes that folder for the package.
$(STAMP): settings.ini setup.py
	@python='$(PYTHON)'; \
	if [ -z "$$python" ] || ! "$$python" -c '$(new_enough)'; then \
	  echo "motionrepro needs Python 3.10 or newer; name one with: make PYTHON=/path/to/python3" >&2; exit 1; fi; \
	if ! "$$python" -c 'import ensurepip, venv' 2>/dev/null; then \
	  echo "$$python cannot make environments; on Debian and Ubuntu: sudo apt install python3-venv" >&2; exit 1; fi; \
	if [ ! -e $@ ]; then echo "creating $(VENV) with $$("$$python" --version)"; "$$python" -m venv --clear $(VENV); fi
	@echo "installing motionrepro and what it needs, torch among it: some minutes the first time"
	$(if $(LOWEST),$(BIN)/python tools/requirements.py lowest > $(constraints))
	$(if $(CPU),$(pip) --index-url $(TORCH_INDEX) $$($(BIN)/python tools/requirements.py torch))
	$(pip) --config-settings editable_mode=compat --editable '.[dev]'
	@touch $@
	@echo "ready: make figures, make test, $(BIN)/motionrepro --help"

figures: $(STAMP) ## redraw every figure and table (PROFILE=smoke, tiny or paper; default tiny)
	@$(run) motionrepro figures --profile $(PROFILE)

test: $(STAMP) ## run all notebooks as tests, then the figures in the smoke profile, then pytest
	$(nbdev_test) --path nbs
	$(nbdev_test) --path paper_figures
	$(test) python -m pytest -n $(JOBS) --dist worksteal

# Notebooks with cells marked `slow`, and tests marked `slow`.
test-slow: $(STAMP) ## run what takes minutes: trainings from scratch, an empty environment, the demo in a browser
	$(test) sh -ec 'for nb in $$(grep -rlE "^ *\"#\| *slow" nbs --include=*.ipynb); do nbdev_test --n_workers 1 --flags slow --path "$$nb"; done'
	$(test) python -m pytest -m slow -n $(JOBS) --dist worksteal

train: $(STAMP) ## rebuild the weights that ship with the package (hours on 2 cores; resumes where it stopped)
	$(run) motionrepro train all

readme: $(STAMP) ## write README.md from nbs/index.ipynb
	@$(run) python tools/readme.py

docs: $(VENV)/.docs ## build the site in _docs from the notebooks, without running them, and check it
	$(test) python docs/pages.py _proc
	$(run) python -m sphinx -q -W --keep-going -E -c docs -d _proc/.doctrees _proc _docs/html
	$(run) python tools/check_docs.py _docs/html

explorer: $(STAMP) ## draw the clips of the site's explorer in results/explorer (minutes to an hour; goes on where it stopped)
	$(run) python docs/explorer.py

$(VENV)/.docs: $(STAMP)
	$(pip) --config-settings editable_mode=compat --editable '.[docs]'
	@touch $@

book-run: $(STAMP) ## run the notebooks whose stored outputs are not of today's code, and store them (PROFILE as for figures)
	@$(run) MOTIONREPRO_PROFILE=$(PROFILE) python tools/book.py run

clean: ## remove the environment, drawn figures and build leftovers (checkpoints stay)
	rm -rf $(VENV) figures _docs _proc build dist *.egg-info .pytest_cache .ruff_cache

help: ## this list
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/make \1@\2/p' $(firstword $(MAKEFILE_LIST)) | while IFS=@ read -r name what; do printf '%-14s %s\n' "$$name" "$$what"; done
