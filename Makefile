# Perdura: build, run, test. `make help` lists what there is.
#
#   make SAN=address,undefined ...   build and test under sanitizers (also SAN=thread)
#   make DEVELOPER=1 ...             warnings are errors, and the order of locks is checked
#   make CC=clang ...                another compiler

CC      ?= cc
PREFIX  ?= /usr/local
SAN     ?=
comma   := ,
# Each compiler and each set of sanitizers has a folder of its own; other changes of flags build anew.
B       := build/$(if $(SAN),san-$(subst $(comma),-,$(SAN)),release)$(addprefix -,$(filter-out cc gcc,$(notdir $(CC))))

PKGS    := libpq openssl jansson libmicrohttpd hiredis libzstd libcurl expat
WARN    := -Wall -Wextra -Wshadow -Wmissing-prototypes -Wstrict-prototypes -Wvla $(if $(DEVELOPER),-Werror)
# Sanitizers and code that is not optimized do not go with it.
FORTIFY = $(if $(SAN),,$(if $(filter -O1 -O2 -O3 -Os,$(CFLAGS)),-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3))
HARDEN  = $(FORTIFY) -fstack-protector-strong -fPIE
SANFLAG := $(if $(SAN),-fsanitize=$(SAN) -fno-omit-frame-pointer -fno-sanitize-recover=all)
VERSION := $(shell cat VERSION)

# Asked once, and only when something is built: `make test` installs pkg-config first.
PKG_CFLAGS = $(eval PKG_CFLAGS := $$(shell pkg-config --cflags $$(PKGS)))$(PKG_CFLAGS)
PKG_LIBS   = $(eval PKG_LIBS := $$(shell pkg-config --libs $$(PKGS)))$(PKG_LIBS)

BANNED   := -include src/base/banned.h
CPPFLAGS += $(if $(DEVELOPER),-DDEVELOPER) -D_GNU_SOURCE -DPERDURA_VERSION='"$(VERSION)"' -Isrc -I$(B)/gen $(BANNED)
CFLAGS   ?= -O2 -g
ALL_CFLAGS = $(CFLAGS) -std=gnu17 $(WARN) $(HARDEN) $(SANFLAG) -pthread $(PKG_CFLAGS)
ALL_LDFLAGS = $(LDFLAGS) -pie -Wl,-z,relro,-z,now $(SANFLAG) -pthread
LIBS     = $(PKG_LIBS) -lb64 -lm

SRC  := $(wildcard src/*/*.c)
SQL  := $(wildcard sql/*.sql)
MIGRATIONS := $(wildcard migrations/*.sql)
ADMIN := $(wildcard admin/*.* admin/*/*.*)
GEN  := $(B)/gen/sql.c $(B)/gen/migrations.c $(B)/gen/admin.c
OBJ  := $(patsubst src/%.c,$(B)/%.o,$(SRC)) $(GEN:.c=.o)
# Two programs: the product, and the demonstration of `make run`, which starts servers and draws images.
DEV  := $(filter $(B)/dev/%,$(OBJ))
PRODUCT := $(filter-out $(DEV),$(OBJ))
LIB  := $(filter-out $(B)/cli/main.o,$(PRODUCT))

