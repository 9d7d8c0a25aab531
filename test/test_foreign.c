/* Other programs' complete lists of names: each is taken for ours, hinted at ours, or said to be not supported; none is sent astray. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "cli/foreign.h"
#include "cli/option_table.h"
#include "cli/options.h"
#include "engine/base/error.h"
#include "engine/base/text.h"
#include "schedulers/scheduler.h"

static struct arena arena;
static struct options options;
static struct job job;

static int parse(int argc, const char *const *words) {
    char *argv[16] = {"diffuse"};
    for (int i = 0; i < argc; i++) argv[i + 1] = (char *)words[i];
    if (!job_enter(&job)) return job.code;
    options_parse(&arena, &options, argc + 1, argv);
    job_leave(&job);
    return 0;
}

static int set_up(void **state) {
    (void)state;
    setenv("DIFFUSE_MODEL", "some-model", 1);
    return 0;
}

/* sd-cli of stable-diffusion.cpp, examples/common/common.cpp and examples/cli/main.cpp */
static const char sd_cli[] =
    "output image metadata-format metadata-raw metadata-brief metadata-all preview preview-path preview-interval preview-noisy "
    "taesd-preview-only output-begin-idx canny convert-name imat-out imat-in verbose color mode help version model clip_l clip_g "
    "clip_vision t5xxl llm llm_vision qwen2vl qwen2vl_vision diffusion-model high-noise-diffusion-model uncond-diffusion-model "
    "embeddings-connectors vae vae-format audio-vae taesd tae control-net ip-adapter motion-module embd-dir lora-model-dir "
    "hires-upscalers-dir tensor-type-rules model-args photo-maker pulid-weights upscale-model backend params-backend split-mode "
    "rpc-servers max-vram threads stream-layers eager-load auto-fit force-sdxl-vae-conv-scale offload-to-cpu mmap control-net-cpu "
    "clip-on-cpu vae-on-cpu fa diffusion-fa diffusion-conv-direct vae-conv-direct type rng sampler-rng prediction lora-apply-mode "
    "list-devices prompt negative-prompt prompt-file negative-prompt-file init-img end-img mask control-image control-video "
    "ip-adapter-image ref-image ref-video ref-video-audio ref-audio pm-id-images-dir pm-id-embed-path pulid-id-embedding height width "
    "steps clip-skip batch-count seed sampling-method scheduler sigmas cfg-scale img-cfg-scale guidance slg-scale skip-layer-start "
    "skip-layer-end skip-layers eta flow-shift timestep-shift strength control-strength ip-adapter-strength pm-style-strength "
    "pulid-id-weight moe-boundary vace-strength high-noise-steps high-noise-cfg-scale high-noise-img-cfg-scale high-noise-guidance "
    "high-noise-slg-scale high-noise-skip-layer-start high-noise-skip-layer-end high-noise-skip-layers high-noise-eta "
    "high-noise-sampling-method video-frames fps qwen-image-layers vae-tiling vae-tile-size vae-relative-tile-size vae-tile-overlap "
    "temporal-tiling extra-tiling-args hires hires-upscaler hires-scale hires-width hires-height hires-steps hires-sigmas "
    "hires-denoising-strength hires-upscale-tile-size upscale-repeats upscale-tile-size cache-mode cache-option scm-mask scm-policy "
    "extra-sample-args ref-image-args increase-ref-index disable-auto-resize-ref-image circular circularx circulary "
    "disable-image-metadata ad-model ad-prompt ad-negative-prompt extra-ad-args";
/* StableDiffusionPipeline.__call__ and from_pretrained */
static const char diffusers[] =
    "prompt height width num_inference_steps timesteps sigmas guidance_scale negative_prompt num_images_per_prompt eta generator latents "
    "prompt_embeds negative_prompt_embeds ip_adapter_image ip_adapter_image_embeds output_type return_dict cross_attention_kwargs "
    "guidance_rescale clip_skip callback_on_step_end callback_on_step_end_tensor_inputs pretrained_model_name_or_path torch_dtype "
    "custom_pipeline force_download cache_dir proxies local_files_only token revision device_map low_cpu_mem_usage use_safetensors "
    "variant safety_checker feature_extractor scheduler image strength mask_image";
