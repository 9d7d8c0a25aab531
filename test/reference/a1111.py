"""What AUTOMATIC1111's web UI makes of a prompt, after its documentation and behaviour (modules/prompt_parser.py, sd_hijack_clip.py,
sd_emphasis.py of https://github.com/AUTOMATIC1111/stable-diffusion-webui): weights by brackets, chunks of 75, states weighted behind the encoder."""

import re

import torch

TOKEN = re.compile(r":([+-]?[.\d]+)\)|\\[()\[\]\\]|\\|[()\[\]:]|[^\\()\[\]:]+")
BREAK = re.compile(r"\s*\bBREAK\b\s*")


def phrases(text):
    """[(text, weight)]; a weight of -1 with the text BREAK ends a chunk."""
    out, opened = [], {"(": [], "[": []}

    def scale(begin, factor):
        for phrase in out[begin:]:
            phrase[1] *= factor

    for match in TOKEN.finditer(text):
        token = match[0]
        if token[0] == "\\":
            out.append([token[1:], 1.0])
        elif token in opened:
            opened[token].append(len(out))
        elif match[1] and opened["("]:
            scale(opened["("].pop(), float(match[1]))
        elif token == ")" and opened["("]:
            scale(opened["("].pop(), 1.1)
        elif token == "]" and opened["["]:
            scale(opened["["].pop(), 1 / 1.1)
        else:
            for i, part in enumerate(BREAK.split(token)):
                out += ([["BREAK", -1]] if i else []) + [[part, 1.0]]
    for bracket, factor in (("(", 1.1), ("[", 1 / 1.1)):
        for begin in opened[bracket]:
            scale(begin, factor)
    joined = []
    for part, weight in out or [["", 1.0]]:
        if joined and joined[-1][1] == weight:
            joined[-1][0] += part
        else:
            joined.append([part, weight])
    return joined


def chunks(tokenizer, phrases, size=75, back=20):
    """[([id], [weight])] of each chunk, without beginning and end."""
    comma = tokenizer.get_vocab().get(",</w>")
    done, ids, weights, last = [], [], [], -1
    for text, weight in phrases:
        if text == "BREAK" and weight == -1:
            done.append((ids, weights))
            ids, weights, last = [], [], -1
            continue
        for token in tokenizer(text, add_special_tokens=False).input_ids:
            if token == comma:
                last = len(ids)
            elif len(ids) == size and last >= 0 and size - last <= back:
                done.append((ids[:last + 1], weights[:last + 1]))
                ids, weights, last = ids[last + 1:], weights[last + 1:], -1
            if len(ids) == size:
                done.append((ids, weights))
                ids, weights, last = [], [], -1
            ids, weights = ids + [token], weights + [weight]
    return done + [(ids, weights)] if ids or not done else done


def encode(tokenizer, encoder, phrases, skip=0, xl=False):
    """[1,77n,C] of the encoder, and what the first chunk pools to."""
    out, pooled = [], None
    for ids, weights in chunks(tokenizer, phrases):
        rest = 75 - len(ids)
        ids = torch.tensor([[tokenizer.bos_token_id, *ids, tokenizer.eos_token_id, *[tokenizer.pad_token_id] * rest]])
        made = encoder(ids, output_hidden_states=True)
        states = made.hidden_states[-2 - skip] if xl else made.last_hidden_state if not skip else encoder.final_layer_norm(made.hidden_states[-1 - skip])
        weighted = states * torch.tensor([1.0, *weights, *[1.0] * (rest + 1)])[None, :, None]
        out.append(weighted * (states.mean() / weighted.mean()))
        pooled = made[0] if pooled is None else pooled
    return torch.cat(out, 1), pooled


def own_lengths(pipe, *lengths):
    """Has the UNet see so many tokens of each of its copies: they run by themselves, as there without "Pad conds"."""
    forward = pipe.unet.forward

    def each(sample, t, encoder_hidden_states, added_cond_kwargs=None, **options):
        one = lambda i: {k: v[i:i + 1] for k, v in added_cond_kwargs.items()} if added_cond_kwargs else None
        return (torch.cat([forward(sample[i:i + 1], t, encoder_hidden_states[i:i + 1, :n], added_cond_kwargs=one(i), **options)[0]
                           for i, n in enumerate(lengths)]),)

    pipe.unet.forward = each


def padded(states, n):
    return torch.cat([states, torch.zeros(1, n - states.shape[1], states.shape[2])], 1)
