# vdi is one header. This file builds what stands around it: the tool, the tests, the examples, the checks, the papers.
#
# Overridable: CC CXX CFLAGS LDFLAGS RUN_ENV (what runs a test program, such as qemu-aarch64), B (where the build goes),
# VDI_DIR (include/vdi to test the tree, . to test the single file), PREFIX DESTDIR (install), PEERS=1 (bench).

CC ?= cc
CFLAGS ?= -O2
LDFLAGS ?=
RUN_ENV ?=
B ?= build
VDI_DIR ?= include/vdi
PREFIX ?= /usr/local
DESTDIR ?=

VERSION := $(shell awk '$$2 == "VDI_VERSION" { gsub(/"/, "", $$3); print $$3 }' include/vdi/core/config.h)
HEADERS := $(shell find include/vdi -name "*.h")
WARN    := -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wundef -Wstrict-prototypes -Wmissing-prototypes
C11     := -std=c11
# Tests and tools around the library may use POSIX, and read better without a cast in each assertion.
GNU11   := -std=gnu11 -g -Wall -Wextra
DEPEND   = -MMD -MP
LIBS    := -lm -lpthread
# The library in four parts (VDI_IMPLEMENTATION_PART), so that -j compiles them side by side.
PARTS   := 1 2 3 4

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.SUFFIXES:
.PRECIOUS: $(B)/tests/%.o $(B)/portable/%.o $(B)/vdi_impl-%.o $(B)/examples/vdi_impl-%.o

.PHONY: help
help: ## what this file can do
	@echo "vdi $(VERSION)"
	@awk -F ':.*## ' '{ sub(/^\$$\(TOOL_AT\)/, "vdi") } /^[a-z.-]+:.*## / { sub(/:.*/, "", $$1); printf "  make %-10s %s\n", $$1, $$2 }' $(filter-out %.d,$(MAKEFILE_LIST))

# ---- the single file ---------------------------------------------------------------------------------------------------

# The stamp remembers that the file was compared; the file itself is touched only when it changes, so nothing is rebuilt in vain.
$(B)/vdi.h.stamp: $(HEADERS) scripts/amalgamate.sh
	@mkdir -p $(B)
	@sh scripts/amalgamate.sh include/vdi > $(B)/vdi.h.new
	@cmp -s $(B)/vdi.h.new vdi.h || { echo "vdi.h is generated anew"; cp $(B)/vdi.h.new vdi.h; }
	@rm -f $(B)/vdi.h.new; touch $@

vdi.h: $(B)/vdi.h.stamp ## the single file, generated from include/vdi
	@test -f $@ || { rm -f $<; $(MAKE) $<; }

# ---- the tool ----------------------------------------------------------------------------------------------------------