/* A1111: the prompts-from-file script's tags, and the API of /sdapi/v1/txt2img */
static const char a1111[] =
    "sd_model outpath_samples outpath_grids prompt_for_display prompt negative_prompt styles seed subseed_strength subseed "
    "seed_resize_from_h seed_resize_from_w sampler_index sampler_name batch_size n_iter steps cfg_scale width height restore_faces tiling "
    "do_not_save_samples do_not_save_grid scheduler eta denoising_strength s_min_uncond s_churn s_tmax s_tmin s_noise override_settings "
    "enable_hr firstphase_width firstphase_height hr_scale hr_upscaler hr_second_pass_steps hr_resize_x hr_resize_y hr_checkpoint_name "
    "hr_sampler_name hr_scheduler hr_prompt hr_negative_prompt script_name script_args send_images save_images alwayson_scripts";
/* ComfyUI: KSampler, KSamplerAdvanced, CheckpointLoaderSimple, EmptyLatentImage, SaveImage, CLIPSetLastLayer */
static const char comfyui[] =
    "model seed steps cfg sampler_name scheduler positive negative latent_image denoise add_noise noise_seed start_at_step end_at_step "
    "return_with_leftover_noise ckpt_name vae_name unet_name weight_dtype width height batch_size filename_prefix stop_at_clip_layer text";

static const char *next_name(const char **list) {
    size_t n = strcspn(*list, " ");
    const char *name = arena_printf(&arena, "%.*s", (int)n, *list);
    *list += n + strspn(*list + n, " ");
    return name;
}

/* Does it name an option of ours, whatever the value? */
static bool accepted(const char *name) {
    const struct foreign_option *f = foreign_option(name, strlen(name));
    for (int i = 0; i < option_count(); i++) {
        char own[64];
        strcpy(own, option_row(i)->name);
        for (char *c = own; *c; c++)
            if (*c == '-' && !strchr(name, '-')) *c = '_';
        if (!strcmp(own, name) || (f && f->ours && !strcmp(f->ours, option_row(i)->name))) return true;
    }
    return false;
}

static void walk(const char *list) {
    int n[3] = {0};
    while (*list) {
        const char *name = next_name(&list), *words[] = {arena_printf(&arena, "--%s", name), "1", "x"};
        const struct foreign_option *f = foreign_option(name, strlen(name));
        if (accepted(name)) {
            bool ends = !strcmp(name, "help") || !strcmp(name, "version");
            if (!ends && parse(3, words) && !strncmp(job.message, "unknown option", 14)) fail_msg("--%s: %s", name, job.message);
            n[0]++;
            continue;
        }
        if (!f) fail_msg("--%s: nobody's", name);
        assert_int_equal(parse(3, words), FAIL_USAGE);
        const char *want = f->unsupported ? "option '--%s' is not supported" : "unknown option '--%s'";
        if (!f->unsupported) assert_non_null(f->hint);
        char message[128];
        snprintf(message, sizeof message, want, name);
        assert_string_equal(job.message, message);
        n[1 + f->unsupported]++;
    }
    printf("%d taken, %d hinted, %d not supported\n", n[0], n[1], n[2]);
}

static void test_options_of_others(void **state) {
    (void)state;
    walk(sd_cli);
    walk(diffusers);
    walk(a1111);
    walk(comfyui);
}

