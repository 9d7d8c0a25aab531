#!/bin/sh
# What nvcc gave each kernel: registers, bytes spilled, stack and static shared memory, from the ptxas logs that the
# build keeps beside its objects.
#   bench/kernels.sh           writes bench/kernels.md: sm_80, sm_90 and sm_120; and bench/model.py's predictions
#   bench/kernels.sh --tsv     kernel, architecture, registers, spilled bytes, stack, shared, ms of ptxas: all there are
# BUILD: whose logs (build/release). Exit 77 where there are none: a build without nvcc.
set -eu
cd "$(dirname "$0")/.."
BUILD=${BUILD:-build/release}
set -- "${1:-}" "$BUILD"/cuda/*.log
if [ ! -f "$2" ]; then
    echo "no ptxas log in $BUILD/cuda: built without nvcc"
    exit 77
fi
mode=$1
shift

# A kernel is named with its template arguments, but without its parameters: 'flash<__half, 40, 2, 64, true>'.
table() {
    awk -F"'" '
        /Compiling entry function/ {name = $2; arch = $4}
        / bytes stack frame/ {split($0, n, /[^0-9]+/); stack = n[2]; spill = n[3] + n[4]}
        /Used [0-9]+ registers/ {match($0, /Used [0-9]+/); registers = substr($0, RSTART + 5, RLENGTH - 5)
            shared = match($0, /[0-9]+ bytes smem/) ? substr($0, RSTART, RLENGTH - 11) : 0}
        /Compile time = / {match($0, /[0-9.]+ ms/); ms = substr($0, RSTART, RLENGTH - 3)
            print arch "\t" registers "\t" spill "\t" stack "\t" shared "\t" ms "\t" name}' "$@" |
        c++filt | awk -F'\t' -v OFS='\t' '
        function plain(s,   i, depth, c) {
            sub(/^void /, "", s)
            gsub(/\(anonymous namespace\)::/, "", s)
            for (i = 1; i <= length(s); i++) {
                c = substr(s, i, 1)
                if (c == "(" && !depth) break
                depth += (c == "<") - (c == ">")
            }
            s = substr(s, 1, i - 1)
            gsub(/__half/, "f16", s)
            gsub(/__nv_bfloat16/, "bf16", s)
            return s
        }
        {print plain($7), $1, $2, $3, $4, $5, $6}' | sort -t "$(printf '\t')" -k1,2
}

if [ "$mode" = --tsv ]; then
    table "$@"
    exit
fi
{
    echo '# What nvcc gave each kernel'
    echo
    nvcc=${NVCC:-$(command -v nvcc || echo /usr/local/cuda/bin/nvcc)}
    echo "$("$nvcc" --version | sed -n 's/.*, V\(.*\)/nvcc \1/p'), written by bench/kernels.sh. Bytes spilled, stack and static shared"
    echo 'memory are the largest of the three architectures; dynamic shared memory is chosen at launch. test/cli/kernels.sh'
    echo 'fails where a tensor-core kernel spills.'
    echo
    echo '| kernel | registers sm_80 | sm_90 | sm_120 | spilled | stack | shared |'
    echo '|---|---|---|---|---|---|---|'
    table "$@" | awk -F'\t' '
        function most(a, b) {return a + 0 > b + 0 ? a : b}
        $2 == "sm_80" || $2 ~ /^sm_90a?$/ || $2 == "sm_120" {
            if (!($1 in seen)) {seen[$1]; names[++n] = $1}
            registers[$1, substr($2, 4) + 0] = $3
            spill[$1] = most(spill[$1], $4)
            stack[$1] = most(stack[$1], $5)
            shared[$1] = most(shared[$1], $6)
        }
        END {
            for (i = 1; i <= n; i++) {
                k = names[i]
                printf "| %s | %s | %s | %s | %d | %d | %d |\n", k, registers[k, 80], registers[k, 90], registers[k, 120],
                    spill[k], stack[k], shared[k]
            }
        }'
    cat <<'TEXT'

# What a step ought to take

By bench/model.py, from constants that no GPU has confirmed yet; nothing below was measured. Goals: what this design, without wgmma, is to reach.

TEXT
    bench/model.py h100
    echo
    bench/model.py h200
    cat <<'TEXT'

# What a change brought

Counted before and after; ms are the model's of an H100, before and after, predicted, not measured.

| change | counted | SD 1.5 | SD 2.1 | SDXL | ddpm-cat | VAE 512 |
|---|---|---|---|---|---|---|
| enlarging convolutions as four of 2x2 | products 1.602 → 1.526, 4.293 → 4.123, 0.498 → 0.471 TFLOP a step, 2.515 → 2.128 in the VAE; weights 1969 → 2027 MiB (SD 1.5) | 6.3 → 6.1 | 14.7 → 14.3 | 37.0 → 36.4 | 2.5 → 2.4 | 7.1 → 6.3 |
| 3x3 convolutions to at most 8 channels from a tile with its rim | 16-byte copies of x for 128 pixels and 32 channels: 4608 → 720; of the VAE's last one, 512 pixels wide, 604 → 94 MB of x to shared memory, 135 → 29 us | 6.1 → 6.1 | 14.3 → 14.3 | 36.4 → 36.4 | 2.4 → 2.4 | 6.3 → 6.2 |
| 3x3 convolutions of at most 4 channels on tensor cores, from a tile with its rim | of 64 pixels and 64 columns (SD 1.5, 36 products): 3072 reads of shared memory and 6144 FFMA of gemm_plain's warps → 144 and 96 mma.sync; us: SD 1.5 10.3 → 3.8, SD 2.1 21 → 6.4, SDXL 37 → 9.4, ddpm-cat 21 → 7.2, VAE 512 8.5 → 3.3 | -0.01 | -0.01 | -0.03 | -0.01 | -0.01 |
| a product's residual is asked for two rounds of 8 columns ahead, and its epilogue's code stands once | code of gemm_tile, sm_90: 13048 → 3918 instructions, 528 → 94 loads, 88 → 22 stores (128x128); 7332 → 4338, 264 → 94, 44 → 22 (128x160); registers 228 → 222, 240 → 239. Of a warp's loads of the residual, 8 (128x128) and 20 (128x160) were waited for at once, one after the other; now none but the first, the others have two rounds to come. At 300 clocks each (a guess), where no other warp has work, 1.2 and 3.4 us a wave of blocks. The model has no such term; by hand, at most | -0.05 | -0.06 | | -0.1 | -0.2 |
| a kernel begins while the one before it ends (sm_90) | launches of a step that may: 289 of 405, 286 of 412, ddpm-cat 237 of 264; the others are cuBLASLt's; 1.3 → 0.6 us between nodes, a guess | 5.9 → 5.7 | 13.9 → 13.8 | 35.9 → 35.5 | 2.4 → 2.3 | 6.2 → 6.1 |
| attention's tiles are addressed by a pointer that moves on | instructions that a warp of flash issues for its queries and a tile of keys, none masked, sm_90: 682 → 587 (D = 40), 657 → 640 (64), 856 → 793 (80), 790 → 722 (160). The model counts no issue | 5.7 → 5.7 | 13.8 → 13.8 | 35.5 → 35.5 | 2.3 → 2.3 | 6.1 → 6.1 |
| flash rescales sums and output where a score rises by 2^8, not at every tile; the rows of four lanes are compared only then | the same instructions, of a tile where none rises: 587 → 524 (D = 40), 640 → 557 (64), 793 → 692 (80), 722 → 616 (160); exponentials 68 → 64, shuffles 8 → 0 | 5.7 → 5.7 (-0.03) | 13.8 → 13.7 | 35.5 → 35.4 | 2.3 → 2.3 | 6.1 → 6.1 |

Built, and off until a GPU says:

- A polynomial for some exponentials of flash attention: FLASH_POLYNOMIAL of 16 (cuda/attention_flash.cu), which bench/gpu-visit.sh polynomial
  measures. Not run on a GPU. What a warp issues for its queries (32; at D = 160 16) and 64 keys where none is masked and no score rises, sm_90,
  f16, with 0 → 3 → 5 of 16; none spills. Clocks of a tile: products (6.36) and then exponentials (8); or the longest of products, exponentials
  and issue, where a warp's run beside another's:

  | D | instructions | MUFU.EX2 | FFMA | FADD | registers | clocks, in turn | beside each other |
  |---|---|---|---|---|---|---|---|
  | 40 | 524 → 633 → 705 | 64 → 52 → 44 | 64 → 112 → 144 | 72 → 108 → 132 | 209 → 210 → 210 | 1072 → 976 → 912 | 560 → 633 → 705 |
  | 64 | 557 → 666 → 738 | 64 → 52 → 44 | 64 → 112 → 144 | 72 → 108 → 132 | 243 → 254 → 254 | 1326 → 1230 → 1166 | 814 |
  | 80 | 692 → 805 → 877 | 64 → 52 → 44 | 64 → 112 → 144 | 72 → 108 → 132 | 253 → 255 → 255 | 1530 → 1434 → 1370 | 1018 |
  | 160 | 616 → 671 → 707 | 32 → 26 → 22 | 32 → 56 → 72 | 36 → 54 → 66 | 244 → 248 → 247 | 1274 → 1226 → 1194 | 1018 |

  A polynomial of degree 4 is 10 instructions in place of 1, of degree 3, for bf16, 9. Attention of a step in ms, both ways at 0.89 of that rate,
  as bench/model.py has it in turn: SD 1.5 1.09 → 1.01 → 0.95, SD 2.1 4.10 → 3.82 → 3.63, SDXL 5.46 → 5.12 → 4.89; beside each other SD 1.5
  0.64 → 0.70 → 0.76, SD 2.1 2.58 and SDXL 3.62 as before, whose products take longest. More than 5 cannot gain: with 5 of 16 the multiply-adds,
  sums and exponentials alone are 352 instructions at D = 40, as many as the clocks of the 44 exponentials among them.

Reckoned and not built:

- Split sums by the last block of a tile to finish, in place of gemm_reduce: it alone reads all its parts. With 24, 40 or 56 bytes a clock for
  one SM the model's best of both is 0.01, 0.01 or 0.02 ms better for SD 1.5, 0.00 to 0.02 for SD 2.1, 0.00 to 0.03 for ddpm-cat; less since gemm_reduce
  begins while its product ends. Of 128 rows and 1280 columns in 16 parts the last block of a 128x160 tile would read 1.3 MB by itself, 32 us.
- Split sums in the kernel, the splits of a tile a cluster (sm_90, at most 8): each block leaves its sums in its shared memory, all meet, each
  fetches its share of the tile from the others and finishes it, all meet again. In place of 8 bytes of L2 a sum and split and a node it takes
  4(S-1)/S of another SM's shared memory, two cluster barriers, and SMs side by side. Published, H100 and H800, at second hand: 3.3 TB/s among all
  SMs with two blocks, 2.8 with four, 2.9 with sixteen (arXiv 2501.12084, 2508.18850), 12.4 to 15 bytes a clock and SM, no more than half of what
  L2 gives; 4.8 where one block reads of one other, a barrier of two blocks 851 clocks, a first read 191 (arXiv 2609.01864); 15 clusters of 8 on
  132 SMs. bench/model.py --clusters, its best of both ways for every layer, in ms beside the present:

  | bytes a clock | SD 1.5 | SD 2.1 | SDXL | ddpm-cat | VAE 512 |
  |---|---|---|---|---|---|
  | 4.8 | -0.00 | 0.00 | 0.00 | -0.00 | 0.00 |
  | 8 | -0.01 | -0.00 | -0.00 | -0.02 | -0.02 |
  | 12.4 | -0.05 | -0.04 | -0.06 | -0.05 | -0.04 |
  | 15 | -0.06 | -0.07 | -0.08 | -0.06 | -0.05 |
  | 24 | -0.08 | -0.14 | -0.15 | -0.09 | -0.06 |
  | 12.4, both barriers and the first read 1000 clocks in place of 1893 | -0.06 | -0.06 | -0.08 | -0.07 | -0.05 |
  | 12.4, gemm_reduce 2300 clocks in place of 3500, for it begins early | -0.03 | -0.02 | -0.05 | -0.03 | -0.03 |

  Of a step that is 0.2 to 3 %, before what a launch of clusters costs and that a block's place is not free before the slowest of its cluster is
  done. Chosen at 12.4 where a GPU gives 8 it is -0.01, +0.06, +0.02, -0.02 and -0.02, at 4.8 +0.06, +0.25, +0.17, +0.05 and +0.01: as much to lose
  as to gain, by numbers that bench/limits.cu measures (cluster_bytes, cluster_meet, cluster_leave, cluster_sms). To build where it says 15 or more.
  A barrier that lets sums be seen is MEMBAR.ALL.GPU and CCTL.IVALL, sm_90: L1 is empty behind it, of bias and time embedding too; the last may
  order nothing. The sums fit: 80 KB of 128x160 where the stages are 72, two blocks an SM.
- The sums of flash attention's exponentials as a column of ones beside V: of 32 queries and 64 keys 64 additions less, 8 products more, which
  are 611 clocks at D = 40 in place of 560.
- All steps as one graph: 50 steps of SD 1.5 are 20250 nodes to capture and instantiate in place of 405, 20 to 40 ms at 1 or 2 us each (a guess), and
  again for another number of steps. To gain: 48 gaps between graphs of which the next is queued while one runs (5.9 ms), 2 to 5 us each (a guess), 0.1
  to 0.25 of 295 ms. A WHILE node is instantiated once, but then nothing of the host's comes between rows: their noise, which the host draws as torch
  does, progress, previews, a row that is broken off or not finite.
- Products 64 deep at a time: the model has nothing to gain, for with 24 bytes a clock a step of every tile is longer (341 to 1024 clocks) than the 220
  of its latency; nor has the issue, for a warp's step of 128x128 is 149 instructions and 64 products, 407 clocks. 4 stages of 256x128 would want 192 KB
  of shared memory, of which sm_86, 89 and 120 have 99; two stages hide less.
TEXT
} >bench/kernels.md
echo "bench/kernels.md: $(grep -c '^| [a-z0-9_]*<' bench/kernels.md) kernels"
