"""Prompts that exercise every rule of CLIP's tokenizer; make_tokenizer.py records what transformers makes of them."""

import random

BEGIN, END = "<|startoftext|>", "<|endoftext|>"
CAT = "a photo of a cat "

PROMPTS = [
    # plain prompts, blanks, case
    "", "a", " ", "   ", "a photo of an astronaut riding a horse on mars", "a squirrel in Picasso style", "A PHOTO of An Astronaut",
    "  leading and trailing  ", "many    blanks   inside", "tab\tand\nnewline\r\nand\r", "\n\n", "hello, world!", "hello world!!! wow!!",
    "! !! !!!", "!", "!!!!!!!!", "a!b!c", "!a", "a!", "wow!? no?!", "UPPER lower MiXeD", "x", "zzzzzzzz",
    "a portrait of an old man with a white beard, studio lighting, 85mm, f/1.8, bokeh",
    "blurry, ugly, low quality, bad anatomy, deformed, jpeg artifacts, watermark",
    "best quality, masterpiece, (detailed eyes:1.3), [[ugly]], {best}, <lora:foo:0.8>",
    "oil painting of a lighthouse in a storm, dramatic light, highly detailed, trending on artstation",
    # contractions and apostrophes
    "it's they're we've I'm you'll he'd don't can't", "IT'S THEY'RE WE'VE I'M YOU'LL HE'D", "rock 'n' roll '90s", "'s", "'S't're", "''s",
    "x'sy", "o'reilly o'driscoll o'malley", "'tis the season", "fish 'n chips", "dogs' toys", "'", "''", "' s", "'lll", "'vee", "'red 'rd",
    "don\u2019t it\u2019s \u2018quoted\u2019", "`it`s", "\u02bcs modifier", "\uff07s fullwidth",
    # numbers
    "1234567890 3.14 1,000", "2024-11-21 23:09:40", "v1.5 sd2.1 sdxl", "4k 8K 1080p", "10% of $100 is 10", "1/2 3\u20444", "0x1F 1e-5",
    "\u00bd \u00b2 \u2167 \u2460 \u3007", "\u0661\u0662\u0663 \u096a\u096b \u0be7\u0be8 \uff11\uff12", "a1b2c3", "1st 2nd 3rd",
    # punctuation
    "...\u2026\u2014\u2013\u201cquotes\u201d\u2018single\u2019", "C++ C# .NET $100 50% #tag @user a&b", "https://example.com/a?b=c&d=e#f",
    "snake_case camelCase kebab-case", "back\\slash \\n \\\\", "a,b;c:d.e", "(((nested)))", "~`@#$%^&*()_+-={}[]|\\:\";'<>?,./", "a--b---c",
    "-rf --help", "%s%n {seed} $(x) `ls`", "\u00a1hola! \u00bfqu\u00e9?", "\u3010\u7b2c\u4e00\u3011\u300c\u4e8c\u300d\u3001\u3002",
    "\u00ab\u00bb\u2039\u203a", "\u00a9\u00ae\u2122 \u00b0C \u00b5m", "=> -> <- != == ;) :-D", "_", "__init__", "a_b", "*", "**bold**",
    # accents, composed and not
    "caf\u00e9 na\u00efve", "cafe\u0301 nai\u0308ve", "\u00c5NGSTR\u00d6M", "A\u030aNGSTRO\u0308M", "\u212bngstr\u00f6m \u2126 \u212a",
    "\u0130stanbul", "I\u0307stanbul", "stra\u00dfe STRA\u1e9eE", "\u039f\u0394\u039f\u03a3 \u03c3\u03c2", "\u01c5 \u0149 \u1e9e \u017f \u212a",
    "\ufb01ne \ufb03 \ufb06", "e\u0301\u0302\u0303", "a\u0323\u0301 a\u0301\u0323", "q\u0323\u0307 q\u0307\u0323", "Z\u0351\u036b\u0343\u036a\u0302\u036b\u033d\u034f\u0334\u0319\u0324",
    "\u0301", "\u0301a", " \u0301", "a \u0308 b", "o\u031b\u0301 \u1edb", "\u1e69 s\u0323\u0307 s\u0307\u0323", "\u0344 \u0340\u0341",
    "\u0958 \u0929 \u0931", "\u0f73 \u0f75 \u0f81", "\ufb2a \ufb1d", "\u2adc \u2224", "Vi\u1ec7t Nam Vie\u0323\u0302t", "na\u00efve fac\u0327ade",
    "\u0645\u064e\u0651\u062f", "x\u0345\u0301", "x\u0898\u0301 y\u08ca\u0323", "\U00011935\U00011930 \U00011938", "\u0c95\u0cc6\u0cd5",
    # scripts
    "\u65e5\u672c\u8a9e\u306e\u30c6\u30b9\u30c8", "\u732b cat \u732bcat", "\u4e2d\u6587\u63d0\u793a\u8bcd", "\ud55c\uad6d\uc5b4 \uace0\uc591\uc774",
    "\u1112\u1161\u11ab\u1100\u116e\u11a8", "\u1100\u1161\u11a7", "\u1100\u1161\u11c3", "\uac00\u11a8", "\uac01\u11a8", "\u1161\u11a8",
    "\u30ab\u3099\u30d1\u309a", "\uff76\uff9e \uff21\uff22", "\u041a\u041e\u0428\u041a\u0410 \u0438\u0306 \u0451", "\u05d7\u05ea\u05d5\u05dc \u05e9\u05c1\u05b8\u05dc\u05d5\u05b9\u05dd",
    "\u0642\u0637\u0629 \u0644\u0637\u064a\u0641\u0629", "\u092c\u093f\u0932\u094d\u0932\u0940 \u0915\u0940", "\u0bae\u0bbf\u0baf\u0bbe\u0bb5\u0bcd", "\u0e41\u0e21\u0e27\u0e19\u0e49\u0e33",
    "\u10d9\u10d0\u10e2\u10d0 \u10a0\u10a1 \u1c90", "\u0531\u0532 \u0561\u0587", "\u13a0 \uab70 \u13f8", "\u1e900 \U0001e900 \U0001e922", "\U00010400\U00010428",
    "\u1200\u1208", "\u17a2\u17c1", "\u1000\u102d\u102f \u1026", "\u0b95\u0bca \u0bca", "\u0dda \u0dd9\u0dca", "\u2c00 \u2c30 \ua64a",
    "\u1c89 \u1c8a \ua7cb \ua7da\ua7dc \U00010d50\U00010d65", "\ua7ce \ua7d2 \ua7d4 \U00016ea0\U00016eb8", "\U0002ebf0\U0002ee5d \U00013460",
    "\U00010d40 \U000116d0 \U0001ccf0", "\U00020000 \U0002f800 \uf900",
    # emoji
    "\U0001f431 cat \U0001f680\U0001f680", "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466", "\U0001f44d\U0001f3fd ok \U0001f44b\U0001f3ff",
    "\U0001f1e9\U0001f1ea\U0001f1eb\U0001f1f7", "1\ufe0f\u20e3 #\ufe0f\u20e3", "\u2764\ufe0f \u2764", "\U0001f3f4\U000e0067\U000e0062\U000e007f",
    "\U0001fae8\U0001fac6 \U0001fadf", "cat\U0001f431dog",
    # blanks and controls
    "no\u00a0break", "em\u2003space \u2009thin", "line\u2028sep para\u2029sep", "a\x0bb\x0cc\x85d", "zero\u200bwidth", "soft\u00adhyphen", "\ufeffbom",
    "a\ufffdb", "\x01\x02\x1b[31mred\x1b[0m", "a\x7fb", "a\x1cb\x1dc\x1ed\x1fe", "\u180emongolian", "\u3000wide\u3000", "\u1680ogham", "\u2060\u2064x",
    "\u202ertl\u202c \u200fx\u200e", "a\x80b\x9fc", "\ue000\uf8ff", "\U0010ffff \U0010fffe", "\ufdd0", "\U000e0001x", "\u00a0", "\x85", "\u2028",
    # special tokens in the text
    END, BEGIN, f"a {END} b", f"a {BEGIN} b {END} c", f"{END}{END}", f"a{END}b", "<|ENDOFTEXT|>", "<|EndOfText|> <|STARTOFTEXT|>",
    "<|endoftext", "endoftext|>", "<|endoftext |>", "< |endoftext|>", f"!{END}!", f"!!<|ENDOFTEXT|>!!", f"..{END}..", "<|endof\u0301text|>", "<|END\u212aTEXT|>",
    "<|endoftext|>>", "<<|endoftext|>", "<|endoftext|><|", "<|startoftext|><|endoftext|><|startoftext|>", "<|pad|>", "<|endoftext|>'s", "<|\u0130|>",
    f"  {END}  ", "<|endoftext|>\u0301", "\u0301<|endoftext|>", "e<|endoftext|>\u0301", "!\u0301", "\uff01 \u01c3 \u203c", "<|end!oftext|>",
    # added tokens of the variants
    "<sks> a <sks>cat<sks>", "<SKS>", "a photo of <Big One>", "a photo of <big  one>, <BIG\nONE>", "<Big One><sks><Big", "x<sksy", "<sks><sks>",
    "<big one>\u0301", "\u00e9<sks>\u0301", "<caf\u00e9> <cafe\u0301> <CAF\u00c9>", "<long> <longer> <longest", "  <sks>  ",
    # long ones
    "a" * 40, "a" * 300, "ab" * 200, "pneumonoultramicroscopicsilicovolcanoconiosis", "supercalifragilisticexpialidocious floccinaucinihilipilification",
    "masterpiece, " * 60, CAT * 30, " ".join(["cat"] * 74), " ".join(["cat"] * 75), " ".join(["cat"] * 76), "1" * 75, "1" * 76, "!" * 80,
    "\u732b" * 40, "\U0001f431" * 50, "e\u0301" * 100, CAT * 12 + "\u65e5\u672c\u8a9e " * 8, (END + " ") * 80, "dog " * 74 + "\U0001f680",
    "dog " * 73 + "\U0001f680\U0001f680", "x" + "\u0323\u0301" * 60, "mississippi " * 40, "antidisestablishmentarianism " * 12, "Q" * 500,
]

