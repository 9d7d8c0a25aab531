#include "cli/foreign.h"

#include <string.h>
#include <strings.h>

/* Blank-separated names that one row is about, so that what is one thing stands in one place. */
static const struct foreign_option table[] = {
    /* the same meaning and the same values: taken for ours */
    {"negative-prompt", .ours = "negative"},
    {"positive positive-prompt text", .ours = "prompt"},
    {"prompt-2", .ours = "prompt2"},
    {"negative-prompt-2", .ours = "negative2"},
    {"guidance-scale cfg cfg-scale scale", .ours = "guidance"},
    {"num-inference-steps num-steps inference-steps ddim-steps sample-steps sampling-steps", .ours = "steps"},
    {"num-images-per-prompt num-images batch-count n-iter n-samples", .ours = "count"},
    {"noise-seed", .ours = "seed"},
    {"sampler sampler-name sampling-method sample-method", .ours = "scheduler"},
    {"ckpt ckpt-name checkpoint sd-model model-id model-path pretrained-model-name-or-path", .ours = "model"},
    {"torch-dtype precision type", .ours = "dtype"},
    {"out outfile output-file", .ours = "output"},
    {"ddim-eta", .ours = "eta"},
    {"overwrite", .ours = "force"},
    {"num-threads n-threads", .ours = "threads"},
    {"rng-type", .ours = "rng"},
    {"init-img init-image image-path input-image", .ours = "image"},
    {"denoise denoising-strength", .ours = "strength"},
    {"mask-image", .ours = "mask"},
    {"padding-mask-crop", .ours = "mask-crop"},
    {"refiner-switch-at denoising-end denoising-start high-noise-frac", .ours = "refine-at"},
    {"vae-path vae-name", .ours = "vae"},
    {"loras", .ours = "lora"},
    {"preview-path", .ours = "preview"},
    {"control-net controlnet", .ours = "control"},
    {"control-strength controlnet-conditioning-scale", .ours = "control-scale"},
    {"control-guidance-start", .ours = "control-start"},
    {"control-guidance-end", .ours = "control-end"},
    {"lora-model-dir", .ours = "lora-dir"},

    /* near: ours is named */
    {"generator manual-seed", .hint = "--seed N, and --rng cuda for a generator on the GPU"},
    {"sampler-rng randn-source", .hint = "--rng cpu or cuda is for all noise"},
    {"outdir out-dir output-dir outpath-samples", .hint = "-o DIR/ (--output)"},
    {"filename-prefix output-path", .hint = "-o FILE or TEMPLATE (--output), with {seed} or {n}"},
    {"disable-image-metadata no-metadata metadata-none", .hint = "--metadata none"},
    {"prompt-file", .hint = "- as the prompt reads standard input: diffuse - < FILE"},
    {"negative-prompt-file", .hint = "-n \"$(cat FILE)\" (--negative)"},
    {"revision", .hint = "-m ORG/NAME@REVISION (--model)"},
    {"cache-dir", .hint = "HF_HUB_CACHE in the environment"},
    {"local-files-only", .hint = "nothing is ever downloaded: leave it out"},
    {"use-safetensors", .hint = "safetensors is all that is read: leave it out"},
    {"device-map backend params-backend main-gpu gpu gpu-id", .hint = "--device cuda:N"},
    {"cpu use-cpu no-cuda", .hint = "--device cpu"},
    {"cuda", .hint = "--device cuda"},
    {"fp16 half no-half", .hint = "--dtype fp16 or fp32"},
    {"fp32 full-precision", .hint = "--dtype fp32"},
    {"bf16", .hint = "--dtype bf16"},
    {"no-half-vae force-fp32-vae upcast-vae", .hint = "--vae-dtype fp32"},
    {"preview-interval save-intermediates", .hint = "--save-every N saves the picture on its way"},
    {"preview-method", .hint = "--preview FILE shows the picture on its way"},
    {"karras use-karras-sigmas", .hint = "-x NAME,karras (--scheduler)"},
    {"crops-coords-top-left", .hint = "--crop X,Y: left first"},
    {"negative-crops-coords-top-left", .hint = "--negative-crop X,Y: left first"},
    {"lowvram medvram offload-to-cpu enable-model-cpu-offload enable-sequential-cpu-offload",
     .hint = "--offload stage has one part of the model in memory at a time"},
    {"enable-vae-tiling vae-tile-size vae-relative-tile-size vae-tile-overlap",
     .hint = "--vae-tiling on; the VAE says how large tiles are"},
    {"plms", .hint = "-x pndm (--scheduler)"},
    {"timestep-spacing", .hint = "-x NAME,timestep_spacing=trailing (--scheduler)"},
    {"list-devices", .hint = "-v says which device is used"},
    {"log-level debug", .hint = "-v or -vv"},
    {"silent no-progress", .hint = "-q, or --progress never"},
    {"name prefix", .hint = "-o FILE (--output)"},
    {"input i2i img2img", .hint = "-i FILE (--image) begins from a picture"},
    {"inpaint", .hint = "-i FILE --mask FILE"},
    {"random-seed", .hint = "leave --seed out for a random one"},
    {"list-schedulers list-samplers", .hint = "--list schedulers"},

    /* nothing that this program does */
    {"end-img masked-content inpainting-fill", .unsupported = true, .hint = NULL},
    {"control-video", .unsupported = true, .hint = NULL},
    {"canny", .hint = "--control-preprocess canny"},
    {"ip-adapter ip-adapter-image ip-adapter-strength ip-adapter-image-embeds ref-image ref-image-args "
     "ref-video ref-video-audio ref-audio increase-ref-index disable-auto-resize-ref-image",
     .unsupported = true, .hint = NULL},
    {"lora-scale cross-attention-kwargs", .hint = "--lora FILE:WEIGHT"},
    {"lora-apply-mode hypernetwork", .unsupported = true, .hint = NULL},
    {"embeddings embd-dir embeddings-dir textual-inversion", .hint = "--embedding FILE[=WORD]"},
    {"vae-format audio-vae tae taesd taesd-preview-only preview-noisy vae-on-cpu "
     "vae-conv-direct force-sdxl-vae-conv-scale",
     .unsupported = true, .hint = "the checkpoint's own VAE is used"},
    {"clip-l clip-g clip-vision t5xxl llm llm-vision qwen2vl qwen2vl-vision text-encoder unet unet-name "
     "diffusion-model high-noise-diffusion-model uncond-diffusion-model embeddings-connectors clip-on-cpu "
     "diffusion-conv-direct motion-module model-args",
     .unsupported = true, .hint = "-m takes a whole checkpoint"},
    {"upscale upscaler upscale-model upscale-repeats upscale-tile-size enable-hr hr-scale hr-upscaler "
     "hires hires-upscaler hires-upscalers-dir hires-scale hires-width hires-height hires-steps "
     "hires-sigmas hires-denoising-strength hires-upscale-tile-size",
     .unsupported = true, .hint = "draw at the size you want (--size)"},
    {"photo-maker pm-id-images-dir pm-id-embed-path pm-style-strength pulid-weights pulid-id-embedding "
     "pulid-id-weight restore-faces face-restoration ad-model ad-prompt ad-negative-prompt extra-ad-args "
     "tiling circular circularx circulary temporal-tiling extra-tiling-args",
     .unsupported = true, .hint = NULL},
    {"max-vram stream-layers eager-load auto-fit mmap split-mode rpc-servers control-net-cpu tensor-type-rules "
     "enable-attention-slicing",
     .unsupported = true, .hint = "--dry-run says what memory is needed; a smaller --size or --dtype fp16 needs less"},
    {"fa diffusion-fa flash-attention xformers enable-xformers-memory-efficient-attention "
     "opt-sdp-attention",
     .unsupported = true, .hint = "the fastest attention there is is always used: leave it out"},
    {"prediction prediction-type", .unsupported = true, .hint = "-x ,prediction_type=v_prediction changes it (--scheduler)"},
    {"sigmas timesteps custom-sigmas", .unsupported = true, .hint = "-x NAME,timestep_spacing=… changes the schedule (--scheduler)"},
    {"img-cfg-scale slg-scale skip-layer-start skip-layer-end skip-layers flow-shift timestep-shift "
     "moe-boundary vace-strength true-cfg-scale pag-scale high-noise-steps high-noise-cfg-scale "
     "high-noise-img-cfg-scale high-noise-guidance high-noise-slg-scale high-noise-skip-layer-start "
     "high-noise-skip-layer-end high-noise-skip-layers high-noise-eta high-noise-sampling-method "
     "high-noise-scheduler",
     .unsupported = true, .hint = NULL},
    {"video-frames fps qwen-image-layers num-frames", .unsupported = true, .hint = "pictures alone are drawn"},
    {"cache-mode cache-option scm-mask scm-policy extra-sample-args", .unsupported = true, .hint = NULL},
    {"mode", .unsupported = true, .hint = "a prompt is drawn, --inspect and the others look inside"},
    {"convert-name imat-in imat-out", .unsupported = true, .hint = "safetensors is all that is read and nothing is converted"},
    {"metadata-format metadata-raw metadata-brief metadata-all", .unsupported = true, .hint = "exiftool shows a PNG's metadata"},
    {"output-begin-idx", .unsupported = true, .hint = "{seed} in -o names each image by its seed"},
    {"prompt-embeds negative-prompt-embeds prompt-embeds-2 pooled-prompt-embeds", .unsupported = true, .hint = "a prompt is text here"},
    {"output-type return-dict callback callback-steps callback-on-step-end "
     "callback-on-step-end-tensor-inputs token use-auth-token custom-pipeline safety-checker "
     "feature-extractor low-cpu-mem-usage force-download proxies",
     .unsupported = true, .hint = "it has no meaning outside Python"},
    {"styles style subseed subseed-strength seed-resize-from-w seed-resize-from-h sampler-index "
     "eta-noise-seed-delta ensd outpath-grids prompt-for-display do-not-save-samples do-not-save-grid grid "
     "n-rows s-churn s-tmin s-tmax s-noise s-min-uncond override-settings "
     "script-name script-args send-images save-images alwayson-scripts firstphase-width firstphase-height "
     "hr-second-pass-steps hr-resize-x hr-resize-y hr-prompt hr-negative-prompt hr-sampler-name "
     "hr-scheduler hr-checkpoint-name add-noise start-at-step end-at-step return-with-leftover-noise "
     "latent-image weight-dtype stop-at-clip-layer",
     .unsupported = true, .hint = NULL},
    {"server port listen share api webui", .unsupported = true, .hint = "it draws and ends; there is no server"},
    {"mode-list interactive embed-resolution", .unsupported = true, .hint = NULL},
};

