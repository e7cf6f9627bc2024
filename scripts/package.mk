# What others take: the library, the release, the installation. Included by the Makefile.

# ---- the library ---------------------------------------------------------------------------------------------------------
# Compiled once for both kinds, in parts that -j compiles side by side; PIC costs nothing that one could measure.

VERSION_MINOR := $(shell echo $(VERSION) | cut -d. -f1,2)
WEIGHTS       := include/vdi/model/pretrained/weights.h
LIB           := $(B)/lib
LIB_OBJECTS   := $(PARTS:%=$(LIB)/vdi-%.o) $(LIB)/symbols.o $(LIB)/api.o $(LIB)/sizes.o
TARGET_SYSTEM  = $(shell $(CC) -dumpmachine 2> /dev/null)
IS_WINDOWS     = $(findstring mingw,$(TARGET_SYSTEM))

.PHONY: lib api
lib: $(LIB)/libvdi.a $(LIB)/library ## libvdi.a and libvdi.so (vdi.dll for Windows), into build/lib
	@ls $(LIB)/libvdi.a $(LIB)/*vdi*.so.$(VERSION) $(LIB)/*.dll 2> /dev/null || true

api: $(LIB)/api.json ## build/lib/api.json: what the header declares, for those who make bindings
	@echo $<

$(LIB)/%.o: scripts/library/%.c scripts/library/vdi.c vdi.h $(WEIGHTS)
	@mkdir -p $(@D)
	$(CC) $(C11) $(CFLAGS) -fPIC -I. -c $< -o $@

$(LIB)/api.json: vdi.h scripts/library/api.sh scripts/library/api.awk
	@mkdir -p $(@D)
	@CC="$(CC)" sh scripts/library/api.sh vdi.h > $@

$(LIB)/sizes.c: vdi.h scripts/library/api.sh scripts/library/api.awk
	@mkdir -p $(@D)
	@CC="$(CC)" sh scripts/library/api.sh --sizes vdi.h > $@

# The library carries its own description, so that a binding cannot belong to another version.
$(LIB)/api.c: $(LIB)/api.json
	@{ echo "extern const char *vdi_api_json(void);"; echo "static const char text[] = {"; od -An -v -tu1 $< | \
	  awk '{ for (i = 1; i <= NF; i++) printf "%d,", $$i; print "" }'; echo "0};"; \
	  echo "/* what vdi.h declares, as JSON */"; echo "const char *vdi_api_json(void) { return text; }"; } > $@

$(LIB)/%.o: $(LIB)/%.c
	$(CC) $(C11) $(CFLAGS) -fPIC -I. -c $< -o $@

$(LIB)/libvdi.a: $(LIB_OBJECTS)
	@rm -f $@
	@$(AR) rcsD $@ $^

# Windows has a list of names in place of a version script.
$(LIB)/vdi.def: $(LIB)/api.json
	@{ echo EXPORTS; sed -n '/^"functions"/,/^"data"/s/^    {"name": "\(vdi_[a-z0-9_]*\)".*/    \1/p' $<; \
	  echo "    vdi_api_json"; echo "    vdi_sizeof"; } > $@

$(LIB)/library: $(LIB_OBJECTS) scripts/library/vdi.map $(LIB)/vdi.def
	@$(if $(IS_WINDOWS),$(CC) $(CFLAGS) $(LDFLAGS) -shared -static $(LIB_OBJECTS) $(LIB)/vdi.def -o $(LIB)/vdi.dll \
	    -Wl$(comma)--out-implib$(comma)$(LIB)/libvdi.dll.a $(LIBS),$(CC) $(CFLAGS) $(LDFLAGS) -shared $(LIB_OBJECTS) \
	    -Wl$(comma)-soname$(comma)libvdi.so.$(VERSION_MINOR) -Wl$(comma)--version-script=scripts/library/vdi.map \
	    -o $(LIB)/libvdi.so.$(VERSION) $(LIBS) && ln -sf libvdi.so.$(VERSION) $(LIB)/libvdi.so.$(VERSION_MINOR) && \
	    ln -sf libvdi.so.$(VERSION_MINOR) $(LIB)/libvdi.so)
	@touch $@
comma := ,

# ---- installation ----------------------------------------------------------------------------------------------------------

