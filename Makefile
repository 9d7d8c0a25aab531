# diffuse
#   make                     ./diffuse                    make check               every test
#   make demo                draws a picture              make install PREFIX=…    binary, README and licence
#   make fuzz SECONDS=60     every parser under libFuzzer (clang)
#   make bench               bench/run.sh: measured figures    make valgrind   one whole generation, no leak, no bad access
# config=release|debug|asan|tsan   MARCH=native|x86-64-v3|…   CC=gcc|clang
config  ?= release
MARCH   ?= native
PREFIX  ?= /usr/local
BUILD   ?= build/$(config)
SECONDS ?= 60

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
LIBRARY := $(BUILD)/libdiffuse.a
TESTS   := $(patsubst test/%.c,$(BUILD)/%,$(wildcard test/test_*.c))
TARGETS := $(patsubst test/fuzz/fuzz_%.c,%,$(wildcard test/fuzz/fuzz_*.c))

all: diffuse

diffuse: $(BUILD)/diffuse
	@cp -f $< $@

$(BUILD)/diffuse: $(BUILD)/main.o $(LIBRARY)
	$(CC) $(CFLAGS) $^ -o $@ $(LDLIBS)

$(LIBRARY): $(SOURCES:%.c=$(BUILD)/%.o)
	@rm -f $@
	@ar rcs $@ $^

# tables and noise agree with numpy and torch to the last bit or two: no multiply-add is fused there
$(BUILD)/schedulers/%.o $(BUILD)/engine/rng.o: CFLAGS += -ffp-contract=off

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -MMD -MP -c $< -o $@

$(BUILD)/test_%: test/test_%.c $(LIBRARY)
	$(CC) $(CFLAGS) -MMD -MP $< $(LIBRARY) -o $@ -lcmocka $(LDLIBS)

$(BUILD)/replay_%: test/fuzz/fuzz_%.c test/fuzz/replay.c $(LIBRARY)
	$(CC) $(CFLAGS) $^ -o $@ $(LDLIBS)

$(BUILD)/%: bench/%.c $(LIBRARY)
	$(CC) $(CFLAGS) -MMD -MP $< $(LIBRARY) -o $@ $(LDLIBS)

check: $(BUILD)/diffuse $(BUILD)/make_checkpoint $(TESTS) $(TARGETS:%=$(BUILD)/replay_%)
	@BUILD=$(BUILD) test/run.sh $(TESTS) $(TARGETS:%=$(BUILD)/replay_%)

# Without AVX-512, which valgrind does not know.
valgrind:
	$(MAKE) BUILD=build/valgrind MARCH=x86-64-v3 build/valgrind/diffuse
	ONEDNN_MAX_CPU_ISA=AVX2 valgrind -q --leak-check=full --errors-for-leak-kinds=definite,indirect --error-exitcode=99 \
	  build/valgrind/diffuse -f -m test/fixtures/tiny-sd1 "a fox" -s 1 --steps 2 --size 64x64 --threads 1 -o build/valgrind/fox.png

demo: diffuse
	./diffuse -m test/fixtures/tiny-sd1 "a squirrel in Picasso style" -f -o out.png

# Built from the sources at once, so that coverage reaches all of them.
build/fuzz/%: test/fuzz/fuzz_%.c $(SOURCES)
	@mkdir -p $(@D)
	clang $(filter-out -fopenmp,$(CFLAGS)) -Wno-unknown-pragmas -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined \
	  $^ -o $@ $(LDLIBS) -lgomp

fuzz: $(TARGETS:%=build/fuzz/%)
	for t in $(TARGETS); do mkdir -p build/corpus/$$t && build/fuzz/$$t -max_total_time=$(SECONDS) -timeout=10 \
	  $$([ ! -f test/fuzz/$$t.dict ] || echo -dict=test/fuzz/$$t.dict) build/corpus/$$t test/fuzz/corpus/$$t || exit 1; done

bench: $(BUILD)/diffuse $(BUILD)/make_checkpoint $(BUILD)/first_touch
	@BUILD=$(BUILD) bench/run.sh

install: diffuse
	install -D -m 755 diffuse $(DESTDIR)$(PREFIX)/bin/diffuse
	install -D -m 644 README.md $(DESTDIR)$(PREFIX)/share/doc/diffuse/README.md
	install -D -m 644 LICENSE $(DESTDIR)$(PREFIX)/share/doc/diffuse/LICENSE

clean:
	rm -rf build diffuse

.PHONY: all check valgrind demo fuzz bench install clean
.SECONDARY:
-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