SCRIPTS = [
    range(0x20, 0x7F), range(0x21, 0x7F), range(0xA0, 0x180), range(0x180, 0x250), range(0x300, 0x370), range(0x370, 0x400), range(0x400, 0x530),
    range(0x531, 0x590), range(0x591, 0x5F5), range(0x600, 0x700), range(0x860, 0x900), range(0x900, 0x980), range(0x980, 0xE00), range(0xE00, 0x1000),
    range(0x1100, 0x1200), range(0x1AB0, 0x1B40), range(0x1C80, 0x1D00), range(0x1DC0, 0x1E00), range(0x1E00, 0x2000), range(0x2000, 0x2070),
    range(0x2100, 0x2190), range(0x3000, 0x3100), range(0x4E00, 0x4E40), range(0xA640, 0xA800), range(0xAC00, 0xAC40), range(0xFB00, 0xFB50),
    range(0xFE00, 0xFF70), range(0x10400, 0x10450), range(0x10D00, 0x10E00), range(0x11000, 0x11200), range(0x11930, 0x11960), range(0x1D150, 0x1D1C0),
    range(0x1F300, 0x1F700), range(0x1, 0x20),
]
WORDS = [END, BEGIN, "<|ENDOFTEXT|>", "<|", "|>", "'s", "'LL", "'re", "'", "!", "!!", "cat", "A Dog", "don't", "1920", "  ", "\u2019s", "<sks>", "\u0130", "\u03a3"]


def random_prompts(n, seed=20):
    rng = random.Random(seed)

    def part():
        kind = rng.random()
        if kind < 0.3:
            return rng.choice(WORDS)
        script = rng.choice(SCRIPTS)
        text = "".join(chr(rng.choice(script)) for _ in range(rng.randint(1, 6)))
        marks = "".join(chr(rng.randrange(0x300, 0x370)) for _ in range(rng.randint(1, 4)))
        return text + marks if kind < 0.45 else text

    return ["".join(part() for _ in range(rng.randint(1, 16))) for _ in range(n)]


def all_prompts():
    prompts = list(dict.fromkeys(PROMPTS + random_prompts(120)))
    assert not any("\0" in p for p in prompts)
    return prompts