static void test_meanings(void **state) {
    (void)state;
    assert_int_equal(parse(9, (const char *[]){"--num-inference-steps", "7", "--guidance_scale=3", "--negative_prompt", "bad",
                                               "--batch-count", "2", "--torch_dtype=float16", "x"}),
                     0);
    assert_true(options.settings.steps == 7 && options.settings.guidance == 3 && options.settings.count == 2);
    assert_string_equal(options.settings.negative, "bad");
    assert_string_equal(options.dtype, "fp16");
    assert_int_equal(parse(7, (const char *[]){"--type", "f16", "--device", "gpu", "--seed", "-1", "x"}), 0);
    assert_true(!options.settings.seed_given && options.device == DEVICE_CUDA);
    assert_int_equal(parse(5, (const char *[]){"--sampling-method", "euler", "--scheduler", "karras", "x"}), 0);
    assert_string_equal(options.settings.scheduler, "euler,karras");
    assert_int_equal(parse(5, (const char *[]){"--scheduler", "karras", "--sampling-method", "dpm++2m", "x"}), 0);
    assert_string_equal(options.settings.scheduler, "dpm++2m,karras");
    assert_int_equal(parse(3, (const char *[]){"-b", "4", "x"}), FAIL_USAGE);
    assert_string_equal(job.message, "--batch: expected a file of jobs or -, found '4'");
    assert_string_equal(job.hint, "-c 4 draws so many images; ./4 is the file");
    assert_int_equal(parse(3, (const char *[]){"--tae", "file", "x"}), FAIL_USAGE);
    assert_string_equal(job.message, "option '--tae' is not supported");
    assert_int_equal(parse(2, (const char *[]){"--num_inference_steps", "7"}), 0);
    assert_int_equal(parse(1, (const char *[]){"--cfg"}), FAIL_USAGE);
    assert_string_equal(job.message, "--cfg: expected X after it, found nothing");
    assert_int_equal(parse(2, (const char *[]){"--overwrite=1", "x"}), FAIL_USAGE);
    assert_string_equal(job.message, "--overwrite: takes no value");
    assert_string_equal(suggest("guidnace", (const char *[]){"guidance-rescale", "guidance", NULL}), "guidance");
    assert_string_equal(suggest("stpes", (const char *[]){"steps", NULL}), "steps");
}

/* ---- schedulers -------------------------------------------------------------------------------------------------- */

enum outcome { TAKEN, HINTED, NOT_SUPPORTED };

static void expect_names(const char *const *names, int *n) {
    for (; *names; names++) {
        struct scheduler_words w = scheduler_translate(&arena, *names);
        if (!w.known) fail_msg("'%s': nobody's", *names);
        n[w.text ? TAKEN : w.hint ? HINTED : NOT_SUPPORTED]++;
        if (w.text && *w.text != ',' && !scheduler_find(arena_printf(&arena, "%.*s", (int)strcspn(w.text, ",:"), w.text)))
            fail_msg("'%s' is taken for '%s', which is none of ours", *names, w.text);
    }
}

