/* Glyphs of 5 x 9 pixels, of which the last two are below the line: a byte a row, the left pixel in bit 4. */
#include <string.h>
#include <utf8proc.h>
#include "engine/base/text.h"
#include "engine/images/sheet.h"

enum { FIRST = 0x20, LAST = 0x7e };

static const uint8_t glyphs[LAST - FIRST + 1][FONT_H] = {
    [' ' - FIRST] = {0},
    ['!' - FIRST] = {4, 4, 4, 4, 4, 0, 4},
    ['"' - FIRST] = {10, 10, 10},
    ['#' - FIRST] = {10, 10, 31, 10, 31, 10, 10},
    ['$' - FIRST] = {4, 15, 20, 14, 5, 30, 4},
    ['%' - FIRST] = {24, 25, 2, 4, 8, 19, 3},
    ['&' - FIRST] = {8, 20, 20, 8, 21, 18, 13},
    ['\'' - FIRST] = {4, 4, 4},
    ['(' - FIRST] = {2, 4, 8, 8, 8, 4, 2},
    [')' - FIRST] = {8, 4, 2, 2, 2, 4, 8},
    ['*' - FIRST] = {0, 4, 21, 14, 21, 4},
    ['+' - FIRST] = {0, 4, 4, 31, 4, 4},
    [',' - FIRST] = {0, 0, 0, 0, 0, 4, 4, 8},
    ['-' - FIRST] = {0, 0, 0, 31},
    ['.' - FIRST] = {0, 0, 0, 0, 0, 0, 4},
    ['/' - FIRST] = {1, 1, 2, 4, 8, 16, 16},
    ['0' - FIRST] = {14, 17, 19, 21, 25, 17, 14},
    ['1' - FIRST] = {4, 12, 4, 4, 4, 4, 14},
    ['2' - FIRST] = {14, 17, 1, 2, 4, 8, 31},
    ['3' - FIRST] = {31, 2, 4, 2, 1, 17, 14},
    ['4' - FIRST] = {2, 6, 10, 18, 31, 2, 2},
    ['5' - FIRST] = {31, 16, 30, 1, 1, 17, 14},
    ['6' - FIRST] = {6, 8, 16, 30, 17, 17, 14},
    ['7' - FIRST] = {31, 1, 2, 4, 4, 8, 8},
    ['8' - FIRST] = {14, 17, 17, 14, 17, 17, 14},
    ['9' - FIRST] = {14, 17, 17, 15, 1, 2, 12},
    [':' - FIRST] = {0, 0, 4, 0, 0, 0, 4},
    [';' - FIRST] = {0, 0, 4, 0, 0, 4, 4, 8},
    ['<' - FIRST] = {1, 2, 4, 8, 4, 2, 1},
    ['=' - FIRST] = {0, 0, 31, 0, 31},
    ['>' - FIRST] = {16, 8, 4, 2, 4, 8, 16},
    ['?' - FIRST] = {14, 17, 1, 2, 4, 0, 4},
    ['@' - FIRST] = {14, 17, 23, 21, 23, 16, 14},
    ['A' - FIRST] = {4, 10, 17, 17, 31, 17, 17},
    ['B' - FIRST] = {30, 17, 17, 30, 17, 17, 30},
    ['C' - FIRST] = {14, 17, 16, 16, 16, 17, 14},
    ['D' - FIRST] = {28, 18, 17, 17, 17, 18, 28},
    ['E' - FIRST] = {31, 16, 16, 30, 16, 16, 31},
    ['F' - FIRST] = {31, 16, 16, 30, 16, 16, 16},
    ['G' - FIRST] = {14, 17, 16, 19, 17, 17, 15},
    ['H' - FIRST] = {17, 17, 17, 31, 17, 17, 17},
    ['I' - FIRST] = {14, 4, 4, 4, 4, 4, 14},
    ['J' - FIRST] = {1, 1, 1, 1, 1, 17, 14},
    ['K' - FIRST] = {17, 18, 20, 24, 20, 18, 17},
    ['L' - FIRST] = {16, 16, 16, 16, 16, 16, 31},
    ['M' - FIRST] = {17, 27, 21, 21, 17, 17, 17},
    ['N' - FIRST] = {17, 25, 25, 21, 19, 19, 17},
    ['O' - FIRST] = {14, 17, 17, 17, 17, 17, 14},
    ['P' - FIRST] = {30, 17, 17, 30, 16, 16, 16},
    ['Q' - FIRST] = {14, 17, 17, 17, 21, 18, 13},
    ['R' - FIRST] = {30, 17, 17, 30, 20, 18, 17},
    ['S' - FIRST] = {15, 16, 16, 14, 1, 1, 30},
    ['T' - FIRST] = {31, 4, 4, 4, 4, 4, 4},
    ['U' - FIRST] = {17, 17, 17, 17, 17, 17, 14},
    ['V' - FIRST] = {17, 17, 17, 17, 10, 10, 4},
    ['W' - FIRST] = {17, 17, 17, 21, 21, 27, 17},
    ['X' - FIRST] = {17, 17, 10, 4, 10, 17, 17},
    ['Y' - FIRST] = {17, 17, 10, 4, 4, 4, 4},
    ['Z' - FIRST] = {31, 1, 2, 4, 8, 16, 31},
    ['[' - FIRST] = {14, 8, 8, 8, 8, 8, 14},
    ['\\' - FIRST] = {16, 16, 8, 4, 2, 1, 1},
    [']' - FIRST] = {14, 2, 2, 2, 2, 2, 14},
    ['^' - FIRST] = {4, 10, 17},
    ['_' - FIRST] = {0, 0, 0, 0, 0, 0, 0, 31},
    ['`' - FIRST] = {8, 4},
    ['a' - FIRST] = {0, 0, 14, 1, 15, 17, 15},
    ['b' - FIRST] = {16, 16, 30, 17, 17, 17, 30},
    ['c' - FIRST] = {0, 0, 15, 16, 16, 16, 15},
    ['d' - FIRST] = {1, 1, 15, 17, 17, 17, 15},
    ['e' - FIRST] = {0, 0, 14, 17, 31, 16, 15},
    ['f' - FIRST] = {6, 8, 8, 28, 8, 8, 8},
    ['g' - FIRST] = {0, 0, 15, 17, 17, 17, 15, 1, 14},
    ['h' - FIRST] = {16, 16, 30, 17, 17, 17, 17},
    ['i' - FIRST] = {4, 0, 12, 4, 4, 4, 14},
    ['j' - FIRST] = {2, 0, 6, 2, 2, 2, 2, 18, 12},
    ['k' - FIRST] = {16, 16, 18, 20, 24, 20, 18},
    ['l' - FIRST] = {12, 4, 4, 4, 4, 4, 14},
    ['m' - FIRST] = {0, 0, 26, 21, 21, 21, 21},
    ['n' - FIRST] = {0, 0, 30, 17, 17, 17, 17},
    ['o' - FIRST] = {0, 0, 14, 17, 17, 17, 14},
    ['p' - FIRST] = {0, 0, 30, 17, 17, 17, 30, 16, 16},
    ['q' - FIRST] = {0, 0, 15, 17, 17, 17, 15, 1, 1},
    ['r' - FIRST] = {0, 0, 22, 25, 16, 16, 16},
    ['s' - FIRST] = {0, 0, 15, 16, 14, 1, 30},
    ['t' - FIRST] = {8, 8, 28, 8, 8, 8, 6},
    ['u' - FIRST] = {0, 0, 17, 17, 17, 17, 15},
    ['v' - FIRST] = {0, 0, 17, 17, 17, 10, 4},
    ['w' - FIRST] = {0, 0, 17, 17, 21, 21, 10},
    ['x' - FIRST] = {0, 0, 17, 10, 4, 10, 17},
    ['y' - FIRST] = {0, 0, 17, 17, 17, 17, 15, 1, 14},
    ['z' - FIRST] = {0, 0, 31, 2, 4, 8, 31},
    ['{' - FIRST] = {3, 4, 4, 8, 4, 4, 3},
    ['|' - FIRST] = {4, 4, 4, 4, 4, 4, 4, 4},
    ['}' - FIRST] = {24, 4, 4, 2, 4, 4, 24},
    ['~' - FIRST] = {0, 0, 8, 21, 2},
};

