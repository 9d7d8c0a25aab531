/* What other programs call schedulers: A1111 and its forks, ComfyUI, InvokeAI, sd-cli, diffusers. Names are compared without case and
 * punctuation, "+" alone counting ("DPM++" is written "dpmpp" as well). */
#include "schedulers/config.h"
#include "schedulers/scheduler.h"

#include <ctype.h>
#include <string.h>

enum { NAME_MAX_BYTES = 64 };

struct foreign {
    const char *name; /* plain, as plain_name() makes it */
    const char *ours; /* the same here, as -x takes it; NULL: there is none */
    const char *hint; /* what is near; ours is NULL then */
};

static const struct foreign samplers[] = {
    {"dpmpp2msde", "dpm++2m,algorithm_type=sde-dpmsolver++", NULL},
    {"dpmpp2msdegpu", "dpm++2m,algorithm_type=sde-dpmsolver++", NULL},
    {"dpmpp2msdeheun", "dpm++2m,algorithm_type=sde-dpmsolver++,solver_type=heun", NULL},
    {"dpmpp2msdeheungpu", "dpm++2m,algorithm_type=sde-dpmsolver++,solver_type=heun", NULL},
    {"dpmpp3msde", "dpm++2m,algorithm_type=sde-dpmsolver++,solver_order=3", NULL},
    {"dpmpp3msdegpu", "dpm++2m,algorithm_type=sde-dpmsolver++,solver_order=3", NULL},
    {"dpmpp3m", "dpm++2m,solver_order=3", NULL},
    {"unipcbh2", "unipc,solver_type=bh2", NULL},
    {"ddimtrailing", "ddim,timestep_spacing=trailing", NULL},
    {"ddimparallel", "ddim", NULL},
    {"ddpmparallel", "ddpm", NULL},
    {"dpmppsde", NULL, "dpm++2s,algorithm_type=sde-dpmsolver++ is what diffusers has for it"},
    {"dpmppsdegpu", NULL, "dpm++2s,algorithm_type=sde-dpmsolver++ is what diffusers has for it"},
    {"dpmsolversde", NULL, "dpm++2s,algorithm_type=sde-dpmsolver++ is near"},
    {"dpmpp2sa", NULL, "dpm++2s is near: the same without fresh noise"},
    {"dpmpp2sancestral", NULL, "dpm++2s is near: the same without fresh noise"},
    {"dpmpp2mv2", NULL, "dpm++2m is near"},
    {"dpmpp2msdebt", NULL, "dpm++2m,algorithm_type=sde-dpmsolver++ is near: the same with another noise"},
    {"heunpp2", NULL, "heun is near"},
    {"eulercfgpp", NULL, "euler is near"},
    {"eulerancestralcfgpp", NULL, "euler_a is near"},
    {"euleracfgpp", NULL, "euler_a is near"},
    {"dpmpp2mcfgpp", NULL, "dpm++2m is near"},
    {"dpmpp2sancestralcfgpp", NULL, "dpm++2s is near"},
    {"dpmfast", NULL, NULL},
    {"dpmadaptive", NULL, NULL},
    {"dpmad", NULL, NULL},
    {"restart", NULL, NULL},
    {"ipndm", NULL, NULL},
    {"ipndmv", NULL, NULL},
    {"resmultistep", NULL, NULL},
    {"resmultistepcfgpp", NULL, NULL},
    {"resmultistepancestral", NULL, NULL},
    {"resmultistepancestralcfgpp", NULL, NULL},
    {"res2s", NULL, NULL},
    {"gradientestimation", NULL, NULL},
    {"gradientestimationcfgpp", NULL, NULL},
    {"eulerge", NULL, NULL},
    {"ersde", NULL, NULL},
    {"seeds2", NULL, NULL},
    {"seeds3", NULL, NULL},
    {"sasolver", NULL, NULL},
    {"sasolverpece", NULL, NULL},
    {"expheun2x0", NULL, NULL},
    {"expheun2x0sde", NULL, NULL},
    {"ddimcfgpp", NULL, NULL},
    {"lcmalt", NULL, NULL},
    {NULL, NULL, NULL},
};

/* Which noise levels are visited: a word of its own elsewhere, an option of the scheduler here. */
static const struct foreign schedules[] = {
    {"karras", "karras", NULL},
    {"ka", "karras", NULL},
    {"k", "karras", NULL}, /* behind a sampler */
    {"exponential", "exponential", NULL},
    {"beta", "beta", NULL},
    {"sgmuniform", NULL, "timestep_spacing=trailing is near"},
    {"simple", NULL, "leave it out: the scheduler's own levels are near"},
    {"normal", NULL, "leave it out: the scheduler's own levels are near"},
    {"discrete", NULL, "leave it out: the scheduler's own levels are near"},
    {"uniform", NULL, "leave it out: the scheduler's own levels are near"},
    {"automatic", NULL, "leave it out: the scheduler's own levels are meant"},
    {"ddimuniform", NULL, "timestep_spacing=leading is near"},
    {"polyexponential", NULL, "exponential is near"},
    {"ays", NULL, NULL},
    {"alignyoursteps", NULL, NULL},
    {"gits", NULL, NULL},
    {"kloptimal", NULL, NULL},
    {"smoothstep", NULL, NULL},
    {"bongtangent", NULL, NULL},
    {"linearquadratic", NULL, NULL},
    {"turbo", NULL, NULL},
    {"logitnormal", NULL, NULL},
    {"ltx2", NULL, NULL},
    {"flux", NULL, NULL},
    {"flux2", NULL, NULL},
    {NULL, NULL, NULL},
};