INSTALL_TO = $(DESTDIR)$(PREFIX)
SHELLS     := bash-completion/completions zsh/site-functions fish/vendor_completions.d
.PHONY: install
install: vdi.h ## vdi.h, its weights, files for CMake and pkg-config; tool and library if they are built; under DESTDIR/PREFIX
	install -d $(INSTALL_TO)/include $(INSTALL_TO)/lib/pkgconfig $(INSTALL_TO)/lib/cmake/vdi
	install -m 644 vdi.h $(INSTALL_TO)/include/vdi.h
	install -m 644 $(WEIGHTS) $(INSTALL_TO)/include/vdi_weights.h
	sed 's|@VERSION@|$(VERSION)|; s|@PREFIX@|$(PREFIX)|' scripts/library/vdi.pc.in > $(INSTALL_TO)/lib/pkgconfig/vdi.pc
	sed 's|@VERSION@|$(VERSION)|; s|@PREFIX@|$(PREFIX)|' scripts/library/vdi-lib.pc.in > $(INSTALL_TO)/lib/pkgconfig/vdi-lib.pc
	sed 's|@VERSION@|$(VERSION)|' scripts/library/vdi-config.cmake.in > $(INSTALL_TO)/lib/cmake/vdi/vdi-config.cmake
	sed 's|@VERSION@|$(VERSION)|' scripts/library/vdi-config-version.cmake.in > $(INSTALL_TO)/lib/cmake/vdi/vdi-config-version.cmake
	install -d $(INSTALL_TO)/share/vdi
	install -m 644 scripts/library/vdi.c scripts/library/vdi-?.c scripts/library/symbols.c $(INSTALL_TO)/share/vdi
	@if test -x vdi; then install -d $(INSTALL_TO)/bin $(INSTALL_TO)/share/man/man1 $(SHELLS:%=$(INSTALL_TO)/share/%) && \
	  install -m 755 vdi $(INSTALL_TO)/bin/vdi && ./vdi man > $(INSTALL_TO)/share/man/man1/vdi.1 && \
	  ./vdi completion bash > $(INSTALL_TO)/share/bash-completion/completions/vdi && \
	  ./vdi completion zsh > $(INSTALL_TO)/share/zsh/site-functions/_vdi && \
	  ./vdi completion fish > $(INSTALL_TO)/share/fish/vendor_completions.d/vdi.fish; fi
	@if test -f $(LIB)/libvdi.a; then install -m 644 $(LIB)/libvdi.a $(INSTALL_TO)/lib/ && \
	  cp -d $(LIB)/libvdi.so* $(INSTALL_TO)/lib/ && install -m 644 $(LIB)/api.json $(INSTALL_TO)/share/vdi/; fi

# ---- a release -------------------------------------------------------------------------------------------------------------
# The header, its weights and the tool for each system that there is a compiler for. The same bytes for the same sources and compilers.

DIST := $(B)/dist/vdi-$(VERSION)
.PHONY: dist
dist: vdi.h ## a release into build/dist: header, weights, static tools, checksums (needs musl-gcc and the cross compilers)
	@rm -rf $(DIST) && mkdir -p $(DIST)
	@cp vdi.h LICENSE CHANGELOG.md README.md $(DIST)/ && cp $(WEIGHTS) $(DIST)/vdi_weights.h
	+@MAKE="$(MAKE)" B="$(B)" sh scripts/dist.sh $(DIST)

# ---- the browser page ------------------------------------------------------------------------------------------------------
# One file without a server: docs/try and the library in WebAssembly.

WASM_CC    ?= clang --target=wasm32-wasi
WASM_FLAGS := -std=c11 -O2 -msimd128 -DVDI_NO_STDIO -DVDI_NO_THREADS -ffunction-sections -fdata-sections -I.
TRY        := $(B)/try

.PHONY: wasm
wasm: $(TRY)/index.html ## build/try/index.html: the browser page (needs clang, lld and wasi-libc)
	@echo "$< ($$(($$(wc -c < $<) / 1024)) KB)"

$(TRY)/vdi.o: scripts/library/vdi.c vdi.h $(WEIGHTS)
	@mkdir -p $(@D)
	$(WASM_CC) $(WASM_FLAGS) -c $< -o $@

$(TRY)/page.o: examples/wasm/page.c vdi.h
	@mkdir -p $(@D)
	$(WASM_CC) $(WASM_FLAGS) -c $< -o $@

$(TRY)/page.wasm: $(TRY)/page.o $(TRY)/vdi.o
	$(WASM_CC) -O2 -mexec-model=reactor -Wl,--gc-sections,--strip-all,-z,stack-size=262144 $^ -o $@

$(TRY)/index.html: $(TRY)/page.wasm scripts/try.sh $(wildcard docs/try/*)
	@sh scripts/try.sh $< > $@

# ---- several processes -----------------------------------------------------------------------------------------------------

MPICC ?= mpicc
MPI   := $(patsubst examples/mpi/%.c,$(B)/mpi/%,$(wildcard examples/mpi/*.c))

.PHONY: mpi
mpi: $(MPI) ## the examples of examples/mpi (needs Debian's openmpi-bin, libopenmpi-dev)

$(B)/mpi/%: examples/mpi/%.c examples/mpi/vdi_mpi.h $(PARTS:%=$(B)/examples/vdi_impl-%.o)
	@mkdir -p $(@D)
	OMPI_CC="$(CC)" $(MPICC) $(GNU11) $(CFLAGS) -I. -Iexamples/mpi $< $(PARTS:%=$(B)/examples/vdi_impl-%.o) -o $@ $(LDFLAGS) $(LIBS)

# ---- the site --------------------------------------------------------------------------------------------------------------
# Plain HTML of README, docs, examples with what they print, and the header; the browser page too, where it can be built.

SITE    := $(B)/site
PRINTED := $(patsubst examples/%.c,$(B)/printed/%.txt,$(wildcard examples/*.c))

.PHONY: site
site: $(LIB)/api.json $(PRINTED) ## build/site: guide, results, reference, examples, the browser page (needs python3)
	+@$(MAKE) -s --no-print-directory wasm || echo "without the browser page"
	@python3 scripts/site/site.py $(SITE) $(LIB)/api.json $(B)/printed $(TRY)/index.html
	@echo "$(SITE)/index.html"

$(B)/printed/%.txt: $(B)/examples/%
	@mkdir -p $(@D)
	@cd $(@D) && $(CURDIR)/$< > $*.part && mv $*.part $*.txt
