#!/bin/sh
# Every C, C++ and CUDA file is as .clang-format has it. Versions differ in what they make of a rule: 14 (Debian 12) is the one we go by.
cd "$(dirname "$0")/../.." || exit 1
tool=$(command -v clang-format-14 || command -v clang-format) || { echo "no clang-format here"; exit 77; }
"$tool" --version | grep -q 'version 14\.' || { echo "clang-format 14 is not here"; exit 77; }
find main.c cli engine cuda schedulers tokenizer test bench -name '*.[ch]' -o -name '*.cu' -o -name '*.cuh' -o -name '*.cpp' | xargs "$tool" --dry-run --Werror
