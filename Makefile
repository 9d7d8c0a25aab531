# diffuse
#   make                   ./diffuse
#   make check, make test  every test
#   make demo              draws a picture
#   make install           binary, manual, completions, shipped checkpoint, README and licence, under PREFIX; make uninstall
#   make dist              the same as a tarball that runs without any of the libraries (on Debian 12: from glibc 2.36 on)
#   make help              this, and the settings in force
#   make check-tasks       every picture of every task on the CUDA device on the CPU, in each type, and on the CPU device in bf16
#   make check-emu         the CUDA kernels on the CPU, every order and sanitizer; make check-gpu: on a real GPU
#   make check-ptx         what nvcc makes of them, run by an interpreter of PTX (Python with numpy)
#   make torture           each allocation and thread of a small run fails once, the libraries' too (STEP=100: every hundredth)
#   make fuzz SECONDS=60   every parser under libFuzzer (clang)
#   make mutants           plants each mistake of test/mutants and expects its test to fail (ONLY=pattern: some of them)
#   make coverage          what the tests reach of the C sources, in lines and branches (gcovr)
#   make valgrind          one whole generation, no leak, no bad access
#   make bench             bench/run.sh: measured figures
#   make clean             forgets settings too
# Settings: config=release|debug|asan|tsan, each in its own folder, MARCH=native|x86-64-v3|…, CC=gcc|clang, PREFIX=/usr/local,
#   CUDA_ARCH="80 90": GPU code for these only, CUDA=no: none at all, as where there is no nvcc.
# What is given once holds until given anew: build/settings.mk. V=1 shows the commands.
ifeq ($(MAKELEVEL),0)
MAKEFLAGS := $(if $(filter -j%,$(MAKEFLAGS)),$(MAKEFLAGS),$(MAKEFLAGS) -j$(shell nproc))
endif
ifeq ($(origin CC),default)
undefine CC
endif
SETTINGS := config MARCH CC PREFIX CUDA CUDA_ARCH
GIVEN    := $(strip $(foreach s,$(SETTINGS),$(if $(filter command environment,$(firstword $(origin $s))),$s)))
-include build/settings.mk
# not those of a build in a folder of its own, of a make that a test or a script started, or of make -n
ifeq ($(origin BUILD)$(MAKELEVEL)$(findstring n,$(filter-out --%,$(firstword -$(MAKEFLAGS)))),undefined0)
ifneq ($(GIVEN),)
$(shell mkdir -p build; grep -sv $(GIVEN:%=-e '^% ') build/settings.mk >build/settings.new)
$(foreach s,$(GIVEN),$(file >>build/settings.new,$s ?= $($s)))
$(shell mv build/settings.new build/settings.mk)
endif
# a file asked for by name says which configuration it is of
ifeq ($(filter config,$(GIVEN)),)
config := $(or $(firstword $(foreach c,release debug asan tsan,$(if $(filter build/$c/%,$(MAKECMDGOALS)),$c))),$(config),release)
endif
endif
CC      ?= cc
config  ?= release
MARCH   ?= native
PREFIX  ?= /usr/local
BUILD   ?= build/$(config)
SECONDS ?= 60

# what the compiler has of these; a binary that reads strangers' files is harder to turn against its user with them
HARDEN  := $(shell for f in -fstack-clash-protection -fcf-protection; do $(CC) -Werror $$f -x c -c /dev/null -o /dev/null 2>/dev/null && echo $$f; done)
PKGS    := libpng zlib libjpeg libwebp libcjson libutf8proc
CFLAGS  := -std=c11 -D_GNU_SOURCE -I. -g -Wall -Wextra -Wshadow -Wformat=2 -Wno-format-nonliteral -fopenmp-simd -ffp-contract=fast \
           -fno-math-errno -fno-trapping-math -march=$(MARCH) $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
