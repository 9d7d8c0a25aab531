/* Bad configurations of what the image tasks add to a checkpoint: the safety checker and its feature extractor, the depth estimator and its
 * preprocessor. As test_hostile.c. */
#include "test/hostile.h"
#include "test/synthetic.h"

#define CHECKER "safety_checker/config.json"
#define DEPTH "depth_estimator/config.json"
#define EXTRACTOR "feature_extractor/preprocessor_config.json"
#define EDIT(from, to) .make = edit, .a = from, .b = to
#define FIELD(key, from, to) EDIT("\"" key "\":\t" from, "\"" key "\":\t" to)
#define EMPTY(file) \
    { "T0", 65, "ends too soon", file, .make = put, .a = "" }

static const struct row checker_rows[] = {
    {.id = "T0", .fragment = ""},
    EMPTY(CHECKER),
    {"T1", 65, "vision_config' is missing", CHECKER, FIELD("vision_config", "{", "null, \"x\": {")},
    {"T1", 65, "vision_config", CHECKER, FIELD("vision_config", "{", "3, \"x\": {")},
    {"T1", 65, "image_size", CHECKER, FIELD("image_size", "42", "0")},
    {"T1", 65, "image_size", CHECKER, FIELD("image_size", "42", "-42")},
    {"T1", 65, "image_size", CHECKER, FIELD("image_size", "42", "\"42\"")},
    {"T1", 65, "image_size", CHECKER, FIELD("image_size", "42", "100000")},
    {"T1", 65, "patch_size", CHECKER, FIELD("patch_size", "14", "0")},
    {"T1", 78, "patch_size", CHECKER, FIELD("patch_size", "14", "43")},
    {"T1", 78, "expected [16,3,7,7], found [16,3,14,14]", CHECKER, .names = "model.safetensors", FIELD("patch_size", "14", "7")},
    {"T1", 65, "num_hidden_layers", CHECKER, FIELD("num_hidden_layers", "2,\n\t\t\"patch", "1000000000,\n\t\t\"patch")},
    {"T1", 78, "num_attention_heads", CHECKER, FIELD("num_attention_heads", "2,", "3,")},
    {"T1", 65, "expected a value", CHECKER, FIELD("layer_norm_eps", "1e-05,\n\t\t\"model_type\":\t\"clip_vision_model\"", "NaN")},
    {"T1", 65, "projection_dim", CHECKER, FIELD("projection_dim", "16", "0")},
    {"T1", 65, "projection_dim", CHECKER, FIELD("projection_dim", "16", "1e9")},
    {"T1", 78, "visual_projection.weight': expected [17,16], found [16,16]", CHECKER, .names = "model.safetensors",
     FIELD("projection_dim", "16", "17")},
    EMPTY(EXTRACTOR),
    {"T2", 65, "shortest_edge", EXTRACTOR, FIELD("shortest_edge", "42", "0")},
    {"T2", 65, "shortest_edge", EXTRACTOR, FIELD("shortest_edge", "42", "-1")},
    {"T2", 65, "shortest_edge", EXTRACTOR, FIELD("shortest_edge", "42", "4097")},
    {"T2", 65, "shortest_edge", EXTRACTOR, FIELD("shortest_edge", "42", "[42]")},
    {"T2", 65, "a picture of 8192x64 pixels: too thin for a network that wants 524288x4096 of it", EXTRACTOR, .names = "", .generate = true,
     .width = "8192", FIELD("shortest_edge", "42", "4096")},
    {"T2", 65, "expected shortest_edge, or height and width", EXTRACTOR, FIELD("shortest_edge", "42", "null")},
    {"T2", 78, "longest_edge", EXTRACTOR, FIELD("shortest_edge", "42", "42, \"longest_edge\": 42")},
    {"T2", 65, "'size'", EXTRACTOR, FIELD("size", "{", "\"42\", \"x\": {")},
    {"T2", 65, "height", EXTRACTOR, FIELD("height", "42", "0")},
    {"T2", 65, "crop_size': expected height and width", EXTRACTOR, FIELD("height", "42", "null")},
    {"T2", 65, "width", EXTRACTOR, FIELD("width", "42", "1e300")},
    {"T2", 78, "makes 41x41 of a picture, but safety_checker/config.json: 'image_size' 42", EXTRACTOR,
     FIELD("crop_size", "{", "41, \"x\": {")},
    {"T2", 65, "expected a value", EXTRACTOR, FIELD("image_mean", "[0.48145466", "[NaN")},
    {"T2", 65, "image_mean", EXTRACTOR, FIELD("image_mean", "[0.48145466", "[1e39")},
    {"T2", 65, "image_mean", EXTRACTOR, FIELD("image_mean", "[0.48145466", "[\"0.5\"")},
    {"T2", 65, "image_mean': expected 3 numbers, found 2", EXTRACTOR, FIELD("image_mean", "[0.48145466,", "[")},
    {"T2", 65, "image_mean", EXTRACTOR, FIELD("image_mean", "[0.48145466", "[0, 0.48145466")},
    {"T2", 65, "image_mean", EXTRACTOR, FIELD("image_mean", "[", "0.5, \"x\": [")},
    {"T2", 65, "image_std", EXTRACTOR, FIELD("image_std", "[0.26862954", "[0")},
    {"T2", 65, "image_std", EXTRACTOR, FIELD("image_std", "[0.26862954", "[-1")},
    {"T2", 65, "image_std", EXTRACTOR, FIELD("image_std", "[0.26862954", "[1e-50")},
    {"T2", 65, "image_std", EXTRACTOR, FIELD("image_std", "[0.26862954", "[1e39")},
    {"T2", 65, "rescale_factor", EXTRACTOR, FIELD("rescale_factor", "0.00392156862745098", "0")},
    {"T2", 65, "rescale_factor", EXTRACTOR, FIELD("rescale_factor", "0.00392156862745098", "-1")},
    {"T2", 65, "resample", EXTRACTOR, FIELD("resample", "3", "77")},
    {"T2", 78, "'resample': 0", EXTRACTOR, FIELD("resample", "3", "0")},
    {"T2", 65, "do_resize", EXTRACTOR, FIELD("do_resize", "true", "1")},
    {"T2", 78, "'do_normalize': false", EXTRACTOR, FIELD("do_normalize", "true", "false")},
    {"T2", 78, "'do_rescale': false", EXTRACTOR, FIELD("do_rescale", "true", "false")},
};

