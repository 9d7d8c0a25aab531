/* A net's config.json, or a preprocessor's. Input: a byte that chooses the class, then the JSON. A net is bound to no file at all: what its
 * config asks for is walked, and then missing. */
#include "engine/base/json.h"
#include "engine/images/extract.h"
#include "engine/nets/nets.h"
#include "engine/nets/unet.h"
#include "test/fuzz/refusal.h"

static const char *const nets[] = {"CLIPTextModel", "UNet2DConditionModel",  "UNet2DModel",
                                   "AutoencoderKL", "DPTForDepthEstimation", "CLIPTextModelWithProjection"};
enum { N_NETS = sizeof nets / sizeof *nets, N_CLASSES = N_NETS + 2 };

static void check_unet(const struct json *config, bool conditional) {
    struct unet m = {0};
    unet_read_config(&m, config, conditional);
    assert(m.n_levels > 0 && m.n_levels <= UNET_LEVELS_MAX && m.size_multiple > 0 && m.size_least >= m.size_multiple &&
           m.size_least % m.size_multiple == 0 && m.sample_height > 0 && m.sample_width > 0);
    for (int i = 0; i < m.n_levels; i++) {
        assert(m.block_out_channels[i] % m.groups == 0 && m.block_out_channels[i] % m.n_heads[i] == 0);
        assert(m.layers_per_block[i] > 0 && m.layers_per_block[i] <= UNET_LAYERS_MAX);
    }
}

static void bind_net(struct arena *a, const char *class_name, struct json *config) {
    struct component c = {.name = "net", .library = "diffusers", .class_name = class_name, .dir = "dir", .config = config, .arena = a};
    struct binder *binder = binder_new(&c);
    net_find(class_name)->bind(binder);
    assert(binder->n_missing > 0);
    binder_check(binder);
}

static void extract(struct arena *a, const struct json *config, bool dpt) {
    struct extractor e;
    int W, H;
    (dpt ? extractor_dpt : extractor_clip)(&e, a, config);
    extractor_size(&e, 640, 480, &W, &H);
    assert(W > 0 && H > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    static struct arena arena; /* static: it outlives the longjmp of a refusal */
    struct job job;
    error_quiet = 1;
    if (n < 1) return 0;
    int choice = data[0] % N_CLASSES;
    if (job_enter(&job)) {
        struct json *config = json_parse(&arena, (const char *)data + 1, n - 1, "config.json");
        if (choice == 1 || choice == 2) check_unet(config, choice == 1);
        if (choice < N_NETS) bind_net(&arena, nets[choice], config);
        else extract(&arena, config, choice > N_NETS);
        job_leave(&job);
    } else check_refusal(&job);
    arena_free(&arena);
    return 0;
}
