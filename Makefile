# diffuse
#   make                     ./diffuse                    make check               every test
#   make check-emu           the CUDA kernels on the CPU, every order and sanitizer      make check-gpu   on a real GPU
#   make demo                draws a picture              make install PREFIX=…    binary, README and licence
#   make fuzz SECONDS=60     every parser under libFuzzer (clang)
#   make bench               bench/run.sh: measured figures    make valgrind   one whole generation, no leak, no bad access
# config=release|debug|asan|tsan   MARCH=native|x86-64-v3|…   CC=gcc|clang
# CUDA_ARCH="80 90"   GPU code for these only; CUDA=no: none at all, as where there is no nvcc
MAKEFLAGS := $(if $(filter -j%,$(MAKEFLAGS)),$(MAKEFLAGS),$(MAKEFLAGS) -j$(shell nproc))
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

NVCC      ?= $(or $(shell command -v nvcc),$(wildcard /usr/local/cuda/bin/nvcc))
CUDA      ?= $(if $(NVCC),yes,no)
CUDA_ARCH ?= 75 80 86 89 90 100 120
NVCCFLAGS  = -std=c++20 -O3 -I. -Xcompiler -Wall,-Wextra,-Wno-missing-field-initializers $(foreach a,$(CUDA_ARCH),-gencode arch=compute_$a,code=sm_$a) \
             -gencode arch=compute_$(lastword $(CUDA_ARCH)),code=compute_$(lastword $(CUDA_ARCH))
