/* Bad checkpoints, one row each: the program answers with the right exit code and one line that names the file and the reason, prints
 * nothing else, leaves nothing behind, and takes neither time nor memory for it. Rows of code 0 must be accepted.
 *     test_hostile [ID…]     the program is $DIFFUSE, $BUILD/diffuse or build/release/diffuse */
#include "test/hostile.h"
#include <sys/prctl.h>
#include "engine/base/arena.h"
#include "engine/files/safetensors.h"

#define W "unet/diffusion_pytorch_model.safetensors"
#define VAE_W "vae/diffusion_pytorch_model.safetensors"
#define W_INDEX "unet/diffusion_pytorch_model.safetensors.index.json"
#define UNET "unet/config.json"
#define DEPTHS "\"transformer_layers_per_block\": 1"
#define ADDITION "\"addition_embed_type\": null"
#define VAE "vae/config.json"
#define TEXT "text_encoder/config.json"
#define SCHEDULER "scheduler/scheduler_config.json"
#define INDEX "model_index.json"
#define BYTES(literal) .make = put, .a = literal, .n = sizeof(literal) - 1
#define HEADER(text, bytes) .make = header, .a = text, .n = bytes
#define ENTRY(dtype, shape, offsets) "{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" offsets "}"
#define T(dtype, shape, offsets, bytes) .make = header, .a = "{\"t\":" ENTRY(dtype, shape, offsets) "}", .n = bytes
#define EDIT(from, to) .make = edit, .a = from, .b = to

/* ---- makers of one row ------------------------------------------------------------------------------------------- */

/* The real weight file with a before its header's brace, `extra` entries behind the last tensor, b after the closing brace, and `bytes`
 * more of data. */
static void rebuild(const struct row *r, const char *extra, size_t bytes) {
    size_t n, length = 0;
    char *file = slurp(model_path(r->file), &n);
    for (int i = 7; i >= 0; i--) length = length << 8 | (unsigned char)file[i];
    size_t data = n - 8 - length, inner = length;
    while (file[8 + inner - 1] != '}') inner--;
    char *text = calloc(1, n + bytes + strlen(r->a) + strlen(extra) + strlen(r->b) + 16), *at = text + 8;
    at += sprintf(at, "%s", r->a);
    memcpy(at, file + 8, inner - 1);
    at += inner - 1;
    at += sprintf(at, "%s}%s", extra, r->b);
    for (int i = 0; i < 8; i++) text[i] = (char)((size_t)(at - text - 8) >> 8 * i);
    memcpy(at, file + 8 + length, data);
    write_file(model_path(r->file), text, (size_t)(at - text) + data + bytes);
    free(text);
    free(file);
}

static void spaced(const struct row *r) {
    rebuild(r, "", 0);
}

/* The values of tensor a become b's bytes, n of them over and over; all tensors' if a is NULL. */
static void revalue(const struct row *r) {
    struct arena arena = {0};
    size_t n;
    struct st_file *f = st_open(&arena, model_path(r->file));
    char *file = slurp(model_path(r->file), &n);
    for (int i = 0; i < f->n_tensors; i++) {
        const struct tensor *t = &f->tensors[i].tensor;
        if (r->a && strcmp(t->name, r->a) != 0) continue;
        for (uint64_t j = 0; j < t->bytes; j++) file[f->tensors[i].begin + j] = r->b[j % r->n];
    }
    write_file(model_path(r->file), file, n);
    free(file);
    arena_free(&arena);
}

static size_t data_bytes(const struct row *r) {
    size_t n, length = 0;
    char *file = slurp(model_path(r->file), &n);
    for (int i = 7; i >= 0; i--) length = length << 8 | (unsigned char)file[i];
    free(file);
    return n - 8 - length;
}

static void with_empty_and_scalar(const struct row *r) {
    char extra[512];
    size_t at = data_bytes(r);
    snprintf(extra, sizeof extra, ",\"empty\":" ENTRY("F32", "[0,4]", "[%zu,%zu]") ",\"scalar\":" ENTRY("F32", "[]", "[%zu,%zu]"), at, at,
             at, at + 4);
    rebuild(r, extra, 4);
}

static void with_5000_more(const struct row *r) {
    char *extra = calloc(5000, 128), *p = extra;
    size_t at = data_bytes(r);
    for (size_t i = 0; i < 5000; i++, at++) p += sprintf(p, ",\"ema.%zu\":" ENTRY("U8", "[1]", "[%zu,%zu]"), i, at, at + 1);
    rebuild(r, extra, 5000);
    free(extra);
}

static void million_tensors(const struct row *r) {
    FILE *f = replace_file(model_path(r->file));
    size_t entry = strlen(",\"1234567\":" ENTRY("U8", "[0]", "[0,0]"));
    put_length(f, 1000000 * entry + 1);
    for (int i = 0; i < 1000000; i++) fprintf(f, "%c\"%07d\":" ENTRY("U8", "[0]", "[0,0]"), i ? ',' : '{', i);
    fputc('}', f);
    must(fclose(f) == 0, r->file);
}

/* {"weight_map":{"conv_in.weight":"A"}} */
static void shard_name(const struct row *r) {
    char text[8192];
    int n = snprintf(text, sizeof text, "{\"weight_map\":{\"conv_in.weight\":\"%s\"}}", r->a);
    write_file(model_path(r->file), text, (size_t)n);
}

static void shard_name_long(const struct row *r) {
    char name[5001];
    memset(name, 'a', 5000);
    name[5000] = 0;
    shard_name(&(struct row){.file = r->file, .a = name});
}

static void many_shards(const struct row *r) {
    FILE *f = replace_file(model_path(r->file));
    for (int i = 0; i < 60000; i++) fprintf(f, "%s\"t%d\":\"s%d.safetensors\"", i ? "," : "{\"weight_map\":{", i, i);
    fputs("}}", f);
    must(fclose(f) == 0, r->file);
}

/* Shards one.safetensors with tensors x, y and two.safetensors with y, z; the index is a. */
static void two_shards(const struct row *r) {
    static const char *const names[2][2] = {{"x", "y"}, {"y", "z"}};
    static const char *const files[2] = {"unet/one.safetensors", "unet/two.safetensors"};
    static const float zero[1];
    struct arena a = {0};
    for (int i = 0; i < 2; i++) {
        struct st_writer *w = st_writer_new(&a);
        for (int j = 0; j < 2; j++) st_writer_add(w, names[i][j], DT_F32, 1, (const int64_t[]){1}, zero);
        st_write(w, model_path(files[i]));
    }
    arena_free(&a);
    write_file(model_path(r->file), r->a, strlen(r->a));
}

