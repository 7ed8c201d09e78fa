# The commands of CONTRIBUTING.md. Each sets itself up on a fresh machine.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DATA ?= ../shared/data
export HF_HUB_OFFLINE ?= 1

.PHONY: demo test test-slow check doctest docs coverage dist format bench evidence evidence-test methods-page papers-page files-page train-tiny train-tiny-plain train-tiny-siglip fuzz mutants clean

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

check: $(VENV)/.ready  ## spelling, lint, format, import directions, types, doctests, documentation
	$(BIN)/codespell src docs tests examples benchmarks *.md
	$(BIN)/ruff check conftest.py src tests benchmarks examples docs/*.py
	$(BIN)/ruff format --check conftest.py src tests benchmarks examples docs/*.py
	$(BIN)/lint-imports
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(MAKE) doctest docs

doctest: $(VENV)/.ready  ## the examples in the docstrings
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --doctest-modules src/matex --ignore src/matex/simulation/training

docs: $(VENV)/.ready  ## the documentation site, build/docs/index.html, all links checked
	$(BIN)/zensical build --strict

coverage: $(VENV)/.ready  ## the tests and the share of lines that they execute; a third slower on Python 3.11
	COVERAGE_CORE=$(shell $(BIN)/python -c 'import sys; print("sysmon" if sys.version_info >= (3, 12) else "ctrace")') \
	    OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m 'not slow and not gpu and not network' -n 2 --cov

dist: $(VENV)/.ready  ## the wheel and the source archive
	$(BIN)/python -m build

format: $(VENV)/.ready
	$(BIN)/ruff check --fix conftest.py src tests benchmarks examples docs/*.py
	$(BIN)/ruff format conftest.py src tests benchmarks examples docs/*.py

fuzz: $(VENV)/.ready  ## hostile inputs of every class, six minutes of processor time
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.fuzz --seed 0 --minutes 6

MUTANTS := matex.*
mutants: $(VENV)/.ready  ## mutate phrases, priors, audits and the report (hours); MUTANTS='matex.priors.*' runs a part
	$(BIN)/python -m pip install --quiet --constraint constraints.txt mutmut
	OMP_NUM_THREADS=1 $(BIN)/mutmut run --max-children 2 '$(MUTANTS)'
	$(BIN)/mutmut results

bench: $(VENV)/.ready  ## speed and memory as ratios in one run
	$(BIN)/python benchmarks/speed.py

EVIDENCE := evidence evidence-tiers evidence-costly evidence-checks evidence-words evidence-removal
evidence: $(VENV)/.ready  ## recompute every number of docs/benchmark.md, from the development data (hours on two cores)
	for name in $(EVIDENCE); do \
	    $(BIN)/matex benchmark examples/$$name.toml -o runs/$$name --resume && $(BIN)/matex report runs/$$name || exit 1; \
	done
	$(BIN)/python docs/make_benchmark.py runs
	$(BIN)/python benchmarks/wrong_side.py --data $(DATA) --films 200
	$(BIN)/python benchmarks/choose_default.py --data $(DATA)

evidence-test: $(VENV)/.ready  ## evaluate on the films reserved for the final test; once per release
	$(BIN)/python benchmarks/evidence_test.py

methods-page: $(VENV)/.ready  ## docs/methods.md, docs/methods/ and pictures, from the methods and the bundled model (minutes)
	$(BIN)/python docs/make_methods.py

papers-page: $(VENV)/.ready  ## docs/papers.md, from docs/papers.toml
	$(BIN)/python docs/make_papers.py

files-page: $(VENV)/.ready  ## docs/files.md, from the first line of each module
	$(BIN)/python docs/make_files.py

train-tiny: $(VENV)/.ready  ## retrain the bundled model (about three hours on two cores)
	$(BIN)/python -m matex.simulation.training --data $(DATA) --out build/tiny --seed 0

train-tiny-plain: $(VENV)/.ready  ## train the second bundled model, without localisation supervision
	$(BIN)/python -m matex.simulation.training --data $(DATA) --out build/tiny-plain --seed 0 --steps 9000 --small 0.55 \
	    --fresh 3 --supervision film --text-from src/matex/adapters/tiny --frozen-text 0.6

train-tiny-siglip: $(VENV)/.ready  ## train a SigLIP of the same size, without localisation supervision (DEVICE=cuda: minutes)
	$(BIN)/python -m matex.simulation.training --data $(DATA) --out build/tiny-siglip --seed 0 --steps 4268 --small 0.45 \
	    --fresh 12 --batch 64 --family siglip --supervision film --text-from src/matex/adapters/tiny \
	    --device $(or $(DEVICE),cpu) --workers $(or $(WORKERS),1)

clean:
	rm -rf $(VENV) .cache demo build dist mutants
