# SPDX-License-Identifier: Apache-2.0
# Two commands do everything on a fresh Debian machine: make demo, make test.
#
#   make            build/penstock (libduckdb.so beside it)
#   make demo       the main job on a throw-away database, in under a minute
#   make test       everything: units, fuzz corpora, real servers
#   make ci         format and lint checks, and make test with its units under the sanitizers
#   make asan tsan  the program and the unit tests under a sanitizer
#   make failpoints the program that tests can let die anywhere (src/util/failpoint.h)
#   make chaos      random work against random trouble for ten minutes (tests/chaos; CHAOS='--seed N')
#   make docs       the pages that the program prints: docs/configuration.md, docs/errors.md
#   make install deb  into PREFIX (/usr/local); a Debian package
#   make lint format bench bench-full clean

BUILD ?= build
DEPS := .deps
# As many jobs as processors, unless the caller says how many.
ifeq ($(filter -j% --jobserver%,$(MAKEFLAGS)),)
MAKEFLAGS += -j$(shell nproc)
endif
PREFIX ?= /usr/local
VERSION := 0.1.0

ifeq ($(origin CC),default)
CC := gcc
endif
WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wvla -Werror
PKGS := libpq libcurl jansson openssl yaml-0.1 libpcre2-8 sqlite3 libmicrohttpd
OPT ?= -O2 -g
CFLAGS ?=
SAN ?=

SRC := $(sort $(shell find src connectors -name '*.c'))
OBJ := $(SRC:%.c=$(BUILD)/obj/%.o)
LIB := $(BUILD)/libpenstock.a
UNIT := $(patsubst tests/unit/%.c,$(BUILD)/unit/%,$(sort $(wildcard tests/unit/test_*.c)))
FUZZ := $(patsubst tests/fuzz/%.c,$(BUILD)/fuzz/%,$(sort $(wildcard tests/fuzz/fuzz_*.c)))
BENCH := $(patsubst tests/bench/%.c,$(BUILD)/bench/%,$(sort $(wildcard tests/bench/bench_*.c)))

ALL_CFLAGS = -std=gnu11 $(WARN) $(OPT) $(SAN) -D_GNU_SOURCE -DPENSTOCK_VERSION='"$(VERSION)"' \
	-iquote src -iquote connectors -isystem $(DEPS)/duckdb $(PKG_CFLAGS) -pthread $(CFLAGS)
PKG_CFLAGS = $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
PKG_LIBS = $(shell pkg-config --libs $(PKGS) 2>/dev/null)
LIBS = $(PKG_LIBS) -L$(DEPS)/duckdb -lduckdb -lm -pthread

.PHONY: all deps demo test ci asan tsan failpoints chaos unit fuzz docs lint format format-check bench bench-full install deb clean
all: $(BUILD)/penstock

# What the build needs from Debian and from npm: installed once, named when it is.
DEPS_STAMP := $(DEPS)/stamp
deps: $(DEPS_STAMP)
$(DEPS_STAMP): scripts/deps.sh
	@sh scripts/deps.sh build $(DEPS)

$(BUILD)/obj/%.o: %.c | $(DEPS_STAMP)
	@mkdir -p $(@D)
	@echo '  cc   $<'; $(CC) $(ALL_CFLAGS) -MMD -MP -c $< -o $@

$(LIB): $(filter-out $(BUILD)/obj/src/main.o,$(OBJ))
	@rm -f $@
	@echo '  ar   $@'; ar rcs $@ $^

$(BUILD)/penstock: $(BUILD)/obj/src/main.o $(LIB) $(BUILD)/libduckdb.so
	@echo '  link $@'; $(CC) $(SAN) -o $@ $< $(LIB) $(LIBS) -Wl,-rpath,'$$ORIGIN'

$(BUILD)/libduckdb.so: | $(DEPS_STAMP)
	@mkdir -p $(@D)
	ln -f $(DEPS)/duckdb/libduckdb.so $@ 2>/dev/null || cp $(DEPS)/duckdb/libduckdb.so $@

# Unit tests: one program a file, everything but main.c linked in.
$(BUILD)/unit/%: tests/unit/%.c $(LIB) $(BUILD)/libduckdb.so
	@mkdir -p $(@D)
	@echo '  link $@'; $(CC) $(ALL_CFLAGS) -o $@ $< $(LIB) $(LIBS) -lcmocka -lavro -Wl,-rpath,$(abspath $(BUILD))
