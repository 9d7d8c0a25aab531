#!/bin/sh
# What bench/gpu-visit.sh has measured, beside the goals, as bench/RESULTS.md has it.
# OUT (build/visit): its .tsv files
set -u
cd "$(dirname "$0")/.." || exit 1
OUT=${OUT:-build/visit}

# Medians of all figures of a name, of every .tsv below OUT.
find "$OUT" -name '*.tsv' -exec cat {} + | sort -t "$(printf '\t')" -k1,1 -k2,2n | awk -F'\t' '
    function figure(name) {return n[name] ? v[name, int((n[name] + 1) / 2)] : ""}
    function show(what, value, unit, goal) {
        if (value != "") printf "| %s | %s | %s |\n", what, sprintf(value < 100 ? "%.3g" : "%.0f", value) unit, goal
        else printf "| %s | not measured | %s |\n", what, goal
    }
    function ratio(a, b) {return figure(a) != "" && figure(b) > 0 ? figure(a) / figure(b) : ""}
    function rate(model, tflop) {return figure(model ".step") > 0 ? tflop / figure(model ".step") * 1e3 : ""}
    {v[$1, ++n[$1]] = $2
     if ($1 ~ /^test\./) {tests++; passed += $2 == 0}
     if ($1 ~ /^sanitizer\./) {checks++; clean += $2 == 0; dirty += $2 == 99}}
    END {
        print "| | measured | goal |\n|---|---|---|"
        if (tests) printf "| test programs on the GPU | %d of %d pass | all |\n", passed, tests
        if (checks) printf "| compute-sanitizer runs | %d of %d clean, %d with findings | all clean |\n", clean, checks, dirty
        show("SD 1.5 512² step", figure("sd15.step"), " ms", "≤ 6.5 ms, ≤ 4.2 wanted")
        show("— p95", figure("sd15.step_p95"), " ms", "")
        show("— of it", rate("sd15", 1.526), " TFLOP/s", "")
        show("SD 2.1 768² step", figure("sd21.step"), " ms", "≤ 14 ms")
        show("— of it", rate("sd21", 4.123), " TFLOP/s", "")
        show("VAE 512²", figure("sd15.vae"), " ms", "≤ 8 ms")
        show("VAE 768²", figure("sd21.vae"), " ms", "")
        show("ddpm-cat step", figure("ddpm-cat.step"), " ms", "≤ 2.6 ms")
        show("cold command → PNG, SD 1.5, 25 steps", figure("sd15.cold"), " ms", "")
        beyond = figure("ceiling.context") == "" ? "" : figure("sd15.cold") - figure("ceiling.context")
        show("— less an empty context", beyond, " ms", "≤ 350 ms")
        show("weights loaded", figure("sd15.load"), " ms", "")
        show("peak memory, SD 1.5", figure("sd15.peak"), " MiB", "weights + 0.6 GiB")
        show("— measured / planned", ratio("sd15.peak", "sd15.planned"), "", "within 5 %")
        n_models = split("sd15 sd21 ddpm-cat", models, " ")
        for (i = 1; i <= n_models; i++) {
            m = models[i]
            show("diffusers eager / ours, " m ", step", ratio("eager." m ".step", m ".step"), "×", "≥ 2.3")
            show("— warm picture", ratio("eager." m ".image", m ".image"), "×", "≥ 2.3")
            show("— cold", ratio("eager." m ".cold", m ".cold"), "×", "≥ 10")
            show("torch.compile / ours, " m ", step", ratio("compiled." m ".step", m ".step"), "×", "≥ 1.25")
        }
        show("pixels: ours fp16 to ours fp32, SD 1.5", figure("pixels.difference.sd15"), " / 255", "")
        show("— diffusers fp16 to ours fp32", figure("pixels.difference.diffusers-sd15"), " / 255", "")
        show("GEMM 8192³ f16", figure("ceiling.gemm_f16"), " TFLOP/s", "")
        show("GEMM 8192³ bf16", figure("ceiling.gemm_bf16"), " TFLOP/s", "")
        show("copy on the device", figure("ceiling.copy_device"), " GB/s", "")
        show("copy to it, pinned", figure("ceiling.copy_pinned"), " GB/s", "")
        show("copy to it, pageable", figure("ceiling.copy_pageable"), " GB/s", "")
        show("empty context", figure("ceiling.context"), " ms", "")
        show("cuBLASLt opened", figure("ceiling.open_cublaslt"), " ms", "")
        show("launch", figure("ceiling.launch"), " µs", "")
        show("node of a graph", figure("ceiling.graph_node"), " µs", "")
        show("— that depends on the one before and stores", figure("ceiling.node"), " µs", "1.3 in bench/model.py")
        show("— launched early", figure("ceiling.node_early"), " µs", "")
        show("mma.sync m16n8k16", figure("ceiling.mma_clocks"), " clocks", "6.36 in bench/model.py")
        show("— with ldmatrix", figure("ceiling.mma_ldmatrix"), " clocks", "")
        show("exponential of a warp", figure("ceiling.ex2_clocks"), " clocks", "8 in bench/model.py")
        n_shapes = split("4096x8x40 1024x8x80 256x8x160 9216x5x64 4096x10x64", shapes, " ")
        for (i = 1; i <= n_shapes; i++) {
            show("flash attention " shapes[i], figure("attention." shapes[i]), " µs", "")
            for (k = 3; k <= 5; k += 2) show("— " k " of 16 by a polynomial", figure("attention_polynomial_" k "." shapes[i]), " µs", "less")
        }
        show("L2", figure("ceiling.l2_bytes"), " bytes a clock and SM", "24 in bench/model.py")
    }'
find "$OUT" -name '*.tsv' -exec cat {} + | awk -F'\t' '/^kernel\./ {print "    " $1 ": " $2 " " $3}' | head -n 40