LDFLAGS := -Wl,-z,relro,-z,now
LDLIBS  := $(shell pkg-config --libs $(PKGS) 2>/dev/null) -ldnnl -lgomp -lpthread -lm
CFLAGS_release := -O3 -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fPIE $(HARDEN)
LDFLAGS_release := -pie
CFLAGS_debug   := -O0
CFLAGS_asan    := -O1 -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
CFLAGS_tsan    := -O1 -fsanitize=thread
CFLAGS_fuzz    := -O1 -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined -Wno-unknown-pragmas -Wno-pass-failed
CFLAGS_coverage := -O1 --coverage -fprofile-update=atomic
CFLAGS  += $(CFLAGS_$(config)) $(EXTRA_CFLAGS)
LDFLAGS += $(LDFLAGS_$(config))

NVCC      ?= $(or $(shell command -v nvcc),$(wildcard /usr/local/cuda/bin/nvcc))
CUDA      ?= $(if $(NVCC),yes,no)
CUDA_ARCH ?= 75 80 86 89 90 100 120
# for GPUs between and beyond them: of the oldest with tensor cores for 16 bytes at a time, and of the newest
PTX_ARCH   = $(firstword $(filter-out 7%,$(CUDA_ARCH)) $(CUDA_ARCH)) $(lastword $(CUDA_ARCH))
NVCCFLAGS  = -std=c++20 -O3 -I. -Xcompiler -fPIE,-Wall,-Wextra,-Wno-missing-field-initializers $(foreach a,$(CUDA_ARCH),-gencode arch=compute_$a,code=sm_$a) \
             $(foreach a,$(sort $(PTX_ARCH)),-gencode arch=compute_$a,code=compute_$a)