static const char *const a1111_samplers[] = {
    "Euler a",
    "Euler",
    "LMS",
    "Heun",
    "DPM2",
    "DPM2 a",
    "DPM++ 2S a",
    "DPM++ 2M",
    "DPM++ SDE",
    "DPM++ 2M SDE",
    "DPM++ 3M SDE",
    "DPM fast",
    "DPM adaptive",
    "LMS Karras",
    "DPM2 Karras",
    "DPM2 a Karras",
    "DPM++ 2S a Karras",
    "DPM++ 2M Karras",
    "DPM++ SDE Karras",
    "DPM++ 2M SDE Karras",
    "DPM++ 2M SDE Exponential",
    "DPM++ 2M SDE Heun",
    "DPM++ 2M SDE Heun Karras",
    "DPM++ 2M SDE Heun Exponential",
    "DPM++ 3M SDE Karras",
    "DPM++ 3M SDE Exponential",
    "Restart",
    "DDIM",
    "DDIM CFG++",
    "PLMS",
    "UniPC",
    "LCM",
    "k_lms",
    "k_euler_a",
    "k_dpmpp_2m_ka",
    "k_dpmpp_2m",
    "k_dpm_2_a_ka",
    "k_heun",
    "k_lms_ka",
    "Karras",
    "Exponential",
    "Polyexponential",
    "SGM Uniform",
    "KL Optimal",
    "Align Your Steps",
    "Simple",
    "Normal",
    "Uniform",
    "Automatic",
    "Beta",
    "Turbo",
    NULL,
};
static const char *const comfyui_samplers[] = {
    "euler",
    "euler_cfg_pp",
    "euler_ancestral",
    "euler_ancestral_cfg_pp",
    "heun",
    "heunpp2",
    "exp_heun_2_x0",
    "exp_heun_2_x0_sde",
    "dpm_2",
    "dpm_2_ancestral",
    "lms",
    "dpm_fast",
    "dpm_adaptive",
    "dpmpp_2s_ancestral",
    "dpmpp_2s_ancestral_cfg_pp",
    "dpmpp_sde",
    "dpmpp_sde_gpu",
    "dpmpp_2m",
    "dpmpp_2m_cfg_pp",
    "dpmpp_2m_sde",
    "dpmpp_2m_sde_gpu",
    "dpmpp_2m_sde_heun",
    "dpmpp_2m_sde_heun_gpu",
    "dpmpp_3m_sde",
    "dpmpp_3m_sde_gpu",
    "ddpm",
    "lcm",
    "ipndm",
    "ipndm_v",
    "deis",
    "res_multistep",
    "res_multistep_cfg_pp",
    "res_multistep_ancestral",
    "res_multistep_ancestral_cfg_pp",
    "gradient_estimation",
    "gradient_estimation_cfg_pp",
    "er_sde",
    "seeds_2",
    "seeds_3",
    "sa_solver",
    "sa_solver_pece",
    "ddim",
    "uni_pc",
    "uni_pc_bh2",
    "simple",
    "sgm_uniform",
    "karras",
    "exponential",
    "ddim_uniform",
    "beta",
    "normal",
    "linear_quadratic",
    "kl_optimal",
    "dpmpp_2m_karras",
    NULL,
};
static const char *const sd_cli_samplers[] = {
    "euler",
    "euler_a",
    "heun",
    "dpm2",
    "dpm++2s_a",
    "dpm++2m",
    "dpm++2mv2",
    "ipndm",
    "ipndm_v",
    "lcm",
    "ddim_trailing",
    "tcd",
    "res_multistep",
    "res_2s",
    "er_sde",
    "euler_cfg_pp",
    "euler_a_cfg_pp",
    "euler_ge",
    "dpm++2m_sde",
    "dpm++2m_sde_bt",
    "lms",
    "discrete",
    "karras",
    "exponential",
    "ays",
    "gits",
    "sgm_uniform",
    "simple",
    "smoothstep",
    "kl_optimal",
    "bong_tangent",
    "ltx2",
    "logit_normal",
    "flux2",
    "flux",
    "beta",
    NULL,
};
/* diffusers 0.42, src/diffusers/schedulers */
static const char *const diffusers_classes[] = {
    "AmusedScheduler",
    "BlockRefinementScheduler",
    "CMStochasticIterativeScheduler",
    "CogVideoXDDIMScheduler",
    "CogVideoXDPMScheduler",
    "ConsistencyDecoderScheduler",
    "CosineDPMSolverMultistepScheduler",
    "DDIMInverseScheduler",
    "DDIMParallelScheduler",
    "DDIMScheduler",
    "DDPMParallelScheduler",
    "DDPMScheduler",
    "DDPMWuerstchenScheduler",
    "DEISMultistepScheduler",
    "DPMSolverMultistepInverseScheduler",
    "DPMSolverMultistepScheduler",
    "DPMSolverSDEScheduler",
    "DPMSolverSinglestepScheduler",
    "DiscreteDDIMScheduler",
    "EDMDPMSolverMultistepScheduler",
    "EDMEulerScheduler",
    "EntropyBoundScheduler",
    "EulerAncestralDiscreteScheduler",
    "EulerDiscreteScheduler",
    "FlowMapEulerDiscreteScheduler",
    "FlowMatchEulerDiscreteScheduler",
    "FlowMatchHeunDiscreteScheduler",
    "FlowMatchLCMScheduler",
    "HeliosDMDScheduler",
    "HeliosScheduler",
    "HeunDiscreteScheduler",
    "IPNDMScheduler",
    "KDPM2AncestralDiscreteScheduler",
    "KDPM2DiscreteScheduler",
    "KarrasVeScheduler",
    "LCMScheduler",
    "LMSDiscreteScheduler",
    "LTXEulerAncestralRFScheduler",
    "MiniMaxH3Scheduler",
    "PNDMScheduler",
    "PiflowScheduler",
    "RFD4ProteinaScheduler",
    "RePaintScheduler",
    "SASolverScheduler",
    "SCMScheduler",
    "ScoreSdeVeScheduler",
    "ScoreSdeVpScheduler",
    "TCDScheduler",
    "UnCLIPScheduler",
    "UniPCMultistepScheduler",
    "VQDiffusionScheduler",
    "EulerAncestralDiscrete",
    "UniPCMultistep",
    "pndm scheduler",
    NULL,
};

