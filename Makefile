# The two commands of the README, and what they stand on. Each sets everything up first.

ARGS ?=

.PHONY: help setup demo test package clean

help:
	@echo "make demo    set up, then run the demo: real orders over AF_XDP, matched, judged"
	@echo "make test    set up, then run every test; skips are listed with reasons"
	@echo "make setup   packages, virtual environment, C and BPF build, compiled kernels;"
	@echo "             with WIREMATCH_DPDK=1 also Debian's DPDK (make test has it unless =0)"
	@echo "make package a wheel and a Debian package, into build/"
	@echo "make clean   remove what was built (the packages of the system stay)"
	@echo 'ARGS="..."   goes to the demo or to pytest: make demo ARGS="--mode socket"'

setup:
	@bash tools/setup.sh

demo: setup
	.venv/bin/wirematch demo $(ARGS)

test: export WIREMATCH_DPDK ?= 1
test: export WIREMATCH_TESTS ?= 1
test: setup
	@bash tools/test.sh $(ARGS)

package: setup
	$(PYTHON) -m tools.package

clean:
	rm -rf .venv build *.egg-info appliance/_native*.so appliance/_dpdk.so .pytest_cache .hypothesis
	-$(MAKE) -C bpf clean
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