$(BUILD)/fuzz/%: tests/fuzz/%.c tests/fuzz/driver.h $(LIB) $(BUILD)/libduckdb.so
	@mkdir -p $(@D)
	@echo '  link $@'; $(CC) $(ALL_CFLAGS) -o $@ $< $(LIB) $(LIBS) -Wl,-rpath,$(abspath $(BUILD))
$(BUILD)/bench/%: tests/bench/%.c $(wildcard tests/bench/*.h) $(LIB) $(BUILD)/libduckdb.so
	@mkdir -p $(@D)
	@echo '  link $@'; $(CC) $(ALL_CFLAGS) -o $@ $< $(LIB) $(LIBS) -lavro -Wl,-rpath,$(abspath $(BUILD))

unit: $(UNIT)
fuzz: $(FUZZ)

-include $(OBJ:.o=.d)

asan:
	$(MAKE) BUILD=build/asan OPT='-O1 -g' SAN='-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer' all unit fuzz
tsan:
	$(MAKE) BUILD=build/tsan OPT='-O1 -g' SAN='-fsanitize=thread' all unit
failpoints:
	$(MAKE) BUILD=build/failpoints OPT='-O1 -g' CFLAGS='-DPENSTOCK_FAILPOINTS' all

CHAOS ?= --minutes 10
chaos: all
	@sh scripts/deps.sh test $(DEPS)
	PENSTOCK_BUILD=$(abspath $(BUILD)) $(DEPS)/venv/bin/python tests/chaos/chaos.py $(CHAOS)

# Everything that must be true, against real servers. The last line says what ran. UNITS: the build
# whose unit programs and fuzz targets run.
UNITS ?= $(BUILD)
test: all
	@sh scripts/deps.sh test $(DEPS)
	@if [ $(UNITS) = $(BUILD) ]; then $(MAKE) --no-print-directory unit fuzz; fi
	@python3 scripts/run_tests.py --build $(BUILD) --units $(UNITS)

# The unit programs and fuzz targets run under the sanitizers here; they are built beside the checks.
ci: $(DEPS_STAMP)
	@sh scripts/deps.sh lint $(DEPS)
	@sh scripts/deps.sh test $(DEPS)
	@$(MAKE) --no-print-directory lint asan
	@$(MAKE) --no-print-directory test UNITS=build/asan

demo: all $(BUILD)/duckdb-query
	@sh scripts/deps.sh demo $(DEPS)
	@bash scripts/demo.sh $(BUILD)

$(BUILD)/duckdb-query: examples/duckdb_query.c $(BUILD)/libduckdb.so
	@echo '  link $@'; $(CC) $(ALL_CFLAGS) -o $@ $< -L$(DEPS)/duckdb -lduckdb -Wl,-rpath,'$$ORIGIN'

FORMATTED = $(shell git ls-files '*.c' '*.h' 2>/dev/null)
format:
	@sh scripts/deps.sh lint $(DEPS)
	clang-format-14 -i $(FORMATTED)

docs: all
	$(BUILD)/penstock config --markdown > docs/configuration.md
	$(BUILD)/penstock config --errors > docs/errors.md

# Format, one header a time (each compiles alone), dependencies one way, cppcheck, generated pages.
lint: all
	@sh scripts/deps.sh lint $(DEPS)
	@python3 scripts/lint.py --build $(BUILD)

# One table at the end: each row a ratio with the bare loop or the database's own tool.
bench: all $(BENCH)
	@sh scripts/bench.sh $(BUILD)
bench-full: all $(BENCH)
	@sh scripts/bench.sh $(BUILD) full

install: all
	install -d $(DESTDIR)$(PREFIX)/lib/penstock $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/doc/penstock
	install -m 755 $(BUILD)/penstock $(BUILD)/libduckdb.so $(DESTDIR)$(PREFIX)/lib/penstock/
	ln -sf ../lib/penstock/penstock $(DESTDIR)$(PREFIX)/bin/penstock
	install -m 644 README.md LICENSE examples/penstock.yaml examples/penstock.service $(DESTDIR)$(PREFIX)/share/doc/penstock/
	install -d $(DESTDIR)$(PREFIX)/share/man/man1 $(DESTDIR)$(PREFIX)/share/bash-completion/completions
	$(BUILD)/penstock help --man > $(DESTDIR)$(PREFIX)/share/man/man1/penstock.1
	$(BUILD)/penstock help --completion > $(DESTDIR)$(PREFIX)/share/bash-completion/completions/penstock

# A Debian package: build/penstock_VERSION_ARCH.deb
deb: all
	@sh scripts/deb.sh $(BUILD) $(VERSION)

clean:
	rm -rf build