static void test_samplers_of_others(void **state) {
    (void)state;
    const char *const *lists[] = {a1111_samplers, comfyui_samplers, sd_cli_samplers, diffusers_classes};
    for (int i = 0; i < 4; i++) {
        int n[3] = {0};
        expect_names(lists[i], n);
        printf("%d taken, %d hinted, %d not supported\n", n[TAKEN], n[HINTED], n[NOT_SUPPORTED]);
    }
    assert_false(scheduler_translate(&arena, "eulr").known);
    assert_false(scheduler_translate(&arena, "nonesuch").known);
    assert_false(scheduler_translate(&arena, "k").known);
}

static void test_sampler_meanings(void **state) {
    (void)state;
    static const char *const cases[][2] = {
        {"DPM++ 2M Karras", "dpm++2m,karras"},
        {"dpmpp_2m_karras", "dpm++2m,karras"},
        {"dpm++ 2m sde exponential", "dpm++2m,algorithm_type=sde-dpmsolver++,exponential"},
        {"DPM++ 2M SDE Karras,solver_type=heun", "dpm++2m,algorithm_type=sde-dpmsolver++,karras,solver_type=heun"},
        {"k_dpmpp_2m_ka", "dpm++2m,karras"},
        {"euler_k", "euler,karras"},
        {"kdpm_2_a_k", "kdpm2_a,karras"},
        {"dpmpp_2m_sde_k", "dpm++2m,algorithm_type=sde-dpmsolver++,karras"},
        {"dpmpp_3m_k", "dpm++2m,solver_order=3,karras"},
        {"k_dpm_2_a_ka", "kdpm2_a,karras"},
        {"DPM2 a Karras", "kdpm2_a,karras"},
        {"Euler a", "Euler a"},
        {"EulerAncestralDiscrete", "euler_a"},
        {"uni_pc_bh2", "unipc,solver_type=bh2"},
        {"Karras", ",karras"},
        {"ddim_trailing:eta=1", "ddim,timestep_spacing=trailing:eta=1"},
        {"DPM++ SDE Karras", NULL},
        {"DPM++ 2S a", NULL},
        {"DPM++ 2M SGM Uniform", NULL},
        {"Euler a Karras", NULL},
        {"k_euler_a_ka", NULL},
        {"ddim_trailing_karras", NULL},
        {"FlowMatchEulerDiscreteScheduler", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct scheduler_words w = scheduler_translate(&arena, cases[i][0]);
        assert_true(w.known);
        assert_string_equal(w.text ? w.text : "none", cases[i][1] ? cases[i][1] : "none");
    }
    assert_int_equal(parse(3, (const char *[]){"-x", "DPM++ SDE", "x"}), FAIL_USAGE);
    assert_string_equal(job.message, "--scheduler: 'DPM++ SDE' is not supported");
    assert_int_equal(parse(3, (const char *[]){"-x", "Euler a Karras", "x"}), FAIL_USAGE);
    assert_string_equal(job.message, "--scheduler: 'Euler a Karras' is not supported");
    assert_string_equal(job.hint, "euler_a is near: it has no such noise levels");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_options_of_others),
        cmocka_unit_test(test_meanings),
        cmocka_unit_test(test_samplers_of_others),
        cmocka_unit_test(test_sampler_meanings),
    };
    int failed = cmocka_run_group_tests(tests, set_up, NULL);
    arena_free(&arena);
    return failed;
}