/* The real weights as a set of one shard called b; a is more of the index's top level; n: the single file stays too. */
static void good_shards(const struct row *r) {
    struct arena a = {0};
    struct st_file *f = st_open(&a, model_path(W));
    char *text = calloc((size_t)f->n_tensors + 1, 512), *p = text;
    p += sprintf(p, "{%s\"weight_map\":{", r->a);
    for (int i = 0; i < f->n_tensors; i++) p += sprintf(p, "%s\"%s\":\"%s\"", i ? "," : "", f->tensors[i].tensor.name, r->b);
    p += sprintf(p, "}}");
    write_file(model_path(W_INDEX), text, (size_t)(p - text));
    must(symlink(path_of("weights"), path_of("model/unet/%s", r->b)) == 0, r->b);
    if (!r->n) remove_tree(model_path(W));
    free(text);
    arena_free(&a);
}

static void fifo(const struct row *r) {
    delete (r);
    must(mkfifo(model_path(r->file), 0644) == 0, r->file);
}

static void directory(const struct row *r) {
    delete (r);
    must(mkdir(model_path(r->file), 0755) == 0, r->file);
}

static void unix_socket(const struct row *r) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    delete (r);
    strcpy(address.sun_path, "s"); /* bound by a short name, then moved: sun_path is short */
    must(chdir(root) == 0, root);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    must(fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0, "socket");
    must(rename("s", model_path(r->file)) == 0, r->file);
    close(fd);
}

static void unreadable(const struct row *r) {
    write_file(model_path(r->file), "{}", 2);
    must(chmod(model_path(r->file), 0) == 0, r->file);
}

static void rename_to(const struct row *r) {
    must(rename(model_path(r->file), model_path(r->a)) == 0, r->file);
}

/* The model is a directory that holds only a file called a; none if NULL. */
static void only_file(const struct row *r) {
    remove_tree(path_of("model"));
    must(mkdir(path_of("model"), 0755) == 0, "model");
    if (r->a) write_file(model_path(r->a), "x", 1);
}

/* A cache in which org/name's main is commit 1111…, the checkpoint; refs/main holds n bytes of a instead, if given. */
static void hub(const struct row *r) {
    static const char commit[] = "1111111111111111111111111111111111111111\n";
    remove_tree(path_of("home"));
    static const char *const dirs[] = {"home",
                                       "home/hub",
                                       "home/hub/models--org--name",
                                       "home/hub/models--org--name/refs",
                                       "home/hub/models--org--name/refs/pr",
                                       "home/hub/models--org--name/refs/refs",
                                       "home/hub/models--org--name/refs/refs/pr",
                                       "home/hub/models--org--name/snapshots"};
    for (size_t i = 0; i < sizeof dirs / sizeof *dirs; i++) must(mkdir(path_of("%s", dirs[i]), 0755) == 0, dirs[i]);
    must(symlink(path_of("model"), path_of("home/hub/models--org--name/snapshots/%.40s", commit)) == 0, "snapshot");
    write_file(path_of("home/hub/models--org--name/refs/pr/1"), commit, 41);
    write_file(path_of("home/hub/models--org--name/refs/refs/pr/1"), commit, 41);
    write_file(path_of("home/hub/models--org--name/refs/main"), r->a ? r->a : commit, r->a ? r->n : 41);
    if (r->b) must(truncate(path_of("home/hub/models--org--name/refs/main"), 10 << 20) == 0, "refs");
}

static void copy_over(const struct row *r) {
    size_t n;
    char *text = slurp(model_path(r->a), &n);
    write_file(model_path(r->file), text, n);
    free(text);
}

/* ---- S: safetensors ---------------------------------------------------------------------------------------------- */

