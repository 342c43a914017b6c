# Every target makes its own .venv first; the stamps in it let the next run skip that.
VENV := .venv/bin
DEMO := .venv/.demo
DEV := .venv/.dev
LOCK := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	--no-emit-index-url --no-emit-find-links --group build
ARGS ?=
BENCHMARKS ?= demo encoder render streams lips lips_decoded photo streaming

.PHONY: help demo images test e2e cluster-tools lint format protos crds reasons lock bench clean
.DEFAULT_GOAL := help

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(DEMO) ## Make a talking video: out/hello.mp4
	@$(VENV)/avatar demo $(ARGS)

images: ## Build the container images; see tools/images --help
	@tools/images $(ARGS)

test: $(DEV) ## Run the tests; choose some with ARGS="tests/core -k name"
	@$(VENV)/pytest -n 2 --dist loadfile -m "not e2e and not images" $(ARGS)

e2e: cluster-tools ## Install the chart on a real node and make videos there; needs root, containerd and buildah
	@$(VENV)/pytest -m "e2e or images" tests/images tests/e2e $(ARGS)

cluster-tools: $(DEV) ## Get Kubernetes for tests, API and node; built once, in about fifteen minutes
	@$(VENV)/python -m tests.cluster tools

lint: $(DEV) ## Check style, types, import contracts and the gRPC contract
	$(VENV)/ruff check .
	$(VENV)/ruff format --check .
	$(VENV)/mypy
	$(VENV)/lint-imports
	$(VENV)/python protos/generate.py --check
	$(VENV)/buf lint protos

format: $(DEV) ## Put the code into its one format
	$(VENV)/ruff check --fix .
	$(VENV)/ruff format .

protos: $(DEV) ## Generate avatar_protos from the .proto files
	$(VENV)/python protos/generate.py

crds: $(DEV) ## Generate the custom resource definitions from their models
	$(VENV)/python -m avatar_operator.crds

reasons: $(DEV) ## Write docs/reasons.md and the chart's table of values
	@PYTHONPATH=core $(VENV)/python docs/make_reasons.py
	@$(VENV)/python docs/make_values.py

lock: ## Pin every dependency anew in requirements/ (needs uv)
	$(LOCK) --extra dev pyproject.toml --upgrade --output-file requirements/dev.txt
	$(LOCK) --extra demo pyproject.toml --constraints requirements/dev.txt --output-file requirements/demo.txt
	$(LOCK) --extra operator --extra session --extra telemetry pyproject.toml --constraints requirements/dev.txt \
		--output-file requirements/operator.txt
	$(LOCK) --extra inference --extra prepare --extra operator --extra telemetry pyproject.toml \
		--constraints requirements/dev.txt --output-file requirements/preview.txt
	$(LOCK) --extra musetalk --extra operator --extra telemetry pyproject.toml \
		--constraints requirements/dev.txt --output-file requirements/cuda.txt

bench: $(DEV) ## Measure what docs/benchmarks.md states; some with BENCHMARKS="render lips"
	@for each in $(BENCHMARKS); do echo "== $$each"; $(VENV)/python -m benchmarks.$$each $(ARGS) || exit 1; done

clean: ## Remove everything that make made, .venv too
	rm -rf .venv out build dist *.egg-info .coverage* .hypothesis .import_linter_cache
	find . \( -name __pycache__ -o -name '.*_cache' \) -prune -exec rm -rf {} +

$(DEMO): requirements/demo.txt pyproject.toml
	@tools/bootstrap demo
	@touch $@

$(DEV): requirements/dev.txt pyproject.toml
	@tools/bootstrap dev
	@touch $@ $(DEMO)
