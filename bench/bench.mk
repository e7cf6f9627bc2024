# bench/bench.mk - the rules of the benchmark, included by the Makefile.
#
#   make bench                what vdi reaches of this machine's peak
#   make bench PEERS=1        and its peers in the same run: OpenBLAS, libmvec, SLEEF, PyTorch, statsmodels, those that are installed
#   make bench-quick          a smoke test of the programs, some seconds
#   make bench-docs           PEERS=1, then the tables into docs/results/bench-intel.md, or -amd.md
#   make bench ONLY=n=64      rows whose name has this text;  QUESTIONS="gemm tape"  these programs alone
#   make build/bench/joints QUESTIONS=joints      a program that has no rows in the tables (folds, case_penalty ...)
#
# Uses CC, CFLAGS, LDFLAGS, B (build directory) and VDI_DIR (where vdi.h is) of the including Makefile.

B         ?= build
VDI_DIR   ?= include/vdi
QUESTIONS ?= gemm elementwise blocktri tape nets lds vilds pretrained oasis sacd
MAKER     ?= $(if $(shell grep -m1 GenuineIntel /proc/cpuinfo 2> /dev/null),intel,amd)
BENCH_DIR := $(B)/bench
BENCH_ALL := $(QUESTIONS:%=$(BENCH_DIR)/%)
BENCH_ARG  = --out $(BENCH_DIR) $(if $(filter 1,$(PEERS)),--peers) $(if $(ONLY),--only '$(ONLY)')

.PHONY: bench bench-quick bench-docs
bench: $(BENCH_ALL) ## vdi's speed as a share of this machine's peak; PEERS=1 adds its peers
	@failed=0; for q in $(BENCH_ALL); do $$q $(BENCH_ARG) || failed=1; done; \
	  sh bench/tables.sh $(BENCH_DIR) $(QUESTIONS) && exit $$failed

bench-quick: $(BENCH_ALL)
	@for q in $(BENCH_ALL); do $$q $(BENCH_ARG) --quick || exit 1; done

bench-docs: bench
	@sh bench/tables.sh $(BENCH_DIR) --into docs/results/bench-$(MAKER).md

# The library in four parts, as the Makefile compiles it for the tests.
BENCH_VDI := $(PARTS:%=$(BENCH_DIR)/vdi-%.o)

$(BENCH_DIR)/vdi-%.o: bench/vdi.c
	@mkdir -p $(@D)
	$(CC) -std=gnu11 $(CFLAGS) -MMD -MP -DVDI_IMPLEMENTATION_PART=$* -I$(VDI_DIR) -c $< -o $@

$(BENCH_DIR)/%.o: bench/%.c
	@mkdir -p $(@D)
	$(CC) -std=gnu11 -Wall -Wextra $(CFLAGS) -MMD -MP -I$(VDI_DIR) -c $< -o $@

$(BENCH_ALL): $(BENCH_DIR)/%: $(BENCH_DIR)/%.o $(BENCH_VDI)
	@$(CC) $(CFLAGS) $(LDFLAGS) $^ -o $@ -lm -ldl -lpthread

-include $(wildcard $(BENCH_DIR)/*.d)
