# Two commands of the README: `make demo` and `make test`. Each sets itself up on a fresh machine.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DATA ?= ../shared/data
export HF_HUB_OFFLINE ?= 1

.PHONY: demo test test-slow check format bench evidence evidence-test methods-page train-tiny train-tiny-plain train-tiny-siglip fuzz clean

$(VENV)/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

demo: $(VENV)/.ready  ## explain the bundled radiographs with the bundled model
	$(BIN)/matex demo

test: $(VENV)/.ready  ## what CI runs, without the slow part
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m 'not slow and not gpu and not network' -n 2

test-slow: $(VENV)/.ready  ## the bundled model's full evaluation and other long tests
	$(BIN)/python -m pytest -m slow

check: $(VENV)/.ready  ## lint, format, spelling, types
	$(BIN)/codespell src docs tests examples benchmarks *.md
	$(BIN)/ruff check src tests benchmarks examples docs/*.py
	$(BIN)/ruff format --check src tests benchmarks examples docs/*.py
	$(BIN)/pyright --pythonpath $(BIN)/python

format: $(VENV)/.ready
	$(BIN)/ruff check --fix src tests benchmarks examples docs/*.py
	$(BIN)/ruff format src tests benchmarks examples docs/*.py

fuzz: $(VENV)/.ready  ## hostile inputs of every class, six minutes of processor time
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.fuzz --seed 0 --minutes 6

bench: $(VENV)/.ready  ## speed and memory as ratios in one run
	$(BIN)/python benchmarks/speed.py

EVIDENCE := evidence evidence-tiers evidence-costly evidence-checks evidence-removal
evidence: $(VENV)/.ready  ## every number of docs/benchmark.md again, from the development data (hours on two cores)
	for name in $(EVIDENCE); do \
	    $(BIN)/matex benchmark examples/$$name.toml -o runs/$$name --resume && $(BIN)/matex report runs/$$name || exit 1; \
	done
	$(BIN)/python docs/make_benchmark.py runs

evidence-test: $(VENV)/.ready  ## open the films kept for the final test; once per release
	$(BIN)/python benchmarks/evidence_test.py

methods-page: $(VENV)/.ready  ## docs/methods.md and its pictures, from the methods and the bundled model (minutes)
	$(BIN)/python docs/make_methods.py

train-tiny: $(VENV)/.ready  ## train the bundled model again (about three hours on two cores)
	$(BIN)/python -m matex.simulation.training --data $(DATA) --out build/tiny --seed 0

train-tiny-plain: $(VENV)/.ready  ## train the second bundled model, which nobody tells where a finding lies
	$(BIN)/python -m matex.simulation.training --data $(DATA) --out build/tiny-plain --seed 0 --steps 9000 --small 0.55 \
	    --fresh 3 --supervision film --text-from src/matex/adapters/tiny --frozen-text 0.6

train-tiny-siglip: $(VENV)/.ready  ## train a SigLIP of the same size, without localisation supervision
	$(BIN)/python -m matex.simulation.training --data $(DATA) --out build/tiny-siglip --seed 0 --steps 9000 --small 0.55 \
	    --fresh 3 --family siglip --supervision film

clean:
	rm -rf $(VENV) demo build
