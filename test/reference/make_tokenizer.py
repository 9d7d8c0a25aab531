"""Writes test/fixtures/tokenizer: CLIP's real vocabulary, small variants of the tokenizer's files, and what transformers' CLIPTokenizer makes
of the prompts with each; and unicode.json, the tokenizers library's view of every code point."""

import gzip
import json
import pathlib
import shutil
import unicodedata

import open_clip
from tokenizers import Regex, normalizers, pre_tokenizers
from transformers import CLIPTokenizer
from transformers.utils import logging

from tiny_vocabulary import BEGIN, END, byte_symbols, special_token, write_json, write_tokenizer
from tokenizer_prompts import all_prompts

FIXTURES = pathlib.Path(__file__).resolve().parent.parent / "fixtures"
OUT = FIXTURES / "tokenizer"
LENGTH = 77


def write_clip_vocabulary(folder):
    """vocab.json and merges.txt as openai/clip-vit-large-patch14 has them: the first 48 894 merges of the file CLIP was released with."""
    packed = pathlib.Path(open_clip.__file__).parent / "bpe_simple_vocab_16e6.txt.gz"
    merges = gzip.decompress(packed.read_bytes()).decode().split("\n")[1 : 49152 - 256 - 2 + 1]
    symbols = byte_symbols()
    symbols += [s + "</w>" for s in symbols] + [m.replace(" ", "") for m in merges] + [BEGIN, END]
    vocabulary = {s: i for i, s in enumerate(symbols)}
    assert len(vocabulary) == len(symbols) == 49408
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False, separators=(",", ":")))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "".join(m + "\n" for m in merges))


def write_clip_configs(folder, pad):
    """As Stable Diffusion 1.x and 2.x ship them: in 2.x only special_tokens_map.json names the pad token "!"."""
    folder.mkdir(parents=True, exist_ok=True)
    names = {"bos_token": BEGIN, "eos_token": END, "unk_token": END}
    write_json(folder / "special_tokens_map.json", {**{k: special_token(v) for k, v in names.items()}, "pad_token": pad})
    config = {k: special_token(v, "AddedToken") for k, v in names.items()}
    write_json(folder / "tokenizer_config.json", {**config, "model_max_length": LENGTH, "pad_token": END, "tokenizer_class": "CLIPTokenizer"})


def flags(content, normalized, special):
    return {"content": content, "lstrip": False, "normalized": normalized, "rstrip": False, "single_word": False, "special": special}


def write_decoder_variant(folder):
    """tokenizer_config.json with added_tokens_decoder, as transformers 4.34 and later save it; special_tokens_map.json is then not read."""
    n = len(write_tokenizer(folder, "!"))
    added = [flags("!", False, True), flags("<sks>", False, False), flags("<Big One>", True, False), flags("<caf\u00e9>", True, False)]
    added += [flags("<long>", True, True), flags("<longer>", True, True)]
    tokens = {0: added[0], n - 2: flags(BEGIN, True, True), n - 1: flags(END, False, True), **{n + i: t for i, t in enumerate(added[1:])}}
    config = {"bos_token": BEGIN, "eos_token": END, "unk_token": END, "pad_token": "!", "model_max_length": int(1e30)}
    write_json(folder / "tokenizer_config.json", {"added_tokens_decoder": {str(k): t for k, t in tokens.items()}, **config})
    write_json(folder / "special_tokens_map.json", {"pad_token": "?"})


def write_added_variant(folder):
    """added_tokens.json and additional_special_tokens, as textual inversion left them; no tokenizer_config.json."""
    n = len(write_tokenizer(folder, END))
    write_json(folder / "added_tokens.json", {"<sks>": n, "<Big One>": n + 1, "<caf\u00e9>": n + 2})
    names = {"bos_token": BEGIN, "eos_token": flags(END, False, True), "pad_token": END, "unk_token": special_token(END)}
    write_json(folder / "special_tokens_map.json", {**names, "additional_special_tokens": ["<sks>"]})
    (folder / "tokenizer_config.json").unlink()


def write_json_variant(folder, source):
    """What transformers 5 saves: tokenizer.json alone."""
    CLIPTokenizer.from_pretrained(source).save_pretrained(folder)


def write_old_json_variant(folder):
    """tokenizer.json as openai/clip-vit-large-patch14 has it: merges as strings, no special tokens in the pattern. It wins over vocab.json and
    merges.txt, which are another vocabulary here."""
    write_tokenizer(folder, END)
    vocabulary = json.loads((folder / "vocab.json").read_text())
    merges = (folder / "merges.txt").read_text().splitlines()[1:]
    write_tokenizer(folder, END, n_merges=100)
    pattern = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
    replace = {"type": "Replace", "pattern": {"Regex": r"\s+"}, "content": " "}
    split = {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Removed", "invert": True}
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
    roberta = {"sep": [END, vocabulary[END]], "cls": [BEGIN, vocabulary[BEGIN]], "trim_offsets": False, "add_prefix_space": False}
    model = {"dropout": None, "unk_token": END, "continuing_subword_prefix": "", "end_of_word_suffix": "</w>", "fuse_unk": False}
    tokenizer = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": vocabulary[BEGIN], **flags(BEGIN, True, True)}, {"id": vocabulary[END], **flags(END, False, True)}],
        "normalizer": {"type": "Sequence", "normalizers": [{"type": "NFC"}, replace, {"type": "Lowercase"}]},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, level]},
        "post_processor": {"type": "RobertaProcessing", **roberta},
        "decoder": {**level, "type": "ByteLevel"},
        "model": {"type": "BPE", **model, "vocab": vocabulary, "merges": merges},
    }
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer, separators=(",", ":")))