KERNELS   := $(wildcard cuda/*.cu)
LDLIBS_CUDA_yes = -L$(dir $(NVCC))../lib64 -lcudart_static -ldl -lrt -lpthread -lstdc++

SOURCES := $(wildcard cli/*.c engine/*.c engine/*/*.c schedulers/*.c tokenizer/*.c) $(if $(filter yes,$(CUDA)),$(KERNELS),cuda/none.c)
LDLIBS  += $(LDLIBS_CUDA_$(CUDA))
LIBRARY := $(BUILD)/libdiffuse.a
TESTS   := $(patsubst test/%.c,$(BUILD)/%,$(filter-out test/test_cuda_%,$(wildcard test/test_*.c)))
CUDA_TESTS := $(patsubst test/%.c,%,$(wildcard test/test_cuda_*.c)) test_lanes
TARGETS := $(patsubst test/fuzz/fuzz_%.c,%,$(wildcard test/fuzz/fuzz_*.c))

all: diffuse

diffuse: $(BUILD)/diffuse
	@cp -f $< $@

$(BUILD)/diffuse: $(BUILD)/main.o $(LIBRARY)
	$(CC) $(CFLAGS) $^ -o $@ $(LDLIBS)

$(LIBRARY): $(addsuffix .o,$(basename $(SOURCES:%=$(BUILD)/%)))
	@rm -f $@
	@ar rcs $@ $^

# tables and noise agree with numpy and torch to the last bit or two: no multiply-add is fused there
$(BUILD)/schedulers/%.o $(BUILD)/engine/base/rng.o: CFLAGS += -ffp-contract=off

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -MMD -MP -c $< -o $@

# what ptxas says of registers and spills is kept beside the object, for bench/kernels.sh
$(BUILD)/%.o: %.cu
	@mkdir -p $(@D)
	@echo "$(NVCC) $(NVCCFLAGS) -c $< -o $@"
	@$(NVCC) $(NVCCFLAGS) -Xptxas -v -MMD -MP -c $< -o $@ 2>$(@:.o=.log) || { cat $(@:.o=.log) >&2; rm -f $(@:.o=.log); exit 1; }
	@grep -v -e '^ptxas info' -e '^    [0-9]* bytes stack frame' $(@:.o=.log) >&2 || true

# ---- the CUDA device on the CPU: the same kernels, compiled by g++ for test/emu ----
EMU         := $(BUILD)/emu
EMU_OBJECTS := $(patsubst %.cu,$(EMU)/%.o,$(KERNELS)) $(patsubst test/emu/%.cpp,$(EMU)/%.o,$(wildcard test/emu/*.cpp))
EMU_FLAGS    = -std=c++20 -D_GNU_SOURCE -Itest/emu -I. -g -Wall -Wextra -Wno-missing-field-initializers -Wno-unknown-pragmas -fopenmp -fno-strict-aliasing -fno-math-errno \
               -fno-trapping-math -march=$(MARCH) $(CFLAGS_$(config)) $(EMU_FLAGS_$(config))
EMU_FLAGS_asan := -DEMU_CHECKED
EMU_FLAGS_tsan := -DEMU_CHECKED -DEMU_TSAN

EMU_TESTS    = $(CUDA_TESTS:%=$(EMU)/%) $(EMU)/test_emu

emu-tests: $(EMU_TESTS)

# q: two objects are called cublaslt.o
$(EMU)/libcuda.a: $(EMU_OBJECTS)
	@rm -f $@
	@ar qcs $@ $^

$(EMU)/cuda/%.o: cuda/%.cu
	@mkdir -p $(@D)
	$(CXX) -x c++ $(EMU_FLAGS) -MMD -MP -c $< -o $@

$(EMU)/%.o: test/emu/%.cpp
	@mkdir -p $(@D)
	$(CXX) $(filter-out $(if $(findstring tsan,$(config)),-fsanitize=thread),$(EMU_FLAGS)) -MMD -MP -c $< -o $@

$(EMU)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -Itest/emu -MMD -MP -c $< -o $@

$(EMU)/test_emu: test/test_emu.cpp $(EMU)/libcuda.a $(LIBRARY)
	$(CXX) $(EMU_FLAGS) $< $(EMU)/libcuda.a $(LIBRARY) -o $@ $(LDLIBS)

$(EMU)/test_lanes: test/test_lanes.cu $(EMU)/libcuda.a $(LIBRARY)
	$(CXX) -x c++ $(EMU_FLAGS) $< -x none $(EMU)/libcuda.a $(LIBRARY) -o $@ $(LDLIBS)

$(EMU)/test_cuda_%: $(EMU)/test/test_cuda_%.o $(EMU)/libcuda.a $(LIBRARY)
	$(CXX) $(EMU_FLAGS) $^ -o $@ -lcmocka $(LDLIBS)

# -u: the emulated device comes before whichever the library has
$(EMU)/diffuse: $(BUILD)/main.o $(EMU)/libcuda.a $(LIBRARY)
	$(CXX) $(EMU_FLAGS) -Wl,-u,cuda_device_open $^ -o $@ $(LDLIBS)

# The same tests for a real GPU.
$(BUILD)/test_lanes: test/test_lanes.cu $(LIBRARY)
	$(NVCC) $(NVCCFLAGS) $< $(LIBRARY) -o $@ $(filter-out -fopenmp,$(LDLIBS)) -lgomp

$(BUILD)/test_%: test/test_%.c $(LIBRARY)
	$(CC) $(CFLAGS) -MMD -MP $< $(LIBRARY) -o $@ -lcmocka $(LDLIBS)

$(BUILD)/replay_%: test/fuzz/fuzz_%.c test/fuzz/replay.c $(LIBRARY)
	$(CC) $(CFLAGS) $^ -o $@ $(LDLIBS)

$(BUILD)/%: bench/%.c $(LIBRARY)
	$(CC) $(CFLAGS) -MMD -MP $< $(LIBRARY) -o $@ $(LDLIBS)

check: $(BUILD)/diffuse $(EMU)/diffuse $(BUILD)/make_checkpoint $(TESTS) $(EMU_TESTS) $(TARGETS:%=$(BUILD)/replay_%)
	@BUILD=$(BUILD) test/run.sh $(TESTS) $(EMU_TESTS) $(TARGETS:%=$(BUILD)/replay_%)

# The kernels' tests alone, in every order the emulation knows and under the sanitizers.
check-emu:
	test/emu/matrix.sh

# The kernels' tests on a real GPU.
check-gpu: $(CUDA_TESTS:%=$(BUILD)/%)
	@BUILD=$(BUILD) ONLY='test_*' test/run.sh $^

# Without AVX-512, which valgrind does not know.
valgrind:
	$(MAKE) BUILD=build/valgrind MARCH=x86-64-v3 build/valgrind/diffuse
	ONEDNN_MAX_CPU_ISA=AVX2 valgrind -q --leak-check=full --errors-for-leak-kinds=definite,indirect --error-exitcode=99 \
	  build/valgrind/diffuse -f -m test/fixtures/tiny-sd1 "a fox" -s 1 --steps 2 --size 64x64 --threads 1 -o build/valgrind/fox.png

demo: diffuse
	./diffuse "a squirrel in Picasso style" --steps 20 -g 2.5 -s 5 -f -o out.png

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
	for f in $$(cd models && find doodle -type f); do install -D -m 644 models/$$f $(DESTDIR)$(PREFIX)/share/diffuse/$$f || exit 1; done
	install -D -m 644 LICENSE $(DESTDIR)$(PREFIX)/share/doc/diffuse/LICENSE

clean:
	rm -rf build diffuse

.PHONY: all check check-emu check-gpu emu-tests valgrind demo fuzz bench install clean
.SECONDARY:
-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