static const struct row safetensors_rows[] = {
    {"I6", 0, "", NULL, .n = 0}, /* the checkpoint as it is, all its files links to others elsewhere */
    {"S1", 65, "the file is empty", W, BYTES("")},
    {"S2", 65, "shorter than the 8 bytes", W, BYTES("\1\0\0\0\0\0\0")},
    {"S3", 65, "the header says 1000 bytes, the file has 2", W, BYTES("\xe8\3\0\0\0\0\0\0{}")},
    {"S4", 65, "the header says 18446744073709551615", W, BYTES("\xff\xff\xff\xff\xff\xff\xff\xff{}")},
    {"S5", 65, "the header says 18446744073709551608", W, BYTES("\xf8\xff\xff\xff\xff\xff\xff\xff{}")},
    {"S6", 65, "empty header", W, BYTES("\0\0\0\0\0\0\0\0")},
    {"S7", 65, "expected at most 100000000", W, .make = sparse, .a = "\1\xe1\xf5\5", .n = 100000100},
    {"S8", 65, "ends too soon", W, HEADER("{\"t\":", 0)},
    {"S8", 65, "byte 13", W, HEADER("{\"t\":", 0)},
    {"S8", 65, "expected a key", W, HEADER("{t:1}", 0)},
    {"S8", 65, "string without end", W, HEADER("{\"t", 0)},
    {"S9", 65, "expected an object", W, HEADER("[]", 0)},
    {"S9", 65, "expected an object", W, HEADER("1", 0)},
    {"S9", 65, "expected an object", W, HEADER("\"x\"", 0)},
    {"S9", 65, "expected an object", W, HEADER("null", 0)},
    {"S10", 65, "not UTF-8", W, HEADER("{\"\xff\":" ENTRY("U8", "[]", "[0,1]") "}", 1)},
    {"S10", 65, "not UTF-8", W, HEADER("{\"\xc0\xaf\":" ENTRY("U8", "[]", "[0,1]") "}", 1)},
    {"S10", 65, "not UTF-8", W, HEADER("{\"\xed\xa0\x80\":" ENTRY("U8", "[]", "[0,1]") "}", 1)},
    {"S11", 65, "surrogate", W, HEADER("{\"\\ud800\":" ENTRY("U8", "[]", "[0,1]") "}", 1)},
    {"S11", 65, "surrogate", W, HEADER("{\"\\ud800\\u0041\":" ENTRY("U8", "[]", "[0,1]") "}", 1)},
    {"S11", 65, "surrogate", W, HEADER("{\"\\udc00\\ud800\":" ENTRY("U8", "[]", "[0,1]") "}", 1)},
    {"S11", 65, "bad \\u escape", W, HEADER("{\"\\u12g4\":" ENTRY("U8", "[]", "[0,1]") "}", 1)},
    {"S12", 65, "byte order mark", W, HEADER("\xef\xbb\xbf{}", 0)},
    {"S13", 0, "", W, .make = spaced, .a = " \t\r\n ", .b = ""},
    {"S14", 0, "", W, .make = spaced, .a = "", .b = "   \n"},
    {"S15", 65, "something follows the end", W, BYTES("\4\0\0\0\0\0\0\0{}\0\0")},
    {"S16", 65, "expected an object", W, .make = repeat_header, .a = "{\"t\":", .b = "[", .n = 100000},
    {"S16", 65, "expected a string", W, .make = repeat_header, .a = "{\"t\":{\"dtype\":", .b = "[", .n = 100000},
    {"S17", 65, "expected an object", W, .make = repeat_header, .a = "{\"t\":[0", .b = ",0", .n = 49000000},
    {"S17", 65, "more than 8 axes", W, .make = repeat_header, .a = "{\"t\":{\"shape\":[0", .b = ",0", .n = 49000000},
    {"S18", 65, "too many tensors", W, .make = million_tensors},
    {"S19", 65, "'t': stands twice", W, HEADER("{\"t\":" ENTRY("U8", "[1]", "[0,1]") ",\"t\":" ENTRY("U8", "[1]", "[1,2]") "}", 2)},
    {"S19", 65, "stands twice", W, HEADER("{\"t\":" ENTRY("U8", "[1]", "[0,1]") ",\"\\u0074\":" ENTRY("U8", "[1]", "[0,1]") "}", 1)},
    {"S20", 65, "field 'shape' stands twice", W, HEADER("{\"t\":{\"shape\":[1],\"shape\":[1]}}", 1)},
    {"S20", 65, "field 'dtype' stands twice", W, HEADER("{\"t\":{\"dtype\":\"U8\",\"dtype\":\"U8\"}}", 1)},
    {"S21", 65, "__metadata__ stands twice", W, HEADER("{\"__metadata__\":{},\"__metadata__\":{}}", 0)},
    {"S22", 65, "unknown field 'x'", W, HEADER("{\"t\":{\"x\":1}}", 0)},
    {"S22", 65, "unknown field 'Dtype'", W, HEADER("{\"t\":{\"Dtype\":\"U8\"}}", 0)},
    {"S23", 65, "'dtype' is missing", W, HEADER("{\"t\":{\"shape\":[1],\"data_offsets\":[0,1]}}", 1)},
    {"S23", 65, "'shape' is missing", W, HEADER("{\"t\":{\"dtype\":\"U8\",\"data_offsets\":[0,1]}}", 1)},
    {"S23", 65, "'data_offsets' is missing", W, HEADER("{\"t\":{\"dtype\":\"U8\",\"shape\":[1]}}", 1)},
    {"S24", 65, "unknown dtype 'F7'", W, T("F7", "[1]", "[0,4]", 4)},
    {"S24", 65, "unknown dtype 'f32'", W, T("f32", "[1]", "[0,4]", 4)},
    {"S24", 65, "unknown dtype ' F32'", W, T(" F32", "[1]", "[0,4]", 4)},
    {"S24", 65, "expected a string", W, HEADER("{\"t\":{\"dtype\":1}}", 0)},
    {"S25", 78, "unsupported dtype F4", W, T("F4", "[2]", "[0,1]", 1)},
    {"S25", 78, "unsupported dtype F6_E2M3", W, T("F6_E2M3", "[4]", "[0,3]", 3)},
    {"S25", 78, "unsupported dtype F8_E8M0", W, T("F8_E8M0", "[1]", "[0,1]", 1)},
    {"S25", 78, "unsupported dtype C64", W, T("C64", "[1]", "[0,8]", 8)},
    {"S25", 78, "tensor 'conv_in.bias': unsupported dtype I32", W,
     EDIT("\"conv_in.bias\":{\"dtype\":\"F32\"", "\"conv_in.bias\":{\"dtype\":\"I32\"")},
    {"S26", 65, "whole bytes", W, T("F4", "[3]", "[0,2]", 2)},
    {"S27", 65, "overflows", W, T("F32", "[4294967296,4294967296]", "[0,4]", 4)},
    {"S27", 65, "overflows", W, T("U8", "[4611686018427387904,4,4]", "[0,4]", 4)},
    {"S28", 65, "overflows", W, T("F64", "[4611686018427387904]", "[0,4]", 4)},
    {"S28", 65, "overflows", W, T("F32", "[4611686018427387905]", "[0,4]", 4)},
    {"S29", 65, "overflows", W, T("F32", "[0,9223372036854775808]", "[0,0]", 0)},
    {"S29", 65, "overflows", W, T("F32", "[0,4611686018427387904,16]", "[0,0]", 0)},
    {"S30", 65, "unsigned integers", W, T("F32", "[-4]", "[0,16]", 16)},
    {"S30", 65, "unsigned integers", W, T("F32", "[4.0]", "[0,16]", 16)},
    {"S30", 65, "unsigned integers", W, T("F32", "[1.6e1]", "[0,64]", 64)},
    {"S30", 65, "unsigned integers", W, T("F32", "[\"4\"]", "[0,16]", 16)},
    {"S30", 65, "unsigned integers", W, T("F32", "[null]", "[0,16]", 16)},
    {"S30", 65, "unsigned integers", W, T("F32", "[[4]]", "[0,16]", 16)},
    {"S30", 65, "unsigned integers", W, T("F32", "[18446744073709551616]", "[0,16]", 16)},
    {"S30", 65, "unsigned integers", W, T("F32", "4", "[0,16]", 16)},
    {"S30", 65, "expected ',' or ']'", W, T("F32", "[04]", "[0,16]", 16)},
    {"S31", 65, "two unsigned integers", W, T("U8", "[1]", "[0]", 1)},
    {"S31", 65, "two unsigned integers", W, T("U8", "[1]", "[0,1,2]", 1)},
    {"S31", 65, "two unsigned integers", W, T("U8", "[1]", "[-1,0]", 1)},
    {"S31", 65, "two unsigned integers", W, T("U8", "[1]", "[0,1.0]", 1)},
    {"S31", 65, "two unsigned integers", W, T("U8", "[1]", "[0,99999999999999999999]", 1)},
    {"S31", 65, "two unsigned integers", W, T("U8", "[1]", "{}", 1)},
    {"S32", 65, "before the begin", W, T("F32", "[4]", "[16,0]", 16)},
    {"S33", 65, "up to byte 16 expected, the file has 15", W, T("F32", "[4]", "[0,16]", 15)},
    {"S33", 65, "cut short", W, T("F32", "[4]", "[1099511627776,1099511627792]", 16)},
    {"S34", 65, "16 bytes expected from its shape, data_offsets give 12", W, T("F32", "[4]", "[0,12]", 12)},
    {"S34", 65, "0 bytes expected from its shape, data_offsets give 4", W, T("F32", "[0]", "[0,4]", 4)},
    {"S35", 65, "'a' and 'b' overlap", W, HEADER("{\"a\":" ENTRY("F32", "[4]", "[0,16]") ",\"b\":" ENTRY("F32", "[4]", "[0,16]") "}", 16)},
    {"S35", 65, "'a' and 'b' overlap", W, HEADER("{\"b\":" ENTRY("U8", "[3]", "[1,4]") ",\"a\":" ENTRY("U8", "[2]", "[0,2]") "}", 4)},
    {"S36", 65, "4 bytes before tensor 'b' belong to no tensor", W,
     HEADER("{\"a\":" ENTRY("F32", "[1]", "[0,4]") ",\"b\":" ENTRY("F32", "[1]", "[8,12]") "}", 12)},
    {"S36", 65, "1 bytes before tensor 't' belong to no tensor", W, T("U8", "[1]", "[1,2]", 2)},
    {"S37", 65, "3 bytes follow the last tensor", W, T("U8", "[1]", "[0,1]", 4)},
    {"S37", 65, "8 bytes follow the last tensor", W, HEADER("{}", 8)},
    {"S38", 0, "", W, .make = with_empty_and_scalar, .a = "", .b = ""},
    {"S39", 65, "expected printable text", W, HEADER("{\"\":" ENTRY("U8", "[1]", "[0,1]") "}", 1)},
    {"S39", 65, "string too long", W, .make = repeat_header, .a = "{\"", .b = "n", .n = 70000},
    {"S39", 65, "\\u0000", W, HEADER("{\"a\\u0000b\":" ENTRY("U8", "[1]", "[0,1]") "}", 1)},
    {"S39", 65, "expected printable text", W, HEADER("{\"a\\nb\":" ENTRY("U8", "[1]", "[0,1]") "}", 1)},
    {"S39", 65, "expected printable text", W, HEADER("{\"\\u001b[2J\":" ENTRY("U8", "[1]", "[0,1]") "}", 1)},
    {"S39", 65, "control character", W, HEADER("{\"\x1b[2J\":" ENTRY("U8", "[1]", "[0,1]") "}", 1)},
    {"S39", 65, "\\xe2\\x80\\xae", W, HEADER("{\"a\xe2\x80\xae\":{\"x\":1}}", 1)},
    {"S40", 65, "__metadata__: expected an object", W, HEADER("{\"__metadata__\":1}", 0)},
    {"S40", 65, "__metadata__: expected strings", W, HEADER("{\"__metadata__\":{\"a\":1}}", 0)},
    {"S40", 65, "__metadata__: expected strings", W, HEADER("{\"__metadata__\":{\"a\":{\"b\":\"c\"}}}", 0)},
    {"S41", 65, "more than 8 axes", W, .make = repeat_header, .a = "{\"t\":{\"shape\":[1", .b = ",1", .n = 1000},
    {"S42", 0, "", W, .make = with_5000_more, .a = "", .b = ""},
    {"S43", 0, "", W, .make = spaced, .a = "", .b = " "},
    {"S43", 0, "", W, .make = spaced, .a = "", .b = "  "},
    {"S44", 78, "1 tensor missing: conv_in.weight", W, EDIT("\"conv_in.weight\"", "\"conv_in.weighT\"")},
    {"S44", 78, "442 tensors missing", W, .names = "", .make = header, .a = "{}", .n = 0},
    {"S45", 78, "tensor 'conv_in.weight': expected [8,4,3,3], found [4,8,3,3]", W, EDIT("[8,4,3,3]", "[4,8,3,3]")},
    {"S46", 0, "", W, .make = with_5000_more, .a = "", .b = "\n"},
    {"S47", 0, "", W, .make = revalue, .a = "conv_out.bias", .b = "\0\0\xc0\x7f", .n = 4},
    {"S47", 70, "not finite", W, .names = "", .make = revalue, .a = "conv_out.bias", .b = "\0\0\xc0\x7f", .n = 4, .generate = true},
    {"S47", 70, "not finite", VAE_W, .names = "", .make = revalue, .a = "decoder.conv_out.bias", .b = "\0\0\x80\xff", .n = 4,
     .generate = true},
    {"S48", 0, "", W, .make = revalue, .b = "\0", .n = 1, .generate = true},
    {"S48", 0, "", W, .make = revalue, .b = "\1\0\0\0", .n = 4, .generate = true}, /* every value the smallest above zero */
    {"S49", 65, "a git-LFS pointer", W, BYTES("version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 2\n")},
    {"S50", 65, "an HTML page", W, BYTES("<!DOCTYPE html><html><body>login</body></html>")},
    {"S50", 65, "an HTML page", W, BYTES("\n<HTML lang=en><body>login</body></html>")},
    {"S50", 65, "a pickle", W, BYTES("\x80\2}q\0X\5\0\0\0storeq\1cos\nsystem\n")},
    {"S50", 65, "a zip archive", W, BYTES("PK\3\4\0\0\0\0\0\0\0\0archive/data.pkl")},
    {"S50", 65, "a GGUF file", W, BYTES("GGUF\3\0\0\0\0\0\0\0\0\0\0\0")},
    {"S50", 65, "a gzip file", W, BYTES("\x1f\x8b\10\0\0\0\0\0\0\3\0\0\0\0")},
};