static const struct row depth_rows[] = {
    {.id = "T3", .fragment = ""},
    EMPTY(DEPTH),
    {"T4", 65, "image_size", DEPTH, FIELD("image_size", "48", "0")},
    {"T4", 65, "image_size", DEPTH, FIELD("image_size", "48", "-48")},
    {"T4", 65, "image_size", DEPTH, FIELD("image_size", "48", "1e9")},
    {"T4", 65, "image_size", DEPTH, FIELD("image_size", "48", "\"48\"")},
    {"T4", 65, "image_size", DEPTH, FIELD("image_size", "48", "[48, 48, 48]")},
    {"T4", 78, "", DEPTH, FIELD("image_size", "48", "4096"), .names = "model.safetensors"},
    {"T4", 65, "patch_size", DEPTH, FIELD("patch_size", "16", "0")},
    {"T4", 65, "hidden_size", DEPTH, FIELD("hidden_size", "16", "0")},
    {"T4", 65, "hidden_size", DEPTH, FIELD("hidden_size", "16", "2147483648")},
    {"T4", 65, "num_hidden_layers", DEPTH, FIELD("num_hidden_layers", "4", "1000000000")},
    {"T4", 78, "num_attention_heads", DEPTH, FIELD("num_attention_heads", "2", "3")},
    {"T4", 65, "expected a value", DEPTH, FIELD("layer_norm_eps", "1e-12", "NaN")},
    {"T4", 65, "layer_norm_eps", DEPTH, FIELD("layer_norm_eps", "1e-12", "-1")},
    {"T4", 65, "neck_hidden_sizes", DEPTH, FIELD("neck_hidden_sizes", "[16", "[0")},
    {"T4", 65, "neck_hidden_sizes", DEPTH, FIELD("neck_hidden_sizes", "[16", "[16, 16")},
    {"T4", 78, "reassemble_factors", DEPTH, FIELD("reassemble_factors", "[1", "[0")},
    {"T4", 78, "reassemble_factors", DEPTH, FIELD("reassemble_factors", "[1", "[1e9")},
    {"T4", 65, "backbone_out_indices", DEPTH, FIELD("backbone_out_indices", "[0, 1, 1, 3", "[0, 1, 1, 4")},
    {"T4", 65, "head_in_index", DEPTH, FIELD("head_in_index", "-1", "4")},
    {"T4", 65, "fusion_hidden_size", DEPTH, FIELD("fusion_hidden_size", "8", "-8")},
    {"T4", 65, "hidden_sizes", DEPTH, FIELD("hidden_sizes", "[16", "[0")},
    {"T4", 65, "depths", DEPTH, FIELD("depths", "[2", "[-2")},
    {"T4", 65, "depths", DEPTH, FIELD("depths", "[2", "[1000000000")},
    {"T4", 65, "num_groups", DEPTH, FIELD("num_groups", "4", "0")},
    {"T4", 78, "channels in 5 groups", DEPTH, FIELD("num_groups", "4", "5")},
    {"T4", 65, "embedding_size", DEPTH, FIELD("embedding_size", "8", "0")},
    {"T4", 65, "is_hybrid", DEPTH, FIELD("is_hybrid", "true", "\"true\"")},
    EMPTY(EXTRACTOR),
    {"T5", 65, "height", EXTRACTOR, FIELD("height", "48", "0")},
    {"T5", 65, "height", EXTRACTOR, FIELD("height", "48", "-48")},
    {"T5", 65, "width", EXTRACTOR, FIELD("width", "48", "1e300")},
    {"T5", 65, "'size'", EXTRACTOR, FIELD("size", "{", "[48], \"x\": {")},
    {"T5", 78, "shortest_edge is not supported", EXTRACTOR, FIELD("height", "48", "null, \"shortest_edge\": 48")},
    {"T5", 65, "expected a value", EXTRACTOR, FIELD("image_mean", "[0.5", "[NaN")},
    {"T5", 65, "image_std", EXTRACTOR, FIELD("image_std", "[0.5", "[0")},
    {"T5", 65, "ensure_multiple_of", EXTRACTOR, FIELD("ensure_multiple_of", "1", "0")},
    {"T5", 65, "keep_aspect_ratio", EXTRACTOR, FIELD("keep_aspect_ratio", "false", "\"no\"")},
    {"T5", 78, "do_pad", EXTRACTOR, FIELD("do_pad", "false", "true")},
};

static void check_rows(const char *name, const struct row *rows, size_t n) {
    cJSON *json = read_fixture(name);
    int n_bad = 0;
    strcpy(good_model, path_of("%s", name));
    must(mkdir(good_model, 0755) == 0, good_model);
    write_checkpoint(good_model, json);
    for (size_t i = 0; i < n; i++) n_bad += !check_row(&rows[i]);
    print_message("%zu inputs, %d answered wrongly\n", n, n_bad);
    assert_int_equal(n_bad, 0);
    cJSON_Delete(json);
}

static void test_checker_rows(void **state) {
    (void)state;
    check_rows("safety-checker", checker_rows, sizeof checker_rows / sizeof *checker_rows);
}

static void test_depth_rows(void **state) {
    (void)state;
    check_rows("depth-to-image", depth_rows, sizeof depth_rows / sizeof *depth_rows);
}

static int begin(void **state) {
    (void)state;
    hostile_begin();
    return 0;
}

static int end(void **state) {
    (void)state;
    remove_tree(root);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_checker_rows), cmocka_unit_test(test_depth_rows)};
    return cmocka_run_group_tests(tests, begin, end);
}
