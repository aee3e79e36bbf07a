# Perdura: build, run, test. `make help` lists what there is.
#
#   make SAN=address,undefined ...   build and test under sanitizers (also SAN=thread)
#   make DEVELOPER=1 ...             warnings are errors
#   make CC=clang ...                another compiler

CC      ?= cc
PREFIX  ?= /usr/local
SAN     ?=
B       := build/$(if $(SAN),san-$(subst $(comma),-,$(SAN)),release)
comma   := ,

PKGS    := libpq openssl jansson
WARN    := -Wall -Wextra -Wshadow -Wmissing-prototypes -Wstrict-prototypes -Wvla $(if $(DEVELOPER),-Werror)
HARDEN  := $(if $(SAN),,-D_FORTIFY_SOURCE=3) -fstack-protector-strong -fPIE
SANFLAG := $(if $(SAN),-fsanitize=$(SAN) -fno-omit-frame-pointer -fno-sanitize-recover=all)
VERSION := $(shell cat VERSION)

CPPFLAGS += -D_GNU_SOURCE -DPERDURA_VERSION='"$(VERSION)"' -Isrc -I$(B)/gen -include src/base/banned.h
CFLAGS   ?= -O2 -g
ALL_CFLAGS = $(CFLAGS) -std=gnu17 $(WARN) $(HARDEN) $(SANFLAG) -pthread $(shell pkg-config --cflags $(PKGS))
ALL_LDFLAGS = $(LDFLAGS) -pie -Wl,-z,relro,-z,now $(SANFLAG) -pthread
LIBS     = $(shell pkg-config --libs $(PKGS)) -lb64

SRC  := $(wildcard src/*/*.c)
GEN  := $(B)/gen/sql.c $(B)/gen/migrations.c
OBJ  := $(patsubst src/%.c,$(B)/%.o,$(SRC)) $(patsubst $(B)/gen/%.c,$(B)/gen/%.o,$(GEN))
MAIN := $(B)/cli/main.o
LIB  := $(filter-out $(MAIN),$(OBJ))

UNIT := $(patsubst tests/unit/%.c,$(B)/unit/%,$(wildcard tests/unit/test_*.c))
FUZZ := $(patsubst tests/fuzz/%.c,build/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))

.PHONY: all run test unit integration fuzz bench check-layers check-headers lint format install clean deps help
.DELETE_ON_ERROR:

all: $(B)/perdura

help:
	@echo "make all | run | test | unit | integration | fuzz | bench | check-layers | check-headers | lint | format | install | clean"

$(B)/perdura: $(OBJ)
	$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS)

$(B)/libperdura.a: $(LIB)
	rm -f $@ && ar rcs $@ $^

$(B)/%.o: src/%.c $(B)/gen/sql.h $(B)/gen/migrations.h
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

$(B)/gen/%.o: $(B)/gen/%.c
	$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

# One rule for the .c and the .h: the script writes both.
$(B)/gen/sql.c $(B)/gen/sql.h &: src/tools/embed $(wildcard sql/*.sql)
	@mkdir -p $(@D)
	src/tools/embed sql $(B)/gen/sql sql/*.sql

$(B)/gen/migrations.c $(B)/gen/migrations.h &: src/tools/embed $(wildcard migrations/*.sql)
	@mkdir -p $(@D)
	src/tools/embed migrations $(B)/gen/migrations migrations/*.sql

# AVX2 code stands in a file of its own; the rest runs on any machine of the architecture.
$(B)/codec/base64_avx2.o: ALL_CFLAGS += $(if $(filter x86_64,$(shell uname -m)),-mavx2)

$(B)/unit/%: tests/unit/%.c $(B)/libperdura.a
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -o $@ $< $(ALL_LDFLAGS) $(B)/libperdura.a $(LIBS) -lcmocka -lmagic

clean:
	rm -rf build

-include $(OBJ:.o=.d) $(UNIT:=.d)