KERNELS   := $(wildcard cuda/*.cu)
LDLIBS_CUDA_yes = -L$(dir $(NVCC))../lib64 -lcudart_static -ldl -lrt -lpthread -lstdc++

SOURCES := $(wildcard cli/*.c engine/*.c engine/*/*.c schedulers/*.c tokenizer/*.c) $(if $(filter yes,$(CUDA)),$(KERNELS),cuda/none.c)
LDLIBS  += $(LDLIBS_CUDA_$(CUDA))
LIBRARY := $(BUILD)/libdiffuse.a

# The CPU device's ops are compiled once for each of these, and the best that the CPU has is taken where they run (engine/cpu/isa.h).
ISAS         := $(if $(findstring x86_64,$(shell $(CC) -dumpmachine)),sse2 avx2 avx512 amx amx_twin,generic)
FLAGS_generic = -march=$(MARCH)
FLAGS_sse2    = -march=x86-64
FLAGS_avx2    = $(FLAGS_sse2) -mavx2 -mfma
FLAGS_avx512  = $(FLAGS_avx2) -mavx512f -mavx512bw -mavx512dq -mavx512vl -mprefer-vector-width=512
FLAGS_amx     = $(FLAGS_avx512) -mamx-tile -mamx-bf16
FLAGS_amx_twin = $(FLAGS_avx2) -DAMX_TWIN
AMX          := $(wildcard engine/cpu/amx_*.c)
OPS          := $(filter-out $(AMX) $(patsubst %,engine/cpu/%.c,device dnnl_util isa memory),$(wildcard engine/cpu/*.c))
# amx_X.c stands in place of X.c
OPS_AMX      := $(AMX) $(filter-out $(AMX:engine/cpu/amx_%=engine/cpu/%),$(OPS))
OBJECTS      := $(patsubst %,$(BUILD)/%.o,$(basename $(filter-out $(OPS) $(AMX),$(SOURCES))) \
                  $(foreach i,$(ISAS),$(patsubst %.c,%.$i,$(if $(findstring amx,$i),$(OPS_AMX),$(OPS)))))

TESTS   := $(patsubst test/%.c,$(BUILD)/%,$(filter-out test/test_cuda_%,$(wildcard test/test_*.c)))
CUDA_TESTS := $(patsubst test/%.c,%,$(wildcard test/test_cuda_*.c)) test_lanes
MEASURE := $(patsubst bench/%.c,$(BUILD)/%,$(wildcard bench/bench_*.c)) $(BUILD)/first_touch
TARGETS := $(patsubst test/fuzz/fuzz_%.c,%,$(wildcard test/fuzz/fuzz_*.c))

# a line for each command, or with V=1 the command itself
say = $(if $(filter-out 0,$(V)),,@printf '%-5s %s\n' $1 '$2';)
# $(call stamp,FILE,TEXT): a file that is newer than what was made by another text
stamp = $(if $(subst x$(file <$(BUILD)/$1),,x$(strip $2)),$(shell mkdir -p $(BUILD))$(file >$(BUILD)/$1,$(strip $2)))
$(call stamp,compile.txt,$(CC) $(CFLAGS) $(foreach i,$(ISAS),$i: $(FLAGS_$i)))
$(call stamp,nvcc.txt,$(NVCC) $(NVCCFLAGS))
$(call stamp,link.txt,$(LDFLAGS) $(LDLIBS) $(OBJECTS))
# $(call need,HEADER:PACKAGE…): what the compiler does not find is named as Debian calls it
need = @for l in $1; do echo "\#include <$${l%:*}>" | $(CC) $(CFLAGS) -x c -E -o /dev/null - 2>/dev/null || missing="$$missing $${l\#*:}"; done; \
	  [ -z "$$missing" ] || { echo "missing: apt-get install$$missing" >&2; exit 1; }; touch $@

all: diffuse

# the configuration in force, whichever was made last
diffuse: $(BUILD)/diffuse FORCE
	@cmp -s $< $@ || cp -f $< $@

$(BUILD)/diffuse: $(BUILD)/main.o $(LIBRARY)
	$(call say,LINK,$@)$(CC) $(CFLAGS) $(LDFLAGS) $^ -o $@ $(LDLIBS)

$(LIBRARY): $(OBJECTS) $(BUILD)/link.txt
	@rm -f $@
	@ar rcs $@ $(filter %.o,$^)

# for `make dist`; DT_RPATH, unlike DT_RUNPATH, goes before LD_LIBRARY_PATH
$(BUILD)/diffuse_dist: $(BUILD)/main.o $(LIBRARY)
	$(call say,LINK,$@)$(CC) $(CFLAGS) $(LDFLAGS) -Wl,--disable-new-dtags,-rpath,'$$ORIGIN/../lib/diffuse' $^ -o $@ $(LDLIBS)

$(BUILD)/libraries: $(BUILD)/compile.txt
	$(call need,png.h:libpng-dev jpeglib.h:libjpeg-dev webp/decode.h:libwebp-dev cjson/cJSON.h:libcjson-dev dnnl.h:libdnnl-dev utf8proc.h:libutf8proc-dev omp.h:$(if $(findstring clang,$(CC)),libomp-dev,libgomp1))

$(BUILD)/libraries_of_tests: $(BUILD)/compile.txt
	$(call need,cmocka.h:libcmocka-dev)

# tables and noise agree with numpy and torch to the last bit or two: no multiply-add is fused there
$(BUILD)/schedulers/%.o $(BUILD)/engine/base/rng.o $(BUILD)/engine/images/%.o: CFLAGS += -ffp-contract=off

$(BUILD)/tokenizer/clip_builtin.o: tokenizer/clip_merges.z

define ISA_RULE
$(BUILD)/engine/cpu/%.$1.o: engine/cpu/%.c $(BUILD)/compile.txt $(BUILD)/libraries
	@mkdir -p $$(@D)
	$$(call say,CC,$$< ($1))$$(CC) $$(filter-out -march=%,$$(CFLAGS)) $(FLAGS_$1) -DISA=$1 -MMD -MP -c $$< -o $$@
endef
$(foreach i,$(ISAS),$(eval $(call ISA_RULE,$i)))

$(BUILD)/%.o: %.c $(BUILD)/compile.txt $(BUILD)/libraries
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(CFLAGS) -MMD -MP -c $< -o $@

# what ptxas says of registers and spills is kept beside the object, for bench/kernels.sh
$(BUILD)/%.o: %.cu $(BUILD)/nvcc.txt
	@mkdir -p $(@D)
	$(call say,NVCC,$<)$(NVCC) $(NVCCFLAGS) -Xptxas -v -MMD -MP -c $< -o $@ 2>$(@:.o=.log) || { cat $(@:.o=.log) >&2; rm -f $(@:.o=.log); exit 1; }
	@grep -v -e '^ptxas info' -e '^    [0-9]* bytes stack frame' $(@:.o=.log) >&2 || true

# ---- the CUDA device on the CPU: the same kernels, compiled by g++ for test/emu ----
EMU         := $(BUILD)/emu
EMU_OBJECTS := $(patsubst %.cu,$(EMU)/%.o,$(KERNELS)) $(patsubst test/emu/%.cpp,$(EMU)/%.o,$(wildcard test/emu/*.cpp))
EMU_FLAGS    = -std=c++20 -D_GNU_SOURCE -Itest/emu -I. -g -Wall -Wextra -Wno-missing-field-initializers -Wno-unknown-pragmas -fopenmp -fno-strict-aliasing -fno-math-errno \
               -fno-trapping-math -march=$(MARCH) $(CFLAGS_$(config)) $(EMU_FLAGS_$(config))
EMU_FLAGS_asan := -DEMU_CHECKED
EMU_FLAGS_tsan := -DEMU_CHECKED -DEMU_TSAN
EMU_FLAGS_coverage := -O2 -fno-profile-arcs -fno-test-coverage

EMU_TESTS    = $(CUDA_TESTS:%=$(EMU)/%) $(EMU)/test_cuda_attention_polynomial_5 $(EMU)/test_emu

emu-tests: $(EMU_TESTS)

# q: two objects are called cublaslt.o
$(EMU)/libcuda.a: $(EMU_OBJECTS)
	@rm -f $@
	@ar qcs $@ $^

$(EMU)/cuda/%.o: cuda/%.cu $(BUILD)/compile.txt
	@mkdir -p $(@D)
	$(call say,CXX,$<)$(CXX) -x c++ $(EMU_FLAGS) -MMD -MP -c $< -o $@

$(EMU)/%.o: test/emu/%.cpp $(BUILD)/compile.txt
	@mkdir -p $(@D)
	$(call say,CXX,$<)$(CXX) $(filter-out $(if $(findstring tsan,$(config)),-fsanitize=thread),$(EMU_FLAGS)) -MMD -MP -c $< -o $@

$(EMU)/%.o: %.c $(BUILD)/compile.txt $(BUILD)/libraries_of_tests
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(CFLAGS) -Itest/emu -MMD -MP -c $< -o $@

$(EMU)/%.o: test/%.cpp $(BUILD)/compile.txt
	@mkdir -p $(@D)
	$(call say,CXX,$<)$(CXX) $(EMU_FLAGS) -MMD -MP -c $< -o $@

$(EMU)/%.o: test/%.cu $(BUILD)/compile.txt
	@mkdir -p $(@D)
	$(call say,CXX,$<)$(CXX) -x c++ $(EMU_FLAGS) -MMD -MP -c $< -o $@

$(EMU)/test_emu $(EMU)/test_lanes: $(EMU)/%: $(EMU)/%.o $(EMU)/libcuda.a $(LIBRARY)
	$(call say,LINK,$@)$(CXX) $(EMU_FLAGS) $(LDFLAGS) $^ -o $@ $(LDLIBS)

$(EMU)/test_cuda_%: $(EMU)/test/test_cuda_%.o $(EMU)/libcuda.a $(LIBRARY)
	$(call say,LINK,$@)$(CXX) $(EMU_FLAGS) $(LDFLAGS) $^ -o $@ -lcmocka $(LDLIBS)

# What is called …_polynomial_N has flash attention with FLASH_POLYNOMIAL N, from an object that comes before the library's.
$(EMU)/polynomial_%.o: cuda/attention_flash.cu $(BUILD)/compile.txt
	@mkdir -p $(@D)
	$(call say,CXX,$< ($*))$(CXX) -x c++ $(EMU_FLAGS) -DFLASH_POLYNOMIAL=$* -MMD -MP -c $< -o $@

$(BUILD)/polynomial_%.o: cuda/attention_flash.cu $(BUILD)/nvcc.txt
	@mkdir -p $(@D)
	$(call say,NVCC,$< ($*))$(NVCC) $(NVCCFLAGS) -DFLASH_POLYNOMIAL=$* -MMD -MP -c $< -o $@

$(EMU)/test_cuda_attention_polynomial_%: $(EMU)/test/test_cuda_attention.o $(EMU)/polynomial_%.o $(EMU)/libcuda.a $(LIBRARY)
	$(call say,LINK,$@)$(CXX) $(EMU_FLAGS) $(LDFLAGS) $^ -o $@ -lcmocka $(LDLIBS)

$(BUILD)/test_cuda_attention_polynomial_%: $(BUILD)/test/test_cuda_attention.o $(BUILD)/polynomial_%.o $(LIBRARY)
	$(call say,LINK,$@)$(CC) $(CFLAGS) $(LDFLAGS) $^ -o $@ -lcmocka $(LDLIBS)

$(BUILD)/attention_polynomial_%: $(BUILD)/bench/attention.o $(BUILD)/polynomial_%.o $(LIBRARY)
	$(call say,LINK,$@)$(CC) $(CFLAGS) $(LDFLAGS) $^ -o $@ $(LDLIBS)

# -u: the emulated device comes before whichever the library has
$(EMU)/diffuse: $(BUILD)/main.o $(EMU)/libcuda.a $(LIBRARY)
	$(call say,LINK,$@)$(CXX) $(EMU_FLAGS) $(LDFLAGS) -Wl,-u,cuda_device_open $^ -o $@ $(LDLIBS)

# The same tests for a real GPU.
$(BUILD)/test_lanes: test/test_lanes.cu $(LIBRARY)
	$(call say,NVCC,$<)$(NVCC) $(NVCCFLAGS) $< $(LIBRARY) -o $@ $(LDLIBS)

$(BUILD)/test/%.o: $(BUILD)/libraries_of_tests

$(BUILD)/test_%: $(BUILD)/test/test_%.o $(LIBRARY)
	$(call say,LINK,$@)$(CC) $(CFLAGS) $(LDFLAGS) $^ -o $@ -lcmocka $(LDLIBS)

$(BUILD)/replay_%: $(BUILD)/test/fuzz/fuzz_%.o $(BUILD)/test/fuzz/replay.o $(LIBRARY)
	$(call say,LINK,$@)$(CC) $(CFLAGS) $(LDFLAGS) $^ -o $@ $(LDLIBS)

$(BUILD)/make_checkpoint: $(BUILD)/bench/checkpoint_tensors.o
$(BUILD)/bench_layers: $(BUILD)/bench/peaks.o

$(BUILD)/%_verdict: $(BUILD)/test/reference/%_verdict.o $(LIBRARY)
	$(call say,LINK,$@)$(CC) $(CFLAGS) $(LDFLAGS) $^ -o $@ $(LDLIBS)

$(BUILD)/%: $(BUILD)/bench/%.o $(LIBRARY)
	$(call say,LINK,$@)$(CC) $(CFLAGS) $(LDFLAGS) $^ -o $@ $(LDLIBS)

# Programs that measure are built, so that they go on to compile.
check test: $(BUILD)/diffuse $(EMU)/diffuse $(BUILD)/make_checkpoint $(MEASURE) $(TESTS) $(EMU_TESTS) $(TARGETS:%=$(BUILD)/replay_%)
	@BUILD=$(BUILD) test/run.sh $(TESTS) $(EMU_TESTS) $(TARGETS:%=$(BUILD)/replay_%)

# What gates.sh draws a case of each of.
check-tasks: $(BUILD)/diffuse $(EMU)/diffuse $(BUILD)/test_synthetic
	DIFFUSE=$(BUILD)/diffuse CASES=all test/cli/gates.sh
	DIFFUSE=$(BUILD)/diffuse CASES=all test/cli/gates-cpu.sh

# The kernels' tests alone, in every order the emulation knows and under the sanitizers.
check-emu:
	@for config in release asan tsan; do $(MAKE) -s BUILD=build/$$config config=$$config emu-tests || exit 1; done
	test/emu/matrix.sh

# A second opinion on what nvcc emits: an interpreter of PTX in Python, which needs numpy; PYTHON=… says which Python has it.
PTX_KERNELS := gemm conv2d_narrow conv2d_first attention_flash attention_flash_polynomial_5 attention_short attention_wide group_norm layer_norm sched_step
PTX_CHECKED := 80 90
define PTX_RULE
$(BUILD)/ptx/sm_$1/%.ptx: cuda/%.cu $(wildcard cuda/*.h cuda/*.cuh) $(BUILD)/nvcc.txt
	@mkdir -p $$(@D)
	$$(call say,PTX,$$@)$(NVCC) -std=c++20 -O3 -I. -arch=compute_$1 -ptx -o $$@ $$<

$(BUILD)/ptx/sm_$1/attention_flash_polynomial_%.ptx: cuda/attention_flash.cu $(wildcard cuda/*.h) $(BUILD)/nvcc.txt
	@mkdir -p $$(@D)
	$$(call say,PTX,$$@)$(NVCC) -std=c++20 -O3 -I. -DFLASH_POLYNOMIAL=$$* -arch=compute_$1 -ptx -o $$@ $$<
endef
$(foreach a,$(PTX_CHECKED),$(eval $(call PTX_RULE,$a)))

check-ptx: $(if $(NVCC),$(foreach a,$(PTX_CHECKED),$(PTX_KERNELS:%=$(BUILD)/ptx/sm_$a/%.ptx)))
	@$(if $(NVCC),test/ptx/run.sh $(BUILD)/ptx $(PTX_CHECKED),echo 'check-ptx: skipped: there is no nvcc') || [ $$? = 77 ]

# The kernels' tests on a real GPU.
check-gpu: $(CUDA_TESTS:%=$(BUILD)/%)
	@BUILD=$(BUILD) ONLY='test_*' test/run.sh $^

# Without AVX-512, which valgrind does not know.
valgrind:
	$(MAKE) BUILD=build/valgrind MARCH=x86-64-v3 build/valgrind/diffuse
	ONEDNN_MAX_CPU_ISA=AVX2 valgrind -q --leak-check=full --errors-for-leak-kinds=definite,indirect --error-exitcode=99 \
	  build/valgrind/diffuse -f -m test/fixtures/tiny-sd1 "a fox" -s 1 --steps 2 --size 64x64 --threads 1 -o build/valgrind/fox.png

torture: $(BUILD)/diffuse
	@BUILD=$(BUILD) STEP=$(STEP) test/torture/run.sh

demo: diffuse
	./diffuse "a squirrel in Picasso style" -s 3 -f -o out.png

$(BUILD)/fuzz_%: $(BUILD)/test/fuzz/fuzz_%.o $(LIBRARY)
	$(call say,LINK,$@)$(CC) $(CFLAGS) -fsanitize=fuzzer $(LDFLAGS) $^ -o $@ $(LDLIBS)

fuzz:
	+$(MAKE) config=fuzz CC=clang CUDA=no BUILD=build/fuzz $(TARGETS:%=build/fuzz/fuzz_%)
	for t in $(TARGETS); do mkdir -p build/corpus/$$t && build/fuzz/fuzz_$$t -max_total_time=$(SECONDS) -timeout=10 \
	  $$([ ! -f test/fuzz/$$t.dict ] || echo -dict=test/fuzz/$$t.dict) build/corpus/$$t test/fuzz/corpus/$$t || exit 1; done

mutants:
	@ONLY='$(ONLY)' test/mutants/run.sh

# Kernels are not counted: check-emu runs every line of them; what scripts reach with the emulated device is. A test that fails counts too;
# what cannot be false is no branch. From nothing: what is left of a source that is gone would be counted.
coverage:
	rm -rf build/coverage
	+$(MAKE) config=coverage CUDA=no BUILD=build/coverage reach

reach: $(BUILD)/diffuse $(EMU)/diffuse $(EMU)/test_cuda_sched_step $(BUILD)/make_checkpoint $(TESTS) $(TARGETS:%=$(BUILD)/replay_%)
	-@GCOV_ERROR_FILE=/dev/null TEST_SECONDS=$${TEST_SECONDS:-3600} BUILD=$(BUILD) test/run.sh $(TESTS) $(TARGETS:%=$(BUILD)/replay_%)
	gcovr -r . --object-directory $(BUILD) -f '(cli|engine|schedulers|tokenizer)/' -f main.c --exclude-branches-by-pattern '.*\bassert\(.*' \
	  --branches --txt $(BUILD)/branches.txt --print-summary

bench: $(BUILD)/diffuse $(BUILD)/make_checkpoint $(BUILD)/first_touch
	@BUILD=$(BUILD) bench/run.sh

# PART DIRECTORY NAME
MADE := completion=bash:bash-completion/completions/diffuse completion=zsh:zsh/site-functions/_diffuse completion=fish:fish/vendor_completions.d/diffuse.fish \
        man:man/man1/diffuse.1
SHARE = $(DESTDIR)$(PREFIX)/share
# $(call share,PROGRAM,FOLDER): what lies beside a program
share = for f in README.md LICENSE SECURITY.md; do install -D -m 644 $$f $2/doc/diffuse/$$f || exit 1; done; \
        for f in $$(cd models && find doodle -type f); do install -D -m 644 models/$$f $2/diffuse/$$f || exit 1; done; \
        for f in $(MADE); do $1 --$${f%%:*} >$(BUILD)/made.txt && install -D -m 644 $(BUILD)/made.txt $2/$${f\#*:} || exit 1; done

install: diffuse
	install -D -m 755 diffuse $(DESTDIR)$(PREFIX)/bin/diffuse
	@$(call share,./diffuse,$(SHARE))

uninstall:
	rm -rf $(SHARE)/doc/diffuse $(SHARE)/diffuse
	rm -f $(DESTDIR)$(PREFIX)/bin/diffuse $(foreach f,$(MADE),$(SHARE)/$(lastword $(subst :, ,$f)))

# A tarball of what install puts there, and of every library that is not libc's or gcc's, from the packages they came with.
DIST_NAME  := diffuse-$(shell sed -n 's/.*DIFFUSE_VERSION "\(.*\)"/\1/p' cli/version.h)-linux-x86_64
DIST       := $(BUILD)/dist
TREE       := $(DIST)/$(DIST_NAME)
SOURCE_DATE_EPOCH ?= $(or $(shell git log -1 --format=%ct 2>/dev/null),0)

dist:
	+@$(MAKE) -s MARCH=x86-64 BUILD=$(DIST)/build EXTRA_CFLAGS='$(EXTRA_CFLAGS) -ffile-prefix-map=$(CURDIR)=.' $(DIST)/build/diffuse_dist
	@rm -rf $(TREE) && install -D -s $(DIST)/build/diffuse_dist $(TREE)/bin/diffuse && mkdir -p $(TREE)/lib/diffuse
	@ldd $(TREE)/bin/diffuse | awk '$$3 ~ "^/" {print $$3}' | while read -r f; do \
	  package=$$(dpkg -S $$f /usr$$f 2>/dev/null | sed 's/:.*//;q'); \
	  case $$package in libc6|libstdc++6|libgcc-s1) continue ;; '') echo "$$f: of no package, so its licence is not known" >&2; exit 1 ;; esac; \
	  install -m 644 $$f $(TREE)/lib/diffuse && install -D -m 644 /usr/share/doc/$$package/copyright $(TREE)/share/doc/diffuse/licences/$$package || exit 1; done
	@[ $(CUDA) = no ] || install -D -m 644 $(dir $(NVCC))../EULA.txt $(TREE)/share/doc/diffuse/licences/cuda
	@$(call share,$(TREE)/bin/diffuse,$(TREE)/share)
	@tar -C $(DIST) --sort=name --mtime=@$(SOURCE_DATE_EPOCH) --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX --format=gnu -cf - $(DIST_NAME) | gzip -9n >$(TREE).tar.gz
	@du -h $(TREE).tar.gz

help:
	@sed -n '2,/^MAKEFLAGS/s/^# \{0,1\}//p' Makefile
	@printf 'Now: $(foreach s,$(SETTINGS),$s=%s)\n' $(foreach s,$(SETTINGS),'$($s)')

clean:
	rm -rf build diffuse

.PHONY: all FORCE check test help dist uninstall check-tasks check-emu check-ptx check-gpu emu-tests valgrind torture demo fuzz mutants coverage reach bench install clean
.SECONDARY:
-include $(shell find $(BUILD) -path $(BUILD)/dist -prune -o -type f -name '*.d' -print 2>/dev/null)