UNIT  := $(patsubst tests/unit/%.c,$(B)/unit/%,$(wildcard tests/unit/test_*.c))
FUZZ  := $(patsubst tests/fuzz/%.c,$(B)/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))
BENCH := $(patsubst tests/bench/%.c,build/bench/%,$(wildcard tests/bench/*.c))
FUZZ_SECONDS ?= 5

.PHONY: all help run test express s3rver axe unit integration fault fault-and-integration browser valgrind fuzz \
	fuzz-run bench check-layers check-headers lint format install clean binaries FORCE
.DELETE_ON_ERROR:

all: $(B)/perdura $(B)/perdura-dev

help:
	@echo "make            the program, $(B)/perdura"
	@echo "make run        installs what is missing, builds, and runs it with a PostgreSQL of its own; Ctrl-C ends it"
	@echo "make test       installs what is missing, builds, and runs all tests"
	@echo "make bench      measures beside bare libpq; PARTS=\"hot cold scan objects\" beside nginx, Varnish, curl"
	@echo "make docs       writes what docs/ shows of the source: settings, metrics, layers"
	@echo "make unit | integration | fault | browser | fuzz | valgrind | check-layers | check-headers    parts of that, and more"
	@echo "make lint       compilers, cppcheck, clang-tidy and clang-format find nothing"
	@echo "make format | install | clean | compile_commands.json"
	@echo "Variables: SAN=address,undefined SAN=thread DEVELOPER=1 CC=clang CFLAGS FUZZ_SECONDS PREFIX DESTDIR"

# Building. V=1 shows the commands.

say = $(if $(V),,@echo "  $(1)  $@" && )

$(B)/perdura: $(PRODUCT) $(B)/files
	$(call say,LINK)$(CC) $(ALL_LDFLAGS) -o $@ $(PRODUCT) $(LIBS)

$(B)/perdura-dev: $(DEV) $(B)/libperdura.a
	$(call say,LINK)$(CC) $(ALL_LDFLAGS) -o $@ $(DEV) $(B)/libperdura.a $(LIBS)

$(B)/libperdura.a: $(LIB) $(B)/files
	$(call say,AR  )rm -f $@ && ar rcs $@ $(LIB)

$(B)/%.o: src/%.c $(B)/flags | $(GEN:.c=.h)
	@mkdir -p $(@D)
	$(call say,CC  )$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

$(B)/gen/%.o: $(B)/gen/%.c $(B)/flags
	$(call say,CC  )$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

# The script writes the .h, too, when it changes.
$(GEN:.c=.h): %.h: %.c
	@[ -f $@ ] || { rm $< && $(MAKE) --no-print-directory $<; }

$(B)/gen/sql.c: src/tools/embed $(SQL) $(wildcard sql/*.inc) $(B)/files
	@mkdir -p $(@D)
	$(call say,SQL )src/tools/embed sql $(B)/gen/sql $(SQL)

$(B)/gen/migrations.c: src/tools/embed $(MIGRATIONS) $(B)/files
	@mkdir -p $(@D)
	$(call say,SQL )src/tools/embed migrations $(B)/gen/migrations $(MIGRATIONS)

$(B)/gen/admin.c: src/tools/embed $(ADMIN) $(B)/files
	@mkdir -p $(@D)
	$(call say,PAGE)src/tools/embed admin $(B)/gen/admin $(ADMIN)

# AVX2 code stands in a file of its own; the rest runs on any machine of the architecture.
$(B)/codec/base64_avx2.o: private ALL_CFLAGS += $(if $(filter x86_64,$(shell uname -m)),-mavx2)

# What no time stamp tells: other flags, or a file that is gone. Each is written only when it changes.
$(B)/flags: export TEXT = $(CC) $(CPPFLAGS) $(ALL_CFLAGS) $(ALL_LDFLAGS) $(LIBS)
$(B)/files: export TEXT = $(SRC) $(SQL) $(MIGRATIONS) $(ADMIN)
$(B)/flags $(B)/files: FORCE
	@mkdir -p $(@D)
	@echo "$$TEXT" | cmp -s - $@ || echo "$$TEXT" > $@

LINK_TEST = $(CC) $(CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -MF $@.d -MT $@ -o $@ $< $(ALL_LDFLAGS) $(B)/libperdura.a $(LIBS)

$(B)/unit/%: tests/unit/%.c $(B)/libperdura.a $(B)/flags
	@mkdir -p $(@D)
	$(call say,LINK)$(LINK_TEST) -lcmocka -lmagic

$(B)/fuzz/%: tests/fuzz/%.c $(B)/libperdura.a $(B)/flags
	@mkdir -p $(@D)
	$(call say,LINK)$(subst fuzzer-no-link,fuzzer,$(LINK_TEST))

build/bench/%: tests/bench/%.c $(B)/libperdura.a $(B)/flags
	@mkdir -p $(@D)
	$(call say,LINK)$(LINK_TEST)

-include $(OBJ:.o=.d) $(UNIT:=.d) $(FUZZ:=.d) $(BENCH:=.d)

# Running. A sub-make, because what was installed a moment ago changes what make must know.

# Whatever ends make, even kill -9: what it runs hears of it, and nothing stays behind.
ENDS_WITH_MAKE = setpriv --pdeathsig TERM
SUBMAKE = $(MAKE) --no-print-directory $(if $(filter -j%,$(MAKEFLAGS)),,-j$$(nproc))

run:
	@src/tools/install-deps build run
	@+$(SUBMAKE) all
	@exec $(ENDS_WITH_MAKE) $(B)/perdura-dev

# Testing. Temporary files of tests stay beneath build/, and any report of a sanitizer ends the program that it is about.

TEST_ENV = env TMPDIR=$(CURDIR)/build/tmp PERDURA_BIN=$(CURDIR)/$(B)/perdura PYTHONDONTWRITEBYTECODE=1
ifneq ($(SAN),)
TEST_ENV += \
	ASAN_OPTIONS=halt_on_error=1:exitcode=99:detect_leaks=1:detect_stack_use_after_return=1 \
	UBSAN_OPTIONS=halt_on_error=1:exitcode=99:print_stacktrace=1 \
	TSAN_OPTIONS=halt_on_error=1:exitcode=99:second_deadlock_stack=1:suppressions=$(CURDIR)/tests/tsan.supp
endif
# gcc 12's thread sanitizer cannot start where the kernel spreads addresses wider than it knows.
ifeq ($(SAN),thread)
TEST_ENV += $(shell setarch -R true 2> /dev/null && echo setarch -R)
endif

test:
	@src/tools/install-deps build run test
	@+exec env B=$(B) SAN=$(SAN) MAKE="$(MAKE) --no-print-directory" SUBMAKE="$(SUBMAKE)" \
	    $(ENDS_WITH_MAKE) src/tools/run-tests

binaries: all $(UNIT)

# What an app of tests/apps needs, from npm's registry. Where there is no npm its test is skipped.
express: build/express/package.json
build/express/package.json: tests/apps/express/package.json
	@mkdir -p $(@D)
	@if command -v npm > /dev/null; then cp $< $@ && cd $(@D) && \
	    npm install --no-audit --no-fund --loglevel=error > npm.log 2>&1 || \
	    { echo "npm can't fetch Express (build/express/npm.log): its test is skipped"; rm -f package.json; }; fi

# A server of object storage, likewise.
s3rver: build/s3rver/package.json
build/s3rver/package.json: tests/storage/package.json
	@mkdir -p $(@D)
	@if command -v npm > /dev/null; then cp $< $@ && cd $(@D) && \
	    npm install --no-audit --no-fund --loglevel=error > npm.log 2>&1 || \
	    { echo "npm can't fetch s3rver (build/s3rver/npm.log): its tests are skipped"; rm -f package.json; }; fi

# What looks at pages as those do who can't see them, likewise.
axe: build/browser/package.json
build/browser/package.json: tests/browser/package.json
	@mkdir -p $(@D)
	@if command -v npm > /dev/null; then cp $< $@ && cd $(@D) && \
	    npm install --no-audit --no-fund --loglevel=error > npm.log 2>&1 || \
	    { echo "npm can't fetch axe-core (build/browser/npm.log): its tests are skipped"; rm -f package.json; }; fi

unit: $(UNIT)
	@mkdir -p build/tmp
	@exec $(TEST_ENV) src/tools/run-unit $(UNIT)

valgrind: $(UNIT)
	@mkdir -p build/tmp
	@exec env RUN_WITH="valgrind -q --error-exitcode=99 --leak-check=full" $(TEST_ENV) src/tools/run-unit $(UNIT)

integration fault-and-integration: express s3rver
fault: s3rver
browser: axe
# Faults and integration in one run: tests of one kind fill the pauses of the other.
integration fault fault-and-integration browser: all
	@mkdir -p build/tmp
	@exec $(TEST_ENV) src/tools/run-pytest $(addprefix tests/,$(subst -and-, ,$@))

fuzz:
	@+$(SUBMAKE) CC=clang SAN=fuzzer-no-link,address,undefined B=build/fuzz fuzz-run

fuzz-run: $(FUZZ)
	@mkdir -p build/tmp
	@exec $(TEST_ENV) src/tools/run-fuzz $(FUZZ_SECONDS) $(FUZZ)

# PARTS="hot cold": only these, of bulk, rows, upload, hot, cold and scan.
PARTS ?= bulk rows
bench:
	@src/tools/install-deps build run test bench
	@+$(SUBMAKE) all $(BENCH)
	@mkdir -p build/tmp
	@for part in $(PARTS); do $(TEST_ENV) /usr/bin/python3 tests/bench/$$part.py || exit; done

# Looking

check-layers: $(OBJ)
	@src/tools/check-layers $(B)

check-headers: $(GEN)
	@echo src/*/*.h | xargs -P $$(nproc) -n 10 \
	    $(CC) $(filter-out $(BANNED),$(CPPFLAGS)) $(ALL_CFLAGS) -Werror -fsyntax-only -x c

# The pages and tables that are made from the source.
docs: $(B)/perdura
	@$(B)/perdura config --markdown > docs/settings.md
	@src/tools/list-metrics > docs/metrics.md
	@for table in draw-layers list-locks; do \
	    src/tools/$$table > $(B)/table.md; \
	    sed -i -e "/^<!-- src.tools.$$table -->\$$/,/^<!-- end -->\$$/{//!d}" \
	        -e "/^<!-- src.tools.$$table -->\$$/r $(B)/table.md" docs/architecture.md || exit 1; \
	done

# For clangd and other tools that ask how each file is compiled.
compile_commands.json: src/tools/compile-commands $(B)/flags $(B)/files
	$(call say,JSON)src/tools/compile-commands $(SRC) -- $(CC) $(CPPFLAGS) $(ALL_CFLAGS) > $@

C_FILES = $(wildcard src/*/*.[ch] tests/*/*.[ch])

lint:
	@src/tools/install-deps build test lint
	@+$(SUBMAKE) DEVELOPER=1 CC=gcc B=build/lint-gcc binaries
	@+$(SUBMAKE) DEVELOPER=1 CC=clang B=build/lint-clang binaries
	@+$(SUBMAKE) -k CC=clang B=build/lint-clang lint-sources

.PHONY: lint-sources $(SRC:%=tidy/%)
lint-sources: $(SRC:%=tidy/%)
	clang-format --dry-run -Werror $(C_FILES)
	cppcheck -q -j$$(nproc) --std=c11 --enable=warning,performance,portability --inline-suppr --error-exitcode=1 \
	    --suppress=normalCheckLevelMaxBranches --suppress='*:/usr/include/*' --include=/usr/include/uthash.h \
	    --include=/usr/include/utlist.h -D_GNU_SOURCE -Isrc -I$(B)/gen src

$(SRC:%=tidy/%): tidy/%: % $(GEN)
	@clang-tidy --quiet --warnings-as-errors='*' $< -- $(CPPFLAGS) $(ALL_CFLAGS) 2> /dev/null

format:
	clang-format -i $(C_FILES)

install: all
	install -Dm755 $(B)/perdura $(DESTDIR)$(PREFIX)/bin/perdura
	install -Dm644 -t $(DESTDIR)$(PREFIX)/share/doc/perdura LICENSE $(wildcard README.md docs/*.md docs/*.yaml)
	install -Dm644 -t $(DESTDIR)$(PREFIX)/share/doc/perdura/images $(wildcard docs/images/*)
	install -Dm644 -t $(DESTDIR)$(PREFIX)/share/doc/perdura/deploy $(wildcard docs/deploy/*)
	$(if $(wildcard docs/perdura.1),install -Dm644 -t $(DESTDIR)$(PREFIX)/share/man/man1 docs/perdura.1)

clean:
	rm -rf build
