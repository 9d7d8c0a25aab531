# diffuse: `make` builds ./diffuse, `make check` runs every test, `make demo` draws a picture, `make install PREFIX=…`.
#   config=release|debug|asan|tsan   MARCH=native|x86-64-v3|…   CC=gcc|clang
config  ?= release
MARCH   ?= native
PREFIX  ?= /usr/local
BUILD   ?= build/$(config)
CC      ?= gcc

PKGS    := libpng libcjson libutf8proc
CFLAGS  := -std=c11 -D_GNU_SOURCE -I. -g -Wall -Wextra -Wshadow -Wformat=2 -Wno-format-nonliteral -fopenmp -ffp-contract=fast \
           -fno-math-errno -fno-trapping-math -march=$(MARCH) $(shell pkg-config --cflags $(PKGS))
LDLIBS  := $(shell pkg-config --libs $(PKGS)) -ldnnl -lm
CFLAGS_release := -O3 -D_FORTIFY_SOURCE=2 -fstack-protector-strong
CFLAGS_debug   := -O0
CFLAGS_asan    := -O1 -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
CFLAGS_tsan    := -O1 -fsanitize=thread
CFLAGS  += $(CFLAGS_$(config)) $(EXTRA_CFLAGS)

CUDA    := cuda/none.c
SOURCES := $(wildcard cli/*.c engine/*.c engine/cpu/*.c schedulers/*.c tokenizer/*.c) $(CUDA)
OBJECTS := $(SOURCES:%.c=$(BUILD)/%.o)
TESTS   := $(patsubst test/%.c,%,$(wildcard test/test_*.c))

all: diffuse

diffuse: $(BUILD)/diffuse
	@cp -f $< $@

$(BUILD)/diffuse: $(BUILD)/main.o $(BUILD)/libdiffuse.a
	$(CC) $(CFLAGS) $^ -o $@ $(LDLIBS)

$(BUILD)/libdiffuse.a: $(OBJECTS)
	@rm -f $@
	@ar rcs $@ $^

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -MMD -MP -c $< -o $@

$(BUILD)/test_%: test/test_%.c $(BUILD)/libdiffuse.a
	$(CC) $(CFLAGS) -MMD -MP $< $(BUILD)/libdiffuse.a -o $@ -lcmocka $(LDLIBS)

check: $(BUILD)/diffuse $(TESTS:%=$(BUILD)/%)
	@BUILD=$(BUILD) test/run.sh $(TESTS:%=$(BUILD)/%)

clean:
	rm -rf build diffuse

.PHONY: all check clean
-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