/* ---- I: index, directory, files ---------------------------------------------------------------------------------- */

#define SHARD(name) .make = shard_name, .a = name
#define PLAIN "expected a plain file name ending in .safetensors"

static const struct row file_rows[] = {
    {"I1", 65, PLAIN, W_INDEX, SHARD("../x.safetensors")},
    {"I1", 65, PLAIN, W_INDEX, SHARD("a/../../x.safetensors")},
    {"I1", 65, PLAIN, W_INDEX, SHARD("/etc/passwd")},
    {"I1", 65, PLAIN, W_INDEX, SHARD("a/b.safetensors")},
    {"I1", 65, PLAIN, W_INDEX, SHARD("a\\\\b.safetensors")},
    {"I1", 65, PLAIN, W_INDEX, SHARD("\\u002e\\u002e\\u002fx.safetensors")},
    {"I1", 65, PLAIN, W_INDEX, SHARD("..")},
    {"I1", 65, PLAIN, W_INDEX, SHARD(".")},
    {"I1", 65, PLAIN, W_INDEX, SHARD("")},
    {"I1", 65, PLAIN, W_INDEX, SHARD("\\u001b[2J.safetensors")},
    {"I1", 65, "\\u0000", W_INDEX, SHARD("x\\u0000.safetensors")},
    {"I1", 65, "string too long", W_INDEX, .make = shard_name_long},
    {"I2", 65, PLAIN, W_INDEX, SHARD("pytorch_model.bin")},
    {"I3", 66, "2 of 2 shards missing: a.safetensors, b.safetensors", W_INDEX, .names = "",
     BYTES("{\"weight_map\":{\"x\":\"a.safetensors\",\"y\":\"b.safetensors\"}}")},
    {"I3", 66, "missing", W, .make = delete},
    {"I4", 66, "a link whose target is missing", W, .make = link_to, .a = "nowhere"},
    {"I4", 66, "a link whose target is missing", UNET, .make = link_to, .a = "nowhere"},
    {"I4", 66, "a link whose target is missing", INDEX, .make = link_to, .a = "nowhere"},
    {"I5", 66, "Too many levels", W, .make = link_to, .a = "diffusion_pytorch_model.safetensors"},
    {"I5", 66, "Too many levels", UNET, .make = link_to, .a = "config.json"},
    {"I7", 66, "not a regular file but a directory", W, .make = directory},
    {"I7", 66, "not a regular file but a FIFO", W, .make = fifo},
    {"I7", 66, "not a regular file but a device", W, .make = link_to, .a = "/dev/zero"},
    {"I7", 66, "not a regular file", W, .make = unix_socket},
    {"I7", 66, "not a regular file but a directory", UNET, .make = directory},
    {"I7", 66, "not a regular file but a FIFO", INDEX, .make = fifo},
    {"I7", 66, "not a regular file but a device", SCHEDULER, .make = link_to, .a = "/dev/zero"},
    {"I8", 66, "Permission denied", W, .make = unreadable},
    {"I8", 66, "Permission denied", VAE, .make = unreadable},
    {"I9", 65, "tensor 'z' is not in one.safetensors", W_INDEX, .make = two_shards,
     .a = "{\"weight_map\":{\"x\":\"one.safetensors\",\"y\":\"two.safetensors\",\"z\":\"one.safetensors\"}}"},
    {"I9", 65, "tensor 'w' is not in two.safetensors", W_INDEX, .make = two_shards,
     .a = "{\"weight_map\":{\"x\":\"one.safetensors\",\"w\":\"two.safetensors\"}}"},
    {"I9", 65, "tensor 'y' is in two shards", W_INDEX, .make = two_shards,
     .a = "{\"weight_map\":{\"x\":\"one.safetensors\",\"y\":\"one.safetensors\",\"z\":\"two.safetensors\"}}"},
    {"I9", 65, "tensor 'x' stands twice", W_INDEX, .make = two_shards,
     .a = "{\"weight_map\":{\"x\":\"one.safetensors\",\"x\":\"one.safetensors\"}}"},
    {"I10", 65, "weight_map is missing", W_INDEX, BYTES("{\"metadata\":{\"total_size\":1}}")},
    {"I10", 65, "weight_map: expected an object", W_INDEX, BYTES("{\"weight_map\":[\"a.safetensors\"]}")},
    {"I10", 65, "weight_map: expected file names", W_INDEX, BYTES("{\"weight_map\":{\"x\":1}}")},
    {"I10", 65, "weight_map is empty", W_INDEX, BYTES("{\"weight_map\":{}}")},
    {"I10", 65, "weight_map stands twice", W_INDEX, BYTES("{\"weight_map\":{},\"weight_map\":{}}")},
    {"I10", 65, "expected an object", W_INDEX, BYTES("[]")},
    {"I10", 65, "line 2 column 3", W_INDEX, BYTES("{\n  weight_map}")},
    {"I10", 65, "expected at most 16777216", W_INDEX, .make = sparse, .a = "{", .n = (16 << 20) + 1},
    {"I11", 0, "", W_INDEX, .make = good_shards, .a = "\"metadata\":{\"total_size\":-1},", .b = "m-00001-of-00001.safetensors"},
    {"I11", 0, "", W_INDEX, .make = good_shards, .a = "\"metadata\":{\"total_size\":\"x\"},", .b = "m-00001-of-00001.safetensors"},
    {"I12", 0, "", W_INDEX, .make = good_shards, .a = "", .b = "m-00001-of-00001.safetensors", .n = 1},
    {"I13", 65, PLAIN, W_INDEX, SHARD("diffusion_pytorch_model.safetensors.index.json")},
    {"I13", 65, PLAIN, W_INDEX, SHARD(".a.safetensors")},
    {"I13", 65, "too many shards", W_INDEX, .make = many_shards},
    {"I14", 66, "No such file", NULL, .model = "./nowhere"},
    {"I14", 66, "found a file", NULL, .model = "../model/model_index.json"},
    {"I14", 66, "no model_index.json", NULL, .make = only_file},
    {"I14", 66, "no model_index.json", NULL, .make = only_file, .a = "model.safetensors"},
    {"I14", 65, "the file is empty", "v1-5.ckpt", .make = put, .a = "", .model = "../model/v1-5.ckpt"},
    {"I14", 78, "only pickle weights (v1-5.ckpt)", NULL, .make = only_file, .a = "v1-5.ckpt"},
    {"I14", 78, "only pickle weights (diffusion_pytorch_model.bin)", W, .names = "", .make = rename_to,
     .a = "unet/diffusion_pytorch_model.bin"},
    {"I14", 66, "missing", W, .names = "", .make = rename_to, .a = "unet/diffusion_pytorch_model.fp16.safetensors"},
    {"I19", 0, "", W_INDEX, .make = good_shards, .a = "", .b = "e\xcc\x81-\xc3\xa9.safetensors"},
    {"I21", 2, "not the name of a repository", NULL, .model = "../../x"},
    {"I21", 2, "not the name of a repository", NULL, .model = "a/b/c"},
    {"I21", 2, "not the name of a repository", NULL, .model = "--x"},
    {"I21", 2, "not the name of a repository", NULL, .model = "a%00b/c"},
    {"I21", 2, "not the name of a repository", NULL, .model = ".hidden/x"},
    {"I21", 2, "not a revision", NULL, .model = "org/name@../../x"},
    {"I21", 2, "not a revision", NULL, .model = "org/name@"},
    {"I21", 66, "not in the Hugging Face cache", NULL, .model = "org/absent"},
    {"I22", 65, "40 hex digits", NULL, .make = hub, .a = "../../..", .n = 8, .model = "org/name", .env = {"HF_HOME=../home"}},
    {"I22", 65, "40 hex digits", NULL, .make = hub, .a = "\0\1\2\3", .n = 4, .model = "org/name", .env = {"HF_HOME=../home"}},
    {"I22", 65, "expected at most 4096", NULL, .make = hub, .a = "1", .n = 1, .b = "", .model = "org/name", .env = {"HF_HOME=../home"}},
    {"I23", 0, "", NULL, .make = hub, .model = "org/name", .env = {"HF_HOME=../home"}},
    {"I23", 0, "", NULL, .make = hub, .model = "org/name@refs/pr/1", .env = {"HF_HOME=../home"}},
    {"I23", 0, "", NULL, .make = hub, .model = "org/name@pr/1", .env = {"HF_HOME=../home"}},
    {"I23", 0, "", NULL, .make = hub, .model = "org/name@1111111111111111111111111111111111111111", .env = {"HF_HUB_CACHE=../home/hub"}},
    {"I23", 0, "", NULL, .make = hub, .model = "org/name", .env = {"PLACE=../home", "HF_HOME=${PLACE}"}},
    {"I23", 0, "", NULL, .make = hub, .model = "org/name", .env = {"PLACE=home", "HF_HUB_CACHE=~/$PLACE/hub", "HF_HOME=/nowhere"}},
    {"I23", 0, "", NULL, .make = hub, .model = "org/name", .env = {"HUGGINGFACE_HUB_CACHE=../home/hub"}},
    {"I23", 66, "not in the Hugging Face cache", NULL, .make = hub, .model = "org/name", .env = {"HF_HOME=~nobody-here/x"}},
    {"I23", 66, "not in the Hugging Face cache", NULL, .make = hub, .model = "org/name", .env = {"HOME="}},
};