/* Letters and digits in lower case, "+" as "p"; without "Scheduler" and "sample" around it. */
static void plain_name(char out[NAME_MAX_BYTES], const char *name, size_t length) {
    size_t n = 0;
    for (size_t i = 0; i < length && n < NAME_MAX_BYTES - 1; i++) {
        unsigned char c = (unsigned char)name[i];
        if (isalnum(c) && c < 0x80) out[n++] = (char)tolower(c);
        else if (c == '+') out[n++] = 'p';
    }
    out[n] = 0;
    if (n > 9 && !strcmp(out + n - 9, "scheduler")) out[n - 9] = 0;
    if (out[0] == 'k' && strncmp(out, "ka", 2) && strncmp(out, "kd", 2) && strncmp(out, "kl", 2)) memmove(out, out + 1, strlen(out));
    if (!strncmp(out, "kdpmpp", 6)) memmove(out, out + 1, strlen(out));
}

static const struct foreign *find(const struct foreign *table, const char *name) {
    for (; table->name; table++)
        if (!strcmp(table->name, name)) return table;
    return NULL;
}

/* A scheduler of ours by its plain name, as the short name; or NULL. */
static const char *own_name(const char *plain) {
    for (const struct scheduler *const *s = schedulers; *s; s++) {
        char name[NAME_MAX_BYTES];
        plain_name(name, (*s)->class_name, strlen((*s)->class_name));
        if (!strcmp(name, plain)) return (*s)->names[0];
        for (const char *const *n = (*s)->names; *n; n++) {
            plain_name(name, *n, strlen(*n));
            if (!strcmp(name, plain)) return (*s)->names[0];
        }
    }
    return NULL;
}

/* The sampler alone: *text the same here, or *hint what is near. False: nobody's name that we know. */
static bool find_sampler(const char *plain, const char **text, const char **hint) {
    const struct foreign *f = find(samplers, plain);
    *text = f ? f->ours : own_name(plain);
    *hint = f ? f->hint : NULL;
    return f || *text;
}

/* "dpmpp2m" + "karras": the schedule whose name ends the text and leaves a sampler's; `plain` is cut there. */
static const struct foreign *cut_schedule(char *plain) {
    const char *text, *hint;
    for (const struct foreign *s = schedules; s->name; s++) {
        size_t n = strlen(plain), m = strlen(s->name);
        if (n <= m || strcmp(plain + n - m, s->name)) continue;
        plain[n - m] = 0;
        if (find_sampler(plain, &text, &hint)) return s;
        plain[n - m] = s->name[0];
    }
    return NULL;
}

struct scheduler_words scheduler_translate(struct arena *a, const char *words) {
    size_t n = strcspn(words, ",:");
    const char *name = arena_printf(a, "%.*s", (int)n, words), *rest = words + n, *text, *hint;
    char plain[NAME_MAX_BYTES];
    if (!n || scheduler_find(name)) return (struct scheduler_words){.known = true, .text = words};
    plain_name(plain, name, n);
    const struct foreign *schedule = find(schedules, plain);
    if (schedule && !own_name(plain)) {
        text = schedule->ours ? arena_printf(a, ",%s%s", schedule->ours, rest) : NULL;
        return (struct scheduler_words){.known = true, .text = text, .hint = schedule->hint};
    }
    if (find_sampler(plain, &text, &hint))
        return (struct scheduler_words){.known = true, .text = text ? arena_printf(a, "%s%s", text, rest) : NULL, .hint = hint};
    schedule = cut_schedule(plain);
    if (!schedule) return (struct scheduler_words){.known = n > 9 && !strcmp(name + n - 9, "Scheduler")};
    find_sampler(plain, &text, &hint);
    if (!text || !schedule->ours) return (struct scheduler_words){.known = true, .hint = text ? schedule->hint : hint};
    if (!scheduler_has_option(a, text, schedule->ours))
        return (struct scheduler_words){.known = true, .hint = arena_printf(a, "%s is near: it has no such noise levels", text)};
    return (struct scheduler_words){.known = true, .text = arena_printf(a, "%s,%s%s", text, schedule->ours, rest)};
}

/* ---- what A1111 calls ours ---------------------------------------------------------------------------------------- */

const char *sched_config_sampler(const struct sched_config *config, const struct scheduler *scheduler) {
    const char *algorithm = scheduler->sampler_sde[0] ? config->algorithm_type : NULL;
    if (!algorithm || !strcmp(algorithm, "dpmsolver++")) return scheduler->sampler;
    bool third = config->solver_order == 3;
    const char *name = strcmp(algorithm, "sde-dpmsolver++") ? NULL : scheduler->sampler_sde[third];
    return name ? name : scheduler->class_name;
}

const char *sched_config_schedule_type(const struct sched_config *config) {
    const char *edm = config->sigma_schedule ? config->sigma_schedule : "";
    if (config->use_karras_sigmas || !strcmp(edm, "karras")) return "Karras";
    if (config->use_exponential_sigmas || !strcmp(edm, "exponential")) return "Exponential";
    return config->use_beta_sigmas ? "Beta" : NULL;
}
