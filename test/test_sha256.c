/* FIPS 180-4's examples (NIST, "SHA256.pdf"), and every length around the edges of a block, in one piece and in many. */
#include "engine/base/sha256.h"
#include "test/support.h"

static void check(const char *text, size_t times, const char *expected) {
    struct sha256 h;
    char hex[SHA256_HEX];
    sha256_begin(&h);
    for (size_t i = 0; i < times; i++) sha256_add(&h, text, strlen(text));
    sha256_end(&h, hex);
    assert_string_equal(hex, expected);
}

static void test_examples(void **state) {
    (void)state;
    check("", 1, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    check("abc", 1, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    check("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 1,
          "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    check("a", 1000000, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    check("aaaaaaaaaaaaaaaaaaaaaaaaa", 40000, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

static void test_pieces(void **state) {
    (void)state;
    uint8_t data[200];
    char whole[SHA256_HEX], pieces[SHA256_HEX];
    for (size_t i = 0; i < sizeof data; i++) data[i] = (uint8_t)(7 * i);
    for (size_t n = 0; n <= sizeof data; n++) {
        struct sha256 h;
        sha256(data, n, whole);
        sha256_begin(&h);
        for (size_t at = 0, k = 1; at < n; at += k, k = 3 * k % 71) sha256_add(&h, data + at, k < n - at ? k : n - at);
        sha256_end(&h, pieces);
        assert_string_equal(pieces, whole);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_examples), cmocka_unit_test(test_pieces)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