/* ---- C: configurations ------------------------------------------------------------------------------------------- */

#define TIMESTEPS "\"num_train_timesteps\": 1000"
#define CHANNELS "\"block_out_channels\": [\n    8,"

static const struct row config_rows[] = {
    {"C1", 65, "line 1 column 1: expected a value", VAE, BYTES("hello")},
    {"C1", 65, "line 2 column 1: something follows the end", VAE, BYTES("{}\nx")},
    {"C1", 65, "line 1 column 2: expected a key", VAE, BYTES("{// comment\n}")},
    {"C1", 65, "line 1 column 8: expected a key", VAE, BYTES("{\"a\":1,}")},
    {"C1", 65, "line 1 column 1: ends too soon", VAE, BYTES("")},
    {"C1", 65, "expected an object", VAE, BYTES("[]")},
    {"C1", 65, "byte order mark", INDEX, BYTES("\xef\xbb\xbf{}")},
    {"C2", 65, "expected at most 1048576", UNET, .make = sparse, .a = "{", .n = 2147483648},
    {"C2", 65, "expected at most 1048576", UNET, .make = repeat, .a = "{}", .b = " ", .n = (1 << 20) - 1},
    {"C3", 65, "nested too deeply", UNET, .make = repeat, .a = "{\"a\":", .b = "[", .n = 100000},
    {"C3", 65, "nested too deeply", INDEX, .make = repeat, .a = "", .b = "{\"a\":", .n = 100000},
    {"C4", 65, "key 'a' stands twice", UNET, BYTES("{\"a\":1,\"b\":2,\"a\":1}")},
    {"C4", 65, "key 'a' stands twice", UNET, BYTES("{\"b\":[{\"a\":1,\"\\u0061\":1}]}")},
    {"C5", 65, "\\u0000", UNET, BYTES("{\"_class_name\\u0000x\":1}")},
    {"C5", 65, "not UTF-8", UNET, BYTES("{\"a\":\"\xff\"}")},
    {"C6", 78, "StableDiffusionPipelin", INDEX, .names = "", EDIT("\"StableDiffusionPipeline\"", "\"StableDiffusionPipelin\"")},
    {"C6", 78, "'UNet3D'", INDEX, .names = "", EDIT("UNet2DConditionModel", "UNet3D")},
    {"C6", 78, "'VQModel'", INDEX, .names = "", EDIT("AutoencoderKL", "VQModel")},
    {"C6", 78, "'T5EncoderModel'", INDEX, .names = "", EDIT("CLIPTextModel", "T5EncoderModel")},
    {"C6", 78, "'T5Tokenizer'", INDEX, .names = "", EDIT("CLIPTokenizer", "T5Tokenizer")},
    {"C6", 78, "'vae': AutoencoderKL is a class of 'diffusers', not of 'transformers'", INDEX, .names = "",
     EDIT("\"diffusers\",\n    \"AutoencoderKL\"", "\"transformers\",\n    \"AutoencoderKL\"")},
    {"C6", 78, "CLIPTextModel is a class of 'transformers', not of 'stable_diffusion'", INDEX, .names = "",
     EDIT("\"transformers\",\n    \"CLIPTextModel\"", "\"stable_diffusion\",\n    \"CLIPTextModel\"")},
    {"C6", 78, "'scheduler': PNDMScheduler is a class of 'diffusers'", INDEX, .names = "",
     EDIT("\"diffusers\",\n    \"PNDMScheduler\"", "\"transformers\",\n    \"PNDMScheduler\"")},
    {"C6", 0, "", INDEX, EDIT("\"diffusers\",\n    \"AutoencoderKL\"", "\"diffusers.models\",\n    \"AutoencoderKL\"")},
    {"C6", 78, "module 'diffusers_models'", INDEX, .names = "",
     EDIT("\"diffusers\",\n    \"AutoencoderKL\"", "\"diffusers_models\",\n    \"AutoencoderKL\"")},
    {"C6", 0, "", UNET, EDIT("UNet2DConditionModel", "UNet3D")}, /* the index decides, in diffusers too */
    {"C6", 0, "", VAE, EDIT("AutoencoderKL", "VQModel")},
    {"C6", 0, "", TEXT, EDIT("CLIPTextModel", "T5EncoderModel")}, /* 'architectures' */
    {"C6", 78, "PNDMScheduleX", INDEX, .names = "", EDIT("PNDMScheduler", "PNDMScheduleX")},
    {"C7", 78, "%n%s", INDEX, .names = "", EDIT("\"StableDiffusionPipeline\"", "\"%n%s%n%s\\u001b[31m\"")},
    {"C7", 78, "%n%s", INDEX, .names = "", EDIT("UNet2DConditionModel", "%n%s%n%s\\u001b[31m")},
    {"C8", 78, "_class_name", INDEX, EDIT("\"_class_name\"", "\"_klass_name\"")},
    {"C8", 78, "unet", INDEX, .names = "", EDIT("\"unet\"", "\"uNet\"")},
    {"C9", 65, "layers_per_block", UNET, EDIT("\"layers_per_block\": 1", "\"layers_per_block\": 4.5")},
    {"C9", 65, "layers_per_block", UNET, EDIT("\"layers_per_block\": 1", "\"layers_per_block\": \"1\"")},
    {"C9", 65, "layers_per_block", UNET, EDIT("\"layers_per_block\": 1", "\"layers_per_block\": true")},
    {"C9", 78, "resnets.1.norm1.weight': expected", UNET, .names = "diffusion_pytorch_model.safetensors", .make = edit,
     .a = "\"layers_per_block\": 1", .b = "\"layers_per_block\": null"},
    {"C9", 65, "layers_per_block", UNET, EDIT("\"layers_per_block\": 1", "\"layers_per_block\": -1")},
    {"C9", 65, "layers_per_block", UNET, EDIT("\"layers_per_block\": 1", "\"layers_per_block\": 0")},
    {"C9", 65, "number out of range", UNET, EDIT("\"layers_per_block\": 1", "\"layers_per_block\": 1e400")},
    {"C9", 65, "layers_per_block", UNET, EDIT("\"layers_per_block\": 1", "\"layers_per_block\": 9007199254740993")},
    {"C9", 65, "expected ',' or '}'", UNET, EDIT("\"layers_per_block\": 1", "\"layers_per_block\": 0x10")},
    {"C9", 65, "expected ',' or '}'", UNET, EDIT("\"layers_per_block\": 1", "\"layers_per_block\": 007")},
    {"C9", 65, "num_hidden_layers", TEXT, EDIT("\"num_hidden_layers\": 3", "\"num_hidden_layers\": \"3\"")},
    {"C9", 65, "num_train_timesteps", SCHEDULER, EDIT(TIMESTEPS, "\"num_train_timesteps\": 1.5")},
    {"C10", 65, "block_out_channels", UNET, EDIT(CHANNELS, "\"block_out_channels\": [0,")},
    {"C10", 65, "block_out_channels", UNET, EDIT(CHANNELS, "\"block_out_channels\": [2147483648,")},
    {"C10", 65, "too many values", UNET, .make = repeat, .a = "{\"block_out_channels\":[8", .b = ",8", .n = 500000},
    {"C10", 78, "norm_num_groups", UNET, EDIT(CHANNELS, "\"block_out_channels\": [9,")},
    {"C10", 65, "block_out_channels", VAE, EDIT(CHANNELS, "\"block_out_channels\": [0,")},
    {"C10", 78, "norm_num_groups", VAE, EDIT(CHANNELS, "\"block_out_channels\": [9,")},
    {"C11", 65, "norm_eps", UNET, EDIT("1e-05", "0")},
    {"C11", 65, "norm_eps", UNET, EDIT("1e-05", "-1e-05")},
    {"C11", 65, "expected a value", UNET, EDIT("1e-05", "NaN")},
    {"C11", 65, "norm_eps", UNET, EDIT("1e-05", "1e30")},
    {"C11", 65, "layer_norm_eps", TEXT, EDIT("1e-05", "0")},
    {"C12", 65, "attention_head_dim", UNET, EDIT("\"attention_head_dim\": 4", "\"attention_head_dim\": 0")},
    {"C12", 78, "attention_head_dim", UNET, EDIT("\"attention_head_dim\": 4", "\"attention_head_dim\": 5")},
    {"C12", 78, "num_attention_heads", TEXT, EDIT("\"num_attention_heads\": 4", "\"num_attention_heads\": 5")},
    {"C13", 65, "layers_per_block", UNET, EDIT("\"layers_per_block\": 1", "\"layers_per_block\": 1000000000")},
    {"C13", 65, "layers_per_block", VAE, EDIT("\"layers_per_block\": 1", "\"layers_per_block\": 1000000000")},
    {"C13", 65, "num_hidden_layers", TEXT, EDIT("\"num_hidden_layers\": 3", "\"num_hidden_layers\": 1000000000")},
    {"C14", 65, "sample_size", UNET, EDIT("\"sample_size\": 16", "\"sample_size\": 0")},
    {"C14", 65, "sample_size", UNET, EDIT("\"sample_size\": 16", "\"sample_size\": -8")},
    {"C14", 65, "sample_size", UNET, EDIT("\"sample_size\": 16", "\"sample_size\": 10000000")},
    {"C15", 65, "scaling_factor", VAE, EDIT("0.18215", "0")},
    {"C15", 65, "expected a value", VAE, EDIT("0.18215", "NaN")},
    {"C15", 65, "scaling_factor", VAE, EDIT("0.18215", "Infinity")},
    {"C15", 65, "scaling_factor", VAE, EDIT("0.18215", "1e-300")},
    {"C16", 65, "beta_start", SCHEDULER, EDIT("0.00085", "0.5")},
    {"C16", 65, "beta_start", SCHEDULER, EDIT("0.00085", "-0.00085")},
    {"C16", 65, "beta_end", SCHEDULER, EDIT("0.012", "1.0")},
    {"C16", 65, "num_train_timesteps", SCHEDULER, EDIT(TIMESTEPS, "\"num_train_timesteps\": 0")},
    {"C16", 65, "num_train_timesteps", SCHEDULER, EDIT(TIMESTEPS, "\"num_train_timesteps\": 1000000000")},
    {"C17", 78, "prediction_type", SCHEDULER, EDIT(TIMESTEPS, TIMESTEPS ", \"prediction_type\": \"flow\"")},
    {"C17", 78, "timestep_spacing", SCHEDULER, EDIT(TIMESTEPS, TIMESTEPS ", \"timestep_spacing\": \"even\"")},
    {"C17", 78, "beta_schedule", SCHEDULER, EDIT("scaled_linear", "steep")},
    {"C18", 65, "trained_betas", SCHEDULER, EDIT("\"trained_betas\": null", "\"trained_betas\": [0.1, 0.2]")},
    {"C18", 65, "expected a value", SCHEDULER, EDIT("\"trained_betas\": null", "\"trained_betas\": [NaN]")},
    {"C18", 65, "trained_betas", SCHEDULER, EDIT("\"trained_betas\": null", "\"trained_betas\": [\"a\"]")},
    {"C19", 65, "in_channels", UNET, EDIT("\"in_channels\": 4", "\"in_channels\": [4]")},
    {"C19", 65, "block_out_channels", UNET, EDIT("\"block_out_channels\": [", "\"block_out_channels\": 8, \"x\": [")},
    {"C19", 65, "beta_schedule", SCHEDULER, EDIT("\"scaled_linear\"", "[\"scaled_linear\"]")},
    {"C19", 65, "expected [LIBRARY, CLASS]", INDEX, EDIT("\"diffusers\",\n    \"UNet2DConditionModel\"", "\"diffusers\"")},
    {"C19", 65, "expected lists of 1 to 33 items, found 0", UNET, EDIT(DEPTHS, "\"transformer_layers_per_block\": [[], 1, 1, 1]")},
    {"C19", 65, "transformer_layers_per_block", UNET, EDIT(DEPTHS, "\"transformer_layers_per_block\": [[1.5], 1, 1, 1]")},
    {"C19", 65, "transformer_layers_per_block", UNET, EDIT(DEPTHS, "\"transformer_layers_per_block\": [1, 1, 1, 1000000000]")},
    {"C19", 78, "a list of 2 for 1 layers", UNET, EDIT(DEPTHS, "\"transformer_layers_per_block\": [[1, 1], 1, 1, 1]")},
    {"C19", 78, "'reverse_transformer_layers_per_block' must be there too", UNET,
     EDIT(DEPTHS, "\"transformer_layers_per_block\": [[1], 1, 1, 1]")},
    {"C19", 78, "3 'transformer_layers_per_block' for 4", UNET, EDIT(DEPTHS, "\"transformer_layers_per_block\": [1, 1, 1]")},
    {"C19", 78, "addition_embed_type", UNET, EDIT(ADDITION, "\"addition_embed_type\": \"text_image\"")},
    {"C19", 78, "an even 'addition_time_embed_dim'", UNET, EDIT(ADDITION, "\"addition_embed_type\": \"text_time\"")},
    {"C19", 65, "latents_std", VAE, EDIT("\"latents_std\": null", "\"latents_std\": [1, \"1\"]")},
    {"C20", 78, "48", UNET, .names = "", EDIT("\"cross_attention_dim\": 32", "\"cross_attention_dim\": 48")},
    {"C20", 78, "32 and 16", UNET, EDIT("\"cross_attention_dim\": 32", "\"cross_attention_dim\": [32, 32, 16, 32]")},
    {"C20", 0, "", UNET, EDIT("\"cross_attention_dim\": 32", "\"cross_attention_dim\": [32, 32, 32, 32]")},
    {"C21", 78, "expected [1001,32], found [1000,32]", TEXT, .names = "model.safetensors", .make = edit, .a = "\"vocab_size\": 1000",
     .b = "\"vocab_size\": 1001"},
    {"C22", 78, "custom code", INDEX, EDIT("\"diffusers\",\n    \"UNet2DConditionModel\"", "\"my_mod\",\n    \"X\"")},
    {"C22", 78, "custom pipeline", INDEX, EDIT("\"StableDiffusionPipeline\"", "[\"my_mod\", \"X\"]")},
    {"C22", 78, "auto_map", UNET, EDIT("\"act_fn\"", "\"auto_map\": {\"AutoModel\": \"x.Y\"}, \"act_fn\"")},
    {"C22", 65, "not the name of a component", INDEX, EDIT("\"vae\"", "\"../vae\"")},
    {"C23", 78, "quantization_config", UNET, EDIT("\"act_fn\"", "\"quantization_config\": {\"bits\": 4}, \"act_fn\"")},
    {"C23", 78, "quantization_config", TEXT, EDIT("\"vocab_size\"", "\"quantization_config\": {}, \"vocab_size\"")},
    {"C24", 78, "", UNET, .names = "", .make = copy_over, .a = "tokenizer/tokenizer_config.json"},
    {"C24", 78, "DownEncoderBlock2D", UNET, .make = copy_over, .a = VAE},
    {"C24", 78, "expected [49408,512]", TEXT, .names = "text_encoder/model.safetensors", .make = copy_over, .a = UNET},
};