/* For what has no glyph. */
static const uint8_t box[FONT_H] = {31, 17, 17, 17, 17, 17, 31};

/* The glyph of a code point, of the letter under its marks where it has none; NULL: it takes no room, a mark of the one before. */
static const uint8_t *glyph_of(uint32_t cp) {
    utf8proc_int32_t parts[32];
    utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)cp);
    if (category == UTF8PROC_CATEGORY_MN || category == UTF8PROC_CATEGORY_ME || category == UTF8PROC_CATEGORY_CF) return NULL;
    if (cp >= FIRST && cp <= LAST) return glyphs[cp - FIRST];
    utf8proc_ssize_t n = utf8proc_decompose_char((utf8proc_int32_t)cp, parts, 32, UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT, NULL);
    return n > 0 && n <= 32 && parts[0] >= FIRST && parts[0] <= LAST ? glyphs[parts[0] - FIRST] : box;
}

int font_text(const char *text, int max, const uint8_t *out[]) {
    int n = 0;
    uint32_t cp;
    bool valid = utf8_valid(text, strlen(text), NULL);
    while (*text) {
        cp = (unsigned char)*text;
        text += valid ? utf8_decode(text, &cp) : 1;
        const uint8_t *glyph = valid || cp < 0x80 ? glyph_of(cp) : box;
        if (!glyph) continue;
        if (n == max) { /* too long: dots in the last places */
            for (int i = max > 3 ? max - 3 : 0; i < max; i++) out[i] = glyphs['.' - FIRST];
            break;
        }
        out[n++] = glyph;
    }
    return n;
}
