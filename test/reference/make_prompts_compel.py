"""Writes test/fixtures/prompts/compel.json: what compel reads prompts as, [[weight, [[weight, [[text, weight]]]]]] of conjunction, blends and phrases;
null where it fails; and how many tokens lie in each chunk of long prompts. Needs compel (requirements.txt)."""

import json
import random

from compel.embeddings_provider import EmbeddingsProvider
from compel.prompt_parser import Blend, PromptParser
from transformers import CLIPTokenizer

from common import FIXTURES

PROMPTS = [
    "", " ", "a cat", "a  cat,dog", "cat+", "cat++", "a cat-- dog", "cat+++ (dog)-", "(a cat)++", "(a cat)1.3", "(a cat)0.5 b", "(a cat) 1.3", "(a (big)+ cat)-",
    "((a)++ b)1.5", "\"a cat\"+", "\"a cat\" b", "a t-shirt", "a t-shirt-", "one-two--", "a+b", "a+b+", "cat+, dog", "cat-, dog-.", "a \\(cat\\)", "\\(a cat)+", "(a \\) cat)+",
    "(a", "a)", "(a))", "((a)", "()", "()+", "a ( b", "a \" b", "\"a", "(a, b. c)1.1", "(a = b)+", "(a - b)+", "(a + b)-", "a = b", "1.5", "(1.5)1.5", "(a)-1", "(a)-0.5", "(a)+1",
    "(a)1", "(a).5", "(a)1.", "cat1.5", "(cat).attend(1.4)", "cat.attend(++)", "cat.attend( - )", "\"a b\".attend(0.3)", "cat.attend(x)", "cat .attend(1)",
    "(\"a cat\", \"a dog\").and()", "(\"a cat\", \"a dog\").and(1, 0.5)", "(\"a cat\", \"a dog\").add(2,1)", "(\"a cat\",\"a dog\").blend(1,1)", "(\"a cat\", \"a dog\").blend(0.7, 0.3)",
    "(\"a cat++\", \"(a dog)0.5 b\").blend(1, -0.5)", "(\"a cat\", \"a dog\").blend(1, 1, no_normalize)", "(cat, dog).blend(.5, .5)", "(cat).blend(2)", "(\"a\", \"b\").blend(1)",
    "((a cat), (a dog)+).and()", "(\"a = b\", \"c\").and()", "(\"(a\", \"b-\").and()", " (\"a\", \"b\") .and ( 1 , 2 ) ", "(\"a\", \"b\").blend(1,2) c", "x (\"a\", \"b\").and()", "(\"a\").and()",
    "(\"a\", b c).and()", "(\"a\", \"b\").blend(x)", "(\"a\", \"b\").blend()", "(\"\", \"a\").blend(1,3)", "(\"a\", \"\").and()", "(red fox)1.2 in (the (snow)0.8)1.1, night", "a:b (c:1.3) [d]",
    "ünï (çödé)1.1 é+", "a\nb+ c", "(a\nb)+", "\"a\nb\"+", "--", "++", "- a", "a -", "-a", "+a", "a -b- c", "a.b", "a.b+", "(a.b)+", "a..", "...", ",", ",,", ",+", "(,)+", "a, (b, c)+, d",
    "(a b)++(c d)--", "(a)+b", "(a)+ b", "a(b)+", "a\"b\"+", "\"a\"\"b\"+", "(\"a b\" c)+", "(\"a \\\" b\")+", "\\\"a\\\"", "cat\\+", "cat\\++", "a\\", "\\", "(a\\)", "((((a))))+", "((((a)+)+)+)+",
    "(a)+.", "(a)1.5.", "(a)1.5x", "(a)1x", "(a)++x", "cat+x", "cat+1", "cat+-", "cat-+", "(a)+-", "50% off-", "(50%)+", "a/b-c_d+", "it's+", "(it's)0.9 'quoted'", "<toy>+", "(<toy> a)0.4",
]

# Stops before and behind others, none at all, words of several tokens at the edge, one word without an end.
LONG = [
    "a fox. " * 30, "a red fox. " + "a castle, " * 40, "a castle, " * 20 + "a fox. " + "a castle, " * 40, "a fox; a castle: " * 30, "a red fox " * 12 + ", a fox" * 40,
    "a fox " * 50, "snow old " * 40, "sea " * 60, "s" * 200, "a " + "s" * 100 + " a", "a " * 74 + ".", "a " * 75 + ".", "a " * 75 + ", a", ". " * 76, ", " * 74 + ". , a",
    "a " * 75, "a " * 76, "a fox. " * 24 + "a, a a a a",
]


def phrases(prompt):
    return [[f.text, f.weight] for f in prompt.children]


def passages(text):
    try:
        c = PromptParser().parse_conjunction(text)
        out = []
        for part, weight in zip(c.prompts, c.weights):
            if isinstance(part, Blend):
                total = sum(part.weights) if part.normalize_weights else 1
                out.append([weight, [[w / total, phrases(p)] for w, p in zip(part.weights, part.prompts)]])
            else:
                out.append([weight, [[1.0, phrases(part)]]])
        return out or None  # no embedding can be made of nothing
    except Exception:
        return None


def made_up(r):
    pieces = ["a", "cat", "red", "1.3", "0.5", "(", "(", ")", ")", "\"", "+", "++", "-", "--", ",", ".", " ", " ", " ", "\\(", "\\)", "=", ", "]
    return "".join(r.choice(pieces) for _ in range(r.randrange(2, 14)))


def chunks(prompt):
    tokenizer = CLIPTokenizer.from_pretrained(FIXTURES / "tiny-sd1/tokenizer")
    ids, _, _ = EmbeddingsProvider(tokenizer, None, truncate=False, device="cpu").get_token_ids_and_expand_weights([prompt], [1.0], "cpu")
    return [chunk.tolist().index(tokenizer.eos_token_id) - 1 for chunk in ids.reshape(-1, 77)]


def main():
    r = random.Random(7)
    prompts = list(dict.fromkeys(PROMPTS + [made_up(r) for _ in range(400)]))
    lines = ",\n".join(json.dumps([p, passages(p)], ensure_ascii=False) for p in prompts)
    (FIXTURES / "prompts" / "compel.json").write_text('{"about": "compel 2.5.1: prompt, [[weight, [[weight, [[text, weight]]]]]]; null: it fails",\n"cases": [\n' + lines +
                                                   '\n],\n"chunks": [\n' + ",\n".join(json.dumps([p, chunks(p)]) for p in LONG) + "\n]}\n")
    print(len(prompts))


if __name__ == "__main__":
    main()