/* ---- rows that need more than the table -------------------------------------------------------------------------- */

/* Names of 255 bytes and paths of more than 4096. */
static bool check_lengths(void) {
    static char name[256], path[5000];
    memset(name, 'n', 243);
    strcpy(name + 243, ".safetensors");
    for (int i = 0; i < 4900; i += 7) memcpy(path + i, "./././/", 7);
    const struct row rows[] = {
        {"I20", 0, "", W_INDEX, .make = good_shards, .a = "", .b = name},
        {"I20", 66, "File name too long", NULL, .model = path},
    };
    bool good = check_row(&rows[0]);
    return check_row(&rows[1]) && good;
}

static int n_ids;
static char **ids;

static bool wanted(const char *id) {
    for (int i = 0; i < n_ids; i++)
        if (strcmp(ids[i], id) == 0) return true;
    return n_ids == 0;
}

static void check_rows(const struct row *rows, size_t n) {
    int n_checked = 0, n_bad = 0;
    for (size_t i = 0; i < n; i++) {
        if (!wanted(rows[i].id)) continue;
        n_checked++;
        if (!check_row(&rows[i])) n_bad++;
    }
    print_message("%d inputs, %d answered wrongly\n", n_checked, n_bad);
    assert_int_equal(n_bad, 0);
}