TOOL_AT ?= vdi
TOOL := $(patsubst examples/vdi/%.c,$(B)/tool/%.o,$(filter-out examples/vdi/vdi.c,$(wildcard examples/vdi/*.c)))
TOOL += $(if $(TOOL),$(PARTS:%=$(B)/tool/vdi-%.o))

ifneq ($(TOOL),)
# Static where the C library allows it, so that the binary runs on any machine of the lab.
$(TOOL_AT): $(TOOL) ## the command-line tool ./vdi, one static binary
	@$(CC) $(CFLAGS) $(LDFLAGS) -static $(TOOL) -o $@ $(LIBS) 2> $(B)/tool/static.log || \
	  { echo "no static link here, so a dynamic one (why: $(B)/tool/static.log)"; $(CC) $(CFLAGS) $(LDFLAGS) $(TOOL) -o $@ $(LIBS); }
	@echo "built $@"

demo: vdi ## build ./vdi and watch all it can do on data that it simulates
	./vdi demo --out demo
else
.PHONY: vdi
vdi demo:
	@echo "examples/vdi has no source yet, so there is no tool to build"; exit 1
endif
.PHONY: demo

# mingw brings the printf of C99 and that of Windows 95.
TOOL_C11 = -std=gnu11 $(if $(IS_WINDOWS),-D__USE_MINGW_ANSI_STDIO=1)

$(B)/tool/%.o: examples/vdi/%.c vdi.h $(B)/tool/page.h
	@mkdir -p $(@D)
	$(CC) $(TOOL_C11) $(WARN) $(CFLAGS) $(DEPEND) -I. -I$(B)/tool -c $< -o $@

$(B)/tool/vdi-%.o: examples/vdi/vdi.c vdi.h
	@mkdir -p $(@D)
	$(CC) $(TOOL_C11) $(WARN) $(CFLAGS) $(DEPEND) -DVDI_IMPLEMENTATION_PART=$* -I. -c $< -o $@

# The files of its pages, each as an array of characters: inspect.css is page_inspect_css.
PAGES := $(sort $(wildcard examples/vdi/page/*))
$(B)/tool/page.h: $(PAGES)
	@mkdir -p $(@D)
	@for f in $^; do \
	  echo "static const char page_$$(basename $$f | tr . _)[] = {"; \
	  od -An -v -tu1 $$f | awk '{ for (i = 1; i <= NF; i++) printf "%d,", $$i; print "" }'; \
	  echo "0};"; \
	done > $@

.PHONY: page
page: vdi ## check and try the scripts of the tool's pages (needs node)
	@for f in $(filter %.js,$(PAGES)); do node --check $$f || exit 1; done
	@sh tests/page.sh ./vdi

# ---- tests -------------------------------------------------------------------------------------------------------------

TESTS    := $(filter-out vdi_impl,$(basename $(notdir $(wildcard tests/*.c))))
SUITES   := $(TESTS:%=$(B)/tests/%)
PORTABLE := $(TESTS:%=$(B)/portable/%.o) $(B)/portable/main.o
IMPL     := $(PARTS:%=$(B)/vdi_impl-%.o)

.PHONY: test suites portable portable-build counts
test: ## the Criterion suites (installs Criterion if it may; without it, the portable suite)
	+@MAKE="$(MAKE)" CC="$(CC)" B="$(B)" sh scripts/test.sh

suites: $(SUITES)
	+@sh scripts/suites.sh $(B)/tests $(TESTS)

portable-build: $(B)/portable/run
portable: $(B)/portable/run ## the same tests in one program with a plain main
	$(RUN_ENV) $(B)/portable/run $(ARGS)

counts: $(SUITES) $(B)/portable/run ## write tests/counts: how many tests each suite has to have at least
	@sh scripts/suites.sh --counts $(B)/tests $(TESTS) > $(B)/counts
	@$(B)/portable/run --list > $(B)/portable/list && echo "portable $$(wc -l < $(B)/portable/list)" >> $(B)/counts
	@cp $(B)/counts tests/counts; cat tests/counts

$(B)/vdi_impl-%.o: tests/vdi_impl.c
	@mkdir -p $(@D)
	$(CC) $(C11) $(WARN) $(CFLAGS) $(DEPEND) -DVDI_IMPLEMENTATION_PART=$* -I$(VDI_DIR) -c $< -o $@

# tells the programs of tests/portable/ where it enters and leaves a function (make check-stack check-traps)
$(B)/instrumented.o: tests/vdi_impl.c
	@mkdir -p $(@D)
	gcc $(C11) -O2 -fno-omit-frame-pointer -finstrument-functions -finstrument-functions-exclude-file-list=kernel/simd $(DEPEND) \
	  -I$(VDI_DIR) -c $< -o $@

$(B)/tests/%.o: tests/%.c
	@mkdir -p $(@D)
	$(CC) $(GNU11) $(CFLAGS) $(DEPEND) -I$(VDI_DIR) -c $< -o $@

$(B)/tests/%: $(B)/tests/%.o $(IMPL)
	@$(CC) $(CFLAGS) $(LDFLAGS) $^ -o $@ -lcriterion $(LIBS)

$(B)/portable/main.o: tests/portable/main.c
	@mkdir -p $(@D)
	$(CC) $(GNU11) $(CFLAGS) $(TEST_FLAGS) $(DEPEND) -DVDI_TEST_PORTABLE -I$(VDI_DIR) -c $< -o $@

$(B)/portable/%.o: tests/%.c
	@mkdir -p $(@D)
	$(CC) $(GNU11) $(CFLAGS) $(TEST_FLAGS) $(DEPEND) -DVDI_TEST_PORTABLE -I$(VDI_DIR) -c $< -o $@

$(B)/portable/run: $(PORTABLE) $(IMPL)
	@$(CC) $(CFLAGS) $(LDFLAGS) $^ -o $@ $(LIBS)

# ---- examples (one program per file, from the single file alone) and benchmarks ----------------------------------------

EXAMPLES := $(patsubst examples/%.c,$(B)/examples/%,$(wildcard examples/*.c))

.PHONY: examples
examples: $(EXAMPLES) ## build the examples and run them
	@for e in $(EXAMPLES); do echo "-- $$e"; $(RUN_ENV) $$e || exit 1; done

# The implementation is compiled once for all of them, as a user does it.
$(B)/examples/vdi_impl-%.o: tests/vdi_impl.c vdi.h
	@mkdir -p $(@D)
	$(CC) $(C11) $(CFLAGS) $(DEPEND) -DVDI_IMPLEMENTATION_PART=$* -I. -c $< -o $@

$(B)/examples/%: examples/%.c $(PARTS:%=$(B)/examples/vdi_impl-%.o)
	$(CC) $(C11) $(CFLAGS) $(DEPEND) -I. $^ -o $@ $(LDFLAGS) $(LIBS)

# Simulators on Box2D that serve the environments LunarLander and BipedalWalker to `vdi sacd train --env-cmd` (docs/guide/environments.md).
BOX2D     := $(patsubst examples/box2d/%.cpp,$(B)/box2d/%,$(wildcard examples/box2d/*.cpp))
CXXFLAGS  ?= -O2
HAS_BOX2D  = echo '\#include <box2d/box2d.h>' | $(CXX) -x c++ -E - > /dev/null 2>&1

.PHONY: box2d
box2d: ## the Box2D environments, into build/box2d (needs Debian's libbox2d-dev)
	@$(HAS_BOX2D) || sh scripts/packages.sh install box2d
	+@$(MAKE) --no-print-directory $(BOX2D)

$(B)/box2d/%: examples/box2d/%.cpp vdi.h
	@mkdir -p $(@D)
	$(CXX) -std=c++17 -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wundef $(CXXFLAGS) $(DEPEND) -I. $< -o $@ $(LDFLAGS) -lbox2d $(LIBS)

# ---- the pretrained network ------------------------------------------------------------------------------------------

# Three minutes of one core; it goes on where it was stopped. The result is the same bits for the same build on the same kind of machine.
STEPS ?= 2000
SEED  ?= 1
MEMBERS ?= 3
.PHONY: pretrain
pretrain: $(B)/scripts/pretrain ## train the pretrained network again, from its seeds, and write weights.h
	$(B)/scripts/pretrain --steps $(STEPS) --seed $(SEED) --members $(MEMBERS) --checkpoint $(B)/pretrain \
	  --out include/vdi/model/pretrained/weights.h

$(B)/scripts/%: scripts/%.c $(PARTS:%=$(B)/examples/vdi_impl-%.o)
	@mkdir -p $(@D)
	$(CC) $(C11) $(CFLAGS) $(DEPEND) -I. $^ -o $@ $(LDFLAGS) $(LIBS)

-include bench/bench.mk

# ---- checks: each step of scripts/check.sh is a target of its own, so `make check-layers` runs that one alone ----------

LONG   := asantool bench traps haswell nehalem aarch64
CHECKS ?= $(filter-out $(LONG),$(shell sh scripts/check.sh --list))

.PHONY: check layers
check: ## everything that a change has to pass (about twenty minutes)
	+@rm -rf $(B)/check; mkdir -p $(B)/check
	+@$(MAKE) --no-print-directory -k -j2 $(CHECKS:%=check-%) || true
	@sh scripts/check.sh --summary $(B)/check

# Hours, on a machine that has nothing else to do: emulators, traps, benchmark, the tool under sanitizers, what no test reaches or would notice.
.PHONY: check-long
check-long: ## what takes too long for every change: emulators, traps, sanitizers over the tool, coverage, mutants, matrix
	+@$(MAKE) --no-print-directory check CHECKS="$(LONG)"
	+@$(MAKE) --no-print-directory -k coverage mutants matrix

check-%: vdi.h
	+@MAKE="$(MAKE)" CC="$(CC)" B="$(B)" sh scripts/check.sh $*

# these run the same native binary, which one of them has to have built
check-stack check-traps: $(B)/instrumented.o
check-simd check-called check-stack check-traps check-comma check-haswell check-nehalem: $(B)/portable/run

layers: check-layers ## no header includes one of a higher layer

# Other compilers, processors and systems: each row of scripts/matrix.sh is a target of its own, too. FULL=1 runs every suite.
.PHONY: matrix
matrix: ## the portable suite on each platform that can be had here (docs/guide/platforms.md)
	+@MAKE="$(MAKE)" B="$(B)" sh scripts/matrix.sh

matrix-%:
	+@MAKE="$(MAKE)" B="$(B)" sh scripts/matrix.sh $*

include scripts/package.mk

# Both take an hour of a quiet core, and run one thing after the other, so that they can go on beside other work.
.PHONY: coverage mutants
coverage: ## lines and branches of include/vdi that the tests run, by file
	@B="$(B)" sh scripts/coverage.sh

mutants: $(B)/tool/page.h ## do the tests notice 200 small changes of the code? (goes on where it was stopped)
	@B="$(B)" sh scripts/mutants.sh

# ---- papers -------------------------------------------------------------------------------------------------------------

.PHONY: docs clean
docs: ## the reference, by Doxygen, into build/docs; an undocumented name is an error
	@command -v doxygen > /dev/null || sh scripts/packages.sh install docs
	@mkdir -p $(B)/docs
	@(cat docs/Doxyfile; echo "PROJECT_NUMBER = $(VERSION)"; echo "OUTPUT_DIRECTORY = $(B)/docs") | doxygen -
	@cp -r docs/pictures $(B)/docs/
	@echo "$(B)/docs/html/index.html"

clean: ## remove all that was built
	rm -rf $(B) vdi

-include $(wildcard $(B)/*.d $(B)/*/*.d)
