"""Makes the tokenizer: a byte-level BPE in CLIP's file format whose merges make one token of every word the captions use.

    python make_tokenizer.py DIRECTORY
"""
import json
import sys
from collections import Counter
from pathlib import Path

import regex
from transformers import CLIPTokenizer

import captions

LENGTH = 32
START, END = "<|startoftext|>", "<|endoftext|>"
MORE = """a an the of in on at by with and or for to from under over above below beside next one two three four many small big little large old new
happy sad bright dark light colour color coloured colored paint painting picture drawing sketch style art image portrait scene child night day sun sky
sea water snow sand grass field garden forest flower flowers animal animals toy vehicle building fruit eye eyes tail ear ears wing wings red green blue
very best quality beautiful simple nice funny cute no not without poor bad ugly blurry noisy text frame border background""".split()


def byte_symbols():
    """CLIP's (GPT-2's) printable character for each byte, in the vocabulary's order."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [b for b in range(256) if b not in printable]
    return {b: chr(b) for b in printable} | {b: chr(256 + k) for k, b in enumerate(rest)}


def words():
    """Every word of the captions and how much it counts; CLIP's own pattern splits them."""
    text = [w for table in (captions.SUBJECTS, captions.COLOURS, captions.BACKGROUNDS, captions.PLACES) for forms in table.values() for w in forms]
    text += [captions.plural(w) for forms in captions.SUBJECTS.values() for w in forms]
    text += [w for after, before in captions.STYLES.values() for w in after + before]
    text += list(captions.NUMBERS.values()) + captions.ADJECTIVES + captions.EXTRAS + MORE
    pattern = regex.compile(r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+")
    return Counter(w for line in text for w in pattern.findall(line.lower()))


def train(counts):
    """Merges the commonest pair until every word is one symbol; ties go to the pair that sorts first."""
    symbols = byte_symbols()
    split = {w: [symbols[b] for b in w.encode()] for w in counts}
    split = {w: s[:-1] + [s[-1] + "</w>"] for w, s in split.items()}
    merges = []
    while True:
        pairs = Counter()
        for w, s in split.items():
            for pair in zip(s, s[1:]):
                pairs[pair] += counts[w]
        if not pairs:
            return list(symbols.values()), merges
        best = min(pairs, key=lambda p: (-pairs[p], p))
        merges.append(best)
        for w, s in split.items():
            k = 0
            while k < len(s) - 1:
                if (s[k], s[k + 1]) == best:
                    s[k:k + 2] = ["".join(best)]
                k += 1


def main(directory):
    counts = words()
    symbols, merges = train(counts)
    vocab = [*symbols, *[s + "</w>" for s in symbols], *["".join(m) for m in merges], START, END]
    assert len(set(vocab)) == len(vocab)
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "vocab.json").write_text(json.dumps({t: k for k, t in enumerate(vocab)}, ensure_ascii=False))
    (directory / "merges.txt").write_text("#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in merges))
    special = {"bos_token": START, "eos_token": END, "pad_token": END, "unk_token": END}
    (directory / "special_tokens_map.json").write_text(json.dumps(special, indent=2) + "\n")
    config = {"tokenizer_class": "CLIPTokenizer", "add_prefix_space": False, "do_lower_case": True, "errors": "replace", "model_max_length": LENGTH}
    (directory / "tokenizer_config.json").write_text(json.dumps(config | special, indent=2) + "\n")
    tokenizer = CLIPTokenizer.from_pretrained(directory)
    pieces = {w: tokenizer.tokenize(w) for w in counts}
    broken = {w: p for w, p in pieces.items() if len(p) != 1}
    assert not broken, broken
    print(f"{len(vocab)} tokens, {len(merges)} merges, {len(counts)} words")
    print(tokenizer("A Squirrel in Picasso style, naïve 3").input_ids)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
