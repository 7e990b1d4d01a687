# `make` alone lists the targets. Everything is installed into .venv, nothing outside it.

# The first suitable interpreter of these; name one with `make report PYTHON=/path/to/python`.
PYTHON  ?= python3.13 python3.12 python3.11 python3
# torch and its libraries unpack to about 5 GB, and pip needs room for the archives beside them.
NEED_GB ?= 8
# The re-run is small, to take minutes a chapter on two cores: small.yaml beside each study says in what. Some
# chapters alone, other parameters of theirs:
# make rerun CHAPTERS=decay RERUN_ARGS='-p learning_rate 0.01'.
CHAPTERS ?= $(sort $(patsubst bnstudy/chapters/%/study.py,%,$(wildcard bnstudy/chapters/*/study.py)))
EPOCHS  ?=
SEEDS   ?= 3
RERUN_ARGS ?=
# TensorFlow 2.12, the last that tf-slim runs on, has no wheel for a later one.
TENSORFLOW_PYTHON ?= python3.11
# Not in _build: hours of records must outlive `make clean`.
STUDY_DATA ?= again
WORKERS ?= $(shell getconf _NPROCESSORS_ONLN)
# A process a core, each with one thread: more threads than cores mostly wait for each other.
# Files go to the processes in the order that tests/conftest.py gives them, the longest first.
PYTEST_ARGS ?= -n auto --dist loadfile --no-loadscope-reorder
# make bench BENCH_ARGS="--only single_run --json bench.json"
BENCH_ARGS ?=

VENV  := .venv
BIN   := $(VENV)/bin
# Newer than both files it depends on: the environment is what they ask for.
STAMP := $(VENV)/.installed
HTML  := _build/html
RERUN := _build/rerun
# A build reads records and never trains: a missing one is an error. -W -n --keep-going: every warning
# is an error too, and all of them are shown.
BUILD := BNSTUDY_TRAIN=never $(BIN)/jupyter-book build -W -n --keep-going

.DEFAULT_GOAL := help
.PHONY: help setup report pdf test test-site rerun study picture tensorflow bench lint clean distclean

help: ## list these targets
	@sed -n 's/^\([a-z][a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(firstword $(MAKEFILE_LIST)) \
	  | awk -F'|' '{printf "%-18s %s\n", $$1, $$2}'

setup: $(STAMP) ## create .venv and install the pinned packages (all targets below do it by themselves)

report: $(STAMP) ## execute the notebooks from the recorded results and build the book
	@# Records that are published already stay: the build deletes those that are gone, and copies what is new.
	@rm -rf $(filter-out $(HTML)/records,$(wildcard $(HTML)/* $(HTML)/.[!.]*)) _build/.doctrees _build/jupyter_execute
	@$(BUILD) .
	@test -s $(HTML)/index.html
	@echo "The book: file://$(CURDIR)/$(HTML)/index.html"

# One page of all pages, printed by the first of these browsers that is there.
pdf: report ## print the book into _build/bnstudy.pdf (needs Chromium)
	@browser=$$(command -v chromium || command -v chromium-browser || command -v google-chrome) || { \
	  echo "make pdf needs Chromium; on Debian: apt-get install chromium" >&2; exit 1; }; \
	$(BIN)/python book/_print/pdf.py "$$browser" $(HTML) _build/bnstudy.pdf
	@test -s _build/bnstudy.pdf
	@echo "The book on paper: file://$(CURDIR)/_build/bnstudy.pdf"

test: $(STAMP) ## run the tests of the code (no GPU, no download)
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not site" $(PYTEST_ARGS)

test-site: $(STAMP) ## check the built book, in Chromium where there is one (make report builds it)
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m site $(PYTEST_ARGS)

# The re-run has records and a book of its own, so that it can't touch the published ones.
rerun: $(STAMP) ## train live on scikit-learn's digits and build a book of that, in _build/rerun
	@rm -rf $(RERUN)/book $(RERUN)/_build
	@mkdir -p $(RERUN)/data/runs
	@cp -R book _config.yml _toc.yml $(RERUN)/
	@# The cell that papermill injects is code like any other: shown only when unfolded.
	@set -e; $(foreach chapter,$(CHAPTERS),echo "$(chapter): training"; \
	  $(BIN)/papermill book/$(chapter).ipynb $(RERUN)/$(chapter).executed.ipynb -k python3 \
	  --no-progress-bar --stdout-file - --stderr-file - \
	  $(addprefix -f ,$(wildcard bnstudy/chapters/$(chapter)/small.yaml)) \
	  -p dataset digits -p seeds $(SEEDS) $(addprefix -p epochs ,$(EPOCHS)) \
	  -p data_dir "$(CURDIR)/$(RERUN)/data" $(RERUN_ARGS); \
	  sed 's/"injected-parameters"/"injected-parameters", "hide-input"/' \
	    $(RERUN)/$(chapter).executed.ipynb > $(RERUN)/book/$(chapter).ipynb;)
	@BNSTUDY_BOOK_NOTE="A live re-run on scikit-learn's digits of: $(CHAPTERS). Chapters not named here are the published ones." \
	  $(BUILD) $(RERUN)
	@test -s $(RERUN)/_build/html/index.html
	@echo "The book of the re-run: file://$(CURDIR)/$(RERUN)/_build/html/index.html"

# Goes on where it was stopped. STUDY_DATA=data completes the published records instead.
study: $(STAMP) ## train every run of every study again, in again/ (hours; needs CIFAR-10 and Python 3.11)
	@$(BIN)/python benchmarks/tensorflow_live.py --install-only --python $(TENSORFLOW_PYTHON)
	@$(BIN)/bnstudy run all --workers $(WORKERS) --data-dir $(STUDY_DATA)

picture: $(STAMP) ## draw the pictures that README.md shows and links to the book go with, from the recorded results
	@MPLBACKEND=agg $(BIN)/python -c 'import bnstudy; from bnstudy.analysis import style; style.use_style(); \
	  from bnstudy.chapters.decay import curve, figures; from bnstudy.chapters.shown import Shown; \
	  lost = curve.losses(Shown(bnstudy.load("core"), "decay", "en")); \
	  figures.save_svg(figures.lost_by_any_decay(lost, curve.PHASES), "book/_static/decay.svg")'
	@MPLBACKEND=agg $(BIN)/python book/_print/card.py book/_static/card.png

tensorflow: $(STAMP) ## compare with a real TensorFlow, live (installs it beside, in an environment of its own)
	@$(BIN)/python benchmarks/tensorflow_live.py --python $(TENSORFLOW_PYTHON)

bench: $(STAMP) ## measure what a run costs on this machine, in ratios (minutes)
	@$(BIN)/python -m bnstudy.bench.command $(BENCH_ARGS)

lint: $(STAMP) ## check style and types (ruff, mypy)
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/python .ci/examples.py _build/examples
	@$(BIN)/mypy _build/examples/*.py

# What took hours is spared in _build too: TensorFlow's environment, and the records of an earlier `make study`.
clean: ## remove what was built (the environments and the recorded results stay)
	@[ ! -d _build ] || find _build -mindepth 1 -maxdepth 1 ! -name tensorflow ! -name study -exec rm -rf {} +
	@rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -not -path './.venv/*' -not -path './_build/*' -prune -exec rm -rf {} +

distclean: clean ## remove the environments too (the recorded results stay)
	@rm -rf $(VENV) _build/tensorflow

# Prints an interpreter's version and, where the set-up can't work with it, why.
define CHECK_PYTHON
import platform, sys, sysconfig
why = ""
if sys.version_info < (3, 11):
    why = "too old"
elif platform.python_implementation() != "CPython" or sysconfig.get_config_var("Py_GIL_DISABLED"):
    why = "not the usual CPython, which PyTorch and Numba are built for"
elif sys.maxsize < 2**32 or "musl" in (sysconfig.get_config_var("HOST_GNU_TYPE") or ""):
    why = "32 bits or musl, which PyTorch is not built for"
else:
    try:
        import ensurepip, venv
    except ImportError:
        why = "no venv module; on Debian and Ubuntu: apt-get install python3-venv"
print(platform.python_version() + (why and ": " + why))
sys.exit(bool(why))
endef
export CHECK_PYTHON

# A name on the PATH may be a mere shim, which doesn't start: such a one is passed over.
$(STAMP): pyproject.toml constraints.txt
	@if [ ! -x $(BIN)/python ]; then \
	  found=; seen=; \
	  for p in $(PYTHON); do \
	    if v=$$($$p -c "$$CHECK_PYTHON" 2>/dev/null) && [ -n "$$v" ]; then found=$$p; break; fi; \
	    ! command -v $$p >/dev/null || seen="$$seen $$p ($${v:-does not start})"; \
	  done; \
	  if [ -z "$$found" ]; then \
	    echo "Python 3.11 or newer is needed; found:$${seen:- none}. Name one: make PYTHON=/path/to/python3.11" >&2; exit 1; fi; \
	  free=$$(df -Pk . | awk 'NR == 2 {print int($$4 / 1048576)}'); \
	  if [ "$$free" -lt $(NEED_GB) ]; then \
	    echo "The set-up needs $(NEED_GB) GB of free disk here; $$free GB are free." >&2; exit 1; fi; \
	  echo "Setting up .venv with Python $$v (once; a minute or more, by the network)"; \
	  $$found -m venv $(VENV) || { rm -rf $(VENV); exit 1; }; \
	fi
	@# setuptools comes first and builds without isolation, so that it too is the pinned one.
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt setuptools
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation \
	  -c constraints.txt -e '.[dev]'
	@touch $@