#define CHECK_ROWS(rows) check_rows(rows, sizeof rows / sizeof *rows)

static void test_safetensors_rows(void **state) {
    (void)state, CHECK_ROWS(safetensors_rows);
}
static void test_config_rows(void **state) {
    (void)state, CHECK_ROWS(config_rows);
}

static void test_file_rows(void **state) {
    (void)state;
    CHECK_ROWS(file_rows);
    if (wanted("I20")) assert_true(check_lengths());
}

static int begin(void **state) {
    (void)state;
    prctl(PR_CAPBSET_DROP, 1 /* CAP_DAC_OVERRIDE */); /* so that permissions hold for children even where root runs the tests */
    prctl(PR_CAPBSET_DROP, 2 /* CAP_DAC_READ_SEARCH */);
    hostile_begin();
    char weights[2 * PATH_MAX];
    snprintf(weights, sizeof weights, "%s/%s", good_model, W);
    must(symlink(weights, path_of("weights")) == 0, "weights");
    return 0;
}

static int end(void **state) {
    (void)state;
    remove_tree(root);
    return 0;
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_safetensors_rows),
        cmocka_unit_test(test_file_rows),
        cmocka_unit_test(test_config_rows),
    };
    n_ids = argc - 1;
    ids = argv + 1;
    return cmocka_run_group_tests(tests, begin, end);
}