def byte_offsets(text):
    at = [0]
    for c in text:
        at.append(at[-1] + len(c.encode()))
    return at


def encode(tokenizer, text, with_offsets):
    """nfc: offsets are exact; else the library gives a composed character the first one's range, we the range of all that went into it."""
    whole = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    padded = tokenizer(text, padding="max_length", max_length=LENGTH, truncation=True)["input_ids"]
    assert len(padded) == LENGTH
    while len(padded) > 1 and padded[-1] == padded[-2] == tokenizer.pad_token_id:
        padded.pop()
    case = {"text": text, "ids": whole["input_ids"], "padded": padded}
    if with_offsets:
        at = byte_offsets(text)
        case["begin"] = [at[b] for b, _ in whole["offset_mapping"]]
        case["end"] = [at[e] for _, e in whole["offset_mapping"]]
        case["nfc"] = unicodedata.is_normalized("NFC", text)
    return case


def write_cases(name, folder, prompts, with_offsets=False):
    tokenizer = CLIPTokenizer.from_pretrained(folder)
    names = {"vocab_size": len(tokenizer), "eos": tokenizer.eos_token_id, "pad": tokenizer.pad_token_id}
    cases = [json.dumps(encode(tokenizer, p, with_offsets), separators=(",", ":")) for p in prompts]
    head = json.dumps(names, separators=(",", ":"))[:-1]
    (OUT / f"{name}.json").write_text(f'{head},"cases":[\n' + ",\n".join(cases) + "\n]}\n")


def ranges(values):
    out = []
    for v in sorted(values):
        if out and out[-1][1] == v - 1:
            out[-1][1] = v
        else:
            out.append([v, v])
    return out


CODE_POINTS = [c for c in range(1, 0x110000) if not 0xD800 <= c < 0xE000]
BLOCK = 4096
# Each code point alone; between marks that sort before and after every other; after a Hangul syllable without a final.
FORMS = [lambda c: c, lambda c: "x\u0345" + c + "\u0334\u0301", lambda c: "\u1100\u1161" + c]


def fnv1a(data):
    h = 0xCBF29CE484222325
    for byte in data:
        h = (h ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return h


def write_unicode():
    """classes: the ranges of \\p{L}, \\p{N}, \\s; hashes: FNV-1a of the normalized blocks of code points, joined by '|'."""
    normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()])

    def members(pattern):
        split = pre_tokenizers.Split(Regex(pattern), behavior="removed", invert=True)
        return [ord(s) for i in range(0, len(CODE_POINTS), BLOCK) for s, _ in split.pre_tokenize_str("".join(map(chr, CODE_POINTS[i : i + BLOCK])))]

    def block_hash(block, form):
        return f"{fnv1a(normalizer.normalize_str('|'.join(form(chr(c)) for c in block)).encode()):016x}"

    classes = {"letters": ranges(members(r"\p{L}")), "numbers": ranges(members(r"\p{N}")), "spaces": ranges(members(r"\s"))}
    blocks = [[c for c in CODE_POINTS if c // BLOCK == b] for b in range(0x110000 // BLOCK)]
    hashes = [[block_hash(b, form) if b else "" for form in FORMS] for b in blocks]
    text = json.dumps({**classes, "hashes": hashes}, separators=(",", ":"))
    (OUT / "unicode.json").write_text(text.replace('],"', '],\n"') + "\n")


def main():
    logging.set_verbosity_error()
    for name in ("clip", "sd2", "decoder", "added", "json", "json_old"):
        shutil.rmtree(OUT / name, ignore_errors=True)
    write_clip_configs(OUT / "clip", END)
    write_clip_configs(OUT / "sd2", "!")
    write_clip_vocabulary(OUT / "clip")
    write_decoder_variant(OUT / "decoder")
    write_added_variant(OUT / "added")
    write_json_variant(OUT / "json", OUT / "decoder")
    write_old_json_variant(OUT / "json_old")
    prompts = all_prompts()
    write_cases("clip", OUT / "clip", prompts, with_offsets=True)
    with_vocabulary = [shutil.copy(OUT / "clip" / f, OUT / "sd2" / f) for f in ("vocab.json", "merges.txt")]
    write_cases("sd2", OUT / "sd2", prompts)
    for path in with_vocabulary:
        pathlib.Path(path).unlink()
    for name in ("tiny-sd1", "tiny-sd2"):
        write_cases(name, FIXTURES / name / "tokenizer", prompts)
    for name in ("decoder", "added", "json", "json_old"):
        write_cases(name, OUT / name, [p for p in prompts if "<" in p or "!" in p])
    write_unicode()
    print(len(prompts), "prompts")


if __name__ == "__main__":
    main()
