# `make demo` and `make test` each work as the only command on a fresh machine.
.PHONY: demo test check format bench lock clean made-elsewhere

BIN := .venv/bin
# Only the newest of these makes the environment out of date.
ENV := .venv/.made

demo: $(ENV)
	$(BIN)/slimline demo

# Two processes, each with whole files: a process of its own for every test would import TensorFlow every time.
test: $(ENV)
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

check: $(ENV)
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(ENV)
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

# Takes two hours; `python -m benchmarks --list` says what there is, and what each part takes.
bench: $(ENV)
	$(BIN)/python -m benchmarks

# No index addresses are written: whoever installs chooses the index. The image gets what pipelines need to run, no more.
LOCK := pip compile --quiet --python-version 3.11 --no-emit-index-url --no-header --generate-hashes pyproject.toml
lock: | $(BIN)/uv
	$(BIN)/uv $(LOCK) --universal --all-extras --output-file requirements.lock
	$(BIN)/uv $(LOCK) --python-platform x86_64-manylinux_2_36 --constraint requirements.lock \
		$(addprefix --extra=,tfx kubeflow pipelines litert-quantizer micro ethos-u) --output-file deploy/runtime.lock

# What was run stays: slimline-runs holds models, and the record of where they came from.
clean:
	rm -rf .venv dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis

# Locking needs no environment that agrees with the lock.
$(BIN)/uv:
	@$(MAKE) $(ENV)

$(ENV): requirements.lock pyproject.toml deploy/make-env.sh
	@deploy/make-env.sh

# The mark holds the place that the environment was made for. In a renamed or copied checkout it names another.
ifneq ($(shell cat $(ENV) 2>/dev/null),$(CURDIR))
$(ENV): made-elsewhere
endif
