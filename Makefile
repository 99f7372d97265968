# make demo   sets up .venv, paints 24 blood smears with the embedded model, says where to look;
#             after a change of the CSV files: make demo ARGS=--overwrite
# make test   sets up .venv, passes the tests
# make test-other   passes the fast ones as on an older processor: ISA=avx2 or, by default, ISA=default (SSE)
# make lint   ruff, mypy, import contracts

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt
DEMO := runs/demo

ISA ?= default
ONEDNN_ISA := $(if $(filter default,$(ISA)),SSE41,AVX2)
PYTEST := $(BIN)/python -m pytest --numprocesses auto --maxprocesses 8 --dist loadfile

.PHONY: demo test test-other lint clean

demo: $(VENV)/.base
	$(BIN)/boxpaint generate --config configs/pocket.yaml --out $(DEMO) $(ARGS)

test: $(VENV)/.dev
	$(PYTEST)

test-other: $(VENV)/.dev
	ATEN_CPU_CAPABILITY=$(ISA) ONEDNN_MAX_CPU_ISA=$(ONEDNN_ISA) $(PYTEST) -m 'not slow' tests/generator tests/boxpaint

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

clean:
	rm -rf $(VENV) $(DEMO)

$(VENV)/.created: constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) --upgrade pip
	touch $@

$(VENV)/.base: $(VENV)/.created pyproject.toml
	@echo "installing torch and the rest, about 6 GB and two minutes, once"
	$(PIP) --editable .
	touch $@

$(VENV)/.dev: $(VENV)/.base
	$(PIP) --editable '.[dev]'
	@# ultralytics brings the opencv that needs libGL, into the same folder: the headless one goes on top
	$(PIP) --force-reinstall --no-deps opencv-python-headless
	touch $@
