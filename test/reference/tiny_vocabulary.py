"""A small byte-level BPE vocabulary in CLIP's file format, learned from the sentences below."""

import collections
import json
import pathlib
import re

TEXT = """
a photo of an astronaut riding a horse on mars. a photograph of a red fox in the snow. a painting of a squirrel eating a burger.
a squirrel in picasso style. an oil painting of a lighthouse in a storm, dramatic light, highly detailed. a watercolor of a village
by the river in autumn. a portrait of an old man with a white beard, studio lighting. a portrait of a young woman with red hair and
blue eyes, sharp focus. a black cat sleeping on a yellow chair. a dog running on the beach at sunset. the mountains above the clouds
at dawn. the castle on the hill under a full moon. a city street at night in the rain with neon lights. a bowl of fruit on a wooden
table. a cup of coffee and a book beside the window. a field of sunflowers under a blue sky. a ship in a bottle. a steam train
crossing a stone bridge in the mountains. a robot playing the piano. a dragon flying over the ocean. a house made of glass in the
forest. an ancient tree with golden leaves. a garden full of flowers and butterflies. a girl with a pearl earring. a boy flying a
kite. a knight in shining armor standing before the gate. two birds on a branch. three apples, four pears and five oranges in a
basket. a wide shot of the desert with camels. a macro photograph of a drop of water on a green leaf. a sketch of a hand drawn in
pencil. a cartoon of a happy elephant. a digital painting of a space station orbiting a planet, concept art, trending. a stained
glass window with a rose. a map of an island with a treasure. a statue of a lion in marble. a vase of tulips in the style of a dutch
master. a snowy forest path in winter with warm light from a cabin. a hot air balloon above the valley. a bicycle leaning against a
brick wall. a market with spices and lanterns. a violin on a velvet cloth. blurry, ugly, low quality, bad anatomy, deformed, noise,
text, watermark, cropped, out of frame, worst quality, jpeg artifacts. best quality, masterpiece, realistic, soft light, bokeh, film
grain, high resolution, cinematic, colorful, vivid, pastel, minimal, abstract, surreal, vintage, modern, gothic, baroque, isometric,
close up, from above, from below, front view, side view, background, foreground, morning, evening, summer, spring, water, fire, earth,
wind, stone, paper, silk, gold, silver, copper, purple, orange, pink, brown, grey, dark, bright, small, large, tall, round, square
it's the artist's work, they're not here, we've seen it, i'm sure you'll like what he'd do, don't can't won't
""".lower()

BEGIN, END = "<|startoftext|>", "<|endoftext|>"


def byte_symbols():
    """GPT-2's printable stand-ins for the 256 bytes, in the order of CLIP's ids 0..255."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [b for b in range(256) if b not in printable]
    return [chr(b) for b in printable] + [chr(256 + n) for n in range(len(rest))]


def learn_merges(n_merges):
    words = collections.Counter(re.findall(r"'s|'t|'re|'ve|'m|'ll|'d|[a-z]+|[0-9]|[^\sa-z0-9]+", TEXT))
    pieces = {w: (*w[:-1], w[-1] + "</w>") for w in words}
    merges = []
    while len(merges) < n_merges:
        pairs = collections.Counter()
        for w, p in pieces.items():
            for pair in zip(p, p[1:]):
                pairs[pair] += words[w]
        if not pairs:
            raise SystemExit(f"the text gives only {len(merges)} merges")
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        for w, p in pieces.items():
            pieces[w] = merge_pair(p, best)
    return merges


def merge_pair(piece, pair):
    out, i = [], 0
    while i < len(piece):
        if piece[i : i + 2] == pair:
            out.append(piece[i] + piece[i + 1])
            i += 2
        else:
            out.append(piece[i])
            i += 1
    return tuple(out)


def special_token(content, kind=None):
    token = {"content": content, "lstrip": False, "normalized": True, "rstrip": False, "single_word": False}
    return {"__type": kind, **token} if kind else token


def write_tokenizer(folder, pad, n_merges=486):
    """vocab.json, merges.txt and the two configs as Stable Diffusion 1.x (pad END) and 2.x (pad "!") ship them.
    In 2.x tokenizer_config.json still says END; special_tokens_map.json overrides it."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    merges = learn_merges(n_merges)
    symbols = byte_symbols()
    symbols += [s + "</w>" for s in symbols] + [a + b for a, b in merges] + [BEGIN, END]
    vocabulary = {s: i for i, s in enumerate(symbols)}
    assert len(vocabulary) == len(symbols)
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False, separators=(",", ":")))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in merges))
    names = {"bos_token": BEGIN, "eos_token": END, "unk_token": END}
    shipped = {k: special_token(v) for k, v in names.items()}
    write_json(folder / "special_tokens_map.json", {**shipped, "pad_token": pad})
    config = {
        "add_prefix_space": False,
        **{k: special_token(v, "AddedToken") for k, v in names.items()},
        "do_lower_case": True,
        "errors": "replace",
        "model_max_length": 77,
        "pad_token": END,
        "tokenizer_class": "CLIPTokenizer",
    }
    write_json(folder / "tokenizer_config.json", dict(sorted(config.items())))
    return vocabulary


def write_json(path, value):
    path.write_text(json.dumps(value, indent=2) + "\n")