static bool same_name(const char *theirs, size_t n, const char *typed, size_t m) {
    for (size_t i = 0; i < n && n == m; i++)
        if (theirs[i] != typed[i] && !(theirs[i] == '-' && typed[i] == '_')) return false;
    return n == m;
}

/* Is it one of the row's names? */
static bool has_name(const struct foreign_option *row, const char *name, size_t m) {
    for (const char *s = row->names; *s; s += strspn(s, " ")) {
        size_t n = strcspn(s, " ");
        if (same_name(s, n, name, m)) return true;
        s += n;
    }
    return false;
}

const struct foreign_option *foreign_option(const char *name, size_t n) {
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (has_name(&table[i], name, n)) return &table[i];
    return NULL;
}

/* Short options of others: what they mean there, here. */
const char *foreign_letter(char letter) {
    static const char *const letters[] = {
        "t--threads N", "S-s N (--seed)", "d-m DIR (--model)", "N-n TEXT (--negative)", "C-g X (--guidance)",
    };
    for (size_t i = 0; i < sizeof letters / sizeof *letters; i++)
        if (letters[i][0] == letter) return letters[i] + 1;
    return NULL;
}

const char *foreign_word(const char *word) {
    static const char *const words[][2] = {
        {"float16", "fp16"}, {"f16", "fp16"},    {"half", "fp16"},          {"torch.float16", "fp16"}, {"float32", "fp32"},
        {"f32", "fp32"},     {"float", "fp32"},  {"torch.float32", "fp32"}, {"bfloat16", "bf16"},      {"torch.bfloat16", "bf16"},
        {"gpu", "cuda"},     {"nvidia", "cuda"},
    };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (!strcasecmp(words[i][0], word)) return words[i][1];
    return NULL;
}
