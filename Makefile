# Every target makes the virtual environment it needs. `make demo` and `make test` are all that a newcomer has to know.
PYTHON ?= python3.11
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready

# The four estimator parts and the solver are small: one thread each, parallelism comes from shards.
export OMP_NUM_THREADS ?= 1
export OPENBLAS_NUM_THREADS ?= 1

.PHONY: setup demo test test-long reliability fuzz lint docs gpu mmpose upstream up down status clean

setup: $(READY)

$(READY): pyproject.toml requirements.lock
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	# torch is named in the same command as all else, so that the resolver keeps this very version.
	$(BIN)/python -m pip install --quiet --constraint requirements.lock torch==2.13.0 --editable ".[dask,demo,dev,docs,dwpose,s3,smplx,train,view]"
	# Its metadata asks for numpy<2 and jax, which it does not use; 0.10.21 is the last release that carries its models.
	$(BIN)/python -m pip install --quiet --no-deps mediapipe==0.10.21
	touch $@

demo: $(READY)
	$(BIN)/pear annotate

# A file's tests stay in one process, since they share what is slow to make; files start in the order of
# tests/conftest.py. What is compiled is kept, also where the environment says otherwise: each process would do it anew.
PYTEST = env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -m pytest --dist loadfile --no-loadscope-reorder
CORES  = $$(getconf _NPROCESSORS_ONLN)

test: $(READY) lint
	$(PYTEST) --numprocesses $(CORES)

# The rest of what every machine can run, which .ci/run does after them. One process more than cores, since these wait
# for servers and other processes.
test-long: $(READY)
	$(PYTEST) --numprocesses $$(($(CORES) + 1)) -m "long and not slow and not gpu and not licensed and not upstream and not browser"

# Every promise of docs/reliability.md, one after the other, half an hour; the page gets what was measured, and what did
# not hold. What takes far too long is interrupted, so that the rest is told.
reliability: $(READY)
	mkdir -p work
	rm -f work/reliability.xml
	timeout -s INT 3000 $(PYTEST) -m promise --junitxml=work/reliability.xml -o junit_family=xunit1; \
		status=$$?; $(BIN)/python docs/reliability.py work/reliability.xml && exit $$status

# Readers of files of others, guided by coverage, half an hour; what is found lies in work/fuzz/finds.
fuzz: $(READY)
	$(BIN)/python -m pip install --quiet --no-deps "atheris>=3,<4"
	PYTHONPATH=tests/support $(BIN)/python -c "from fuzzed_readers import READERS; print('\n'.join(READERS))" | \
		while read -r reader; do PYTHONPATH=.:tests/support \
			$(BIN)/python tests/support/guided_fuzz.py "$$reader" 60 work/fuzz < /dev/null; done

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --level error

# Pages made from the code are current, and all of them build into site/ without a warning.
docs: $(READY)
	$(BIN)/python docs/generate.py --check
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

# Needs a GPU and at most eight minutes; a part that fails is a row of reports/gpu.md. One thread is too few there.
gpu: $(READY)
	env -u OMP_NUM_THREADS -u OPENBLAS_NUM_THREADS $(BIN)/python -m benchmarks.gpu --out reports/gpu

# Packages whose requirements do not resolve beside ours, each set in an environment of its own, and the tests that use
# it: .venv-mmpose/bin/pear can run DWPose by mmpose; the official networks are there to be compared with.
mmpose: .venv-mmpose/.ready
	.venv-mmpose/bin/python -m pytest -m upstream -rs tests/model/estimators/dwpose

upstream: .venv-upstream/.ready .venv-upstream/src/guava
	.venv-upstream/bin/python -m pytest -m upstream -rs

# No package: the tests import its modules from where they lie.
.venv-upstream/src/guava: .venv-upstream/.ready
	git clone --quiet --filter=blob:none --no-checkout https://github.com/Pixel-Talk/GUAVA.git $@
	git -C $@ checkout --quiet 356067ad0e68521277f5b3a174944b8ea9a92874 -- models utils

.venv-%/.ready: pyproject.toml requirements.lock requirements.%.txt
	$(PYTHON) -m venv .venv-$*
	.venv-$*/bin/python -m pip install --quiet --upgrade pip
	.venv-$*/bin/python -m pip install --quiet --constraint requirements.lock torch==2.13.0 "setuptools<81" cython \
		--editable ".[demo,dev,dwpose,smplx]"
	.venv-$*/bin/python -m pip install --quiet --no-deps mediapipe==0.10.21
	.venv-$*/bin/python -m pip install --quiet --no-deps --no-build-isolation --requirement requirements.$*.txt
	touch $@

up: $(READY)
	$(BIN)/pear up

down: $(READY)
	$(BIN)/pear down

status: $(READY)
	$(BIN)/pear status

# All that can be computed again, so no labels/ and no checkpoints in runs/.
clean:
	rm -rf work reports metrics dvc_plots site
