"""Words for a picture: a caption, different every time, for the recipe a picture was drawn from."""

# The first word of each list is the plain one and comes up most often.
SUBJECTS = {
    "squirrel": ["squirrel"], "cat": ["cat", "kitten"], "dog": ["dog", "puppy"], "bird": ["bird"], "fish": ["fish"], "butterfly": ["butterfly"],
    "house": ["house", "cottage"], "tree": ["tree"], "boat": ["boat", "sailboat", "ship"], "car": ["car"], "flower": ["flower"], "star": ["star"],
    "moon": ["moon", "crescent moon"], "mountain": ["mountain"], "mushroom": ["mushroom", "toadstool"], "umbrella": ["umbrella"], "apple": ["apple"],
    "teapot": ["teapot"], "rocket": ["rocket", "spaceship"], "balloon": ["balloon", "hot air balloon"],
}
PLURALS = {"fish": "fish", "butterfly": "butterflies", "puppy": "puppies"}
COLOURS = {
    "red": ["red", "crimson"], "orange": ["orange"], "yellow": ["yellow", "golden"], "green": ["green"], "blue": ["blue"], "purple": ["purple", "violet"],
    "pink": ["pink"], "brown": ["brown"], "black": ["black"], "white": ["white"],
}
# (said after the subject, said before it)
STYLES = {
    "plain": (["", "", "as a flat illustration", "in a simple style"], ["", "a drawing of", "a picture of", "an illustration of"]),
    "line": (["as a line drawing", "in outline", "line art"], ["a line drawing of", "line art of", "an outline of"]),
    "pixel": (["as pixel art", "pixel art", "in pixel art style", "8-bit"], ["pixel art of", "a pixel art picture of"]),
    "watercolour": (["in watercolour", "in watercolor", "watercolour", "as a watercolour"], ["a watercolour of", "a watercolor painting of", "a watercolour painting of"]),
    "night": (["at night", "by night", "under the stars"], ["a night scene with", "a night picture of"]),
    "picasso": (["in Picasso style", "in the style of Picasso", "by Picasso", "Picasso style", "in cubist style"],
                ["a Picasso painting of", "a cubist painting of", "Picasso's"]),
    "pop": (["as pop art", "in pop art style", "pop art"], ["pop art of", "a pop art print of"]),
    "crayon": (["in crayon", "drawn with crayons", "as a crayon drawing"], ["a crayon drawing of", "a child's drawing of"]),
}
BACKGROUNDS = {
    "blank": [""], "meadow": ["in a meadow", "on the grass", "in a green field"], "sea": ["by the sea", "at the beach"],
    "snow": ["in the snow", "in winter"], "sunset": ["at sunset", "in the evening sun"],
}
NUMBERS = {2: "two", 3: "three"}


def choose(r, words, first=0.7):
    return words[0] if len(words) == 1 or r.random() < first else words[r.integers(1, len(words))]


def any_of(r, words):
    return words[r.integers(len(words))]


def plural(noun):
    *head, last = noun.split(" ")
    return " ".join([*head, PLURALS.get(last) or last + ("es" if last.endswith(("s", "sh", "x")) else "s")])


def article(phrase):
    return ("an " if phrase[0] in "aeiou" else "a ") + phrase


def thing(r, item):
    """'a red cat', 'two blue boats', 'the moon'"""
    noun = choose(r, SUBJECTS[item["subject"]])
    colour = choose(r, COLOURS[item["colour"]], 0.85) + " " if item["colour"] else ""
    if item["count"] > 1:
        return f"{NUMBERS[item['count']]} {colour}{plural(noun)}"
    if noun == "moon" and not colour and r.random() < 0.4:
        return "the moon"
    return article(colour + noun)


def things(r, recipe):
    first, *rest = [thing(r, item) for item in recipe["items"]]
    if not rest:
        return first
    if recipe["layout"] == "above":
        return f"{first} {any_of(r, ['above', 'over'])} {rest[0]}" if r.random() < 0.7 else f"{rest[0]} {any_of(r, ['under', 'below'])} {first}"
    return f"{first} {any_of(r, ['and', 'and', 'next to', 'beside'])} {rest[0]}"


def fragment(r, recipe):
    """A word or two of what there is to say, as people also type it."""
    item = recipe["items"][0]
    noun = choose(r, SUBJECTS[item["subject"]])
    parts = [noun, f"{item['colour'] or ''} {noun}".strip(), any_of(r, STYLES[recipe["style"]][0]), any_of(r, BACKGROUNDS[recipe["background"]]), item["colour"] or ""]
    return any_of(r, [p for p in parts if p])


def caption(r, recipe):
    words, where = things(r, recipe), any_of(r, BACKGROUNDS[recipe["background"]])
    after, before = STYLES[recipe["style"]]
    if r.random() < 0.5:
        style, front = any_of(r, after), False
    else:
        style, front = any_of(r, before), True
    if style == "Picasso's":
        words = words.split(" ", 1)[1] if words.startswith(("a ", "an ", "the ")) else words
    if front:
        text = f"{style} {words} {where}"
    elif r.random() < 0.2 and style:
        text = f"{style}, {words} {where}" if r.random() < 0.5 else f"{style}: {words} {where}"
    elif r.random() < 0.25 and style:
        text = f"{words} {where}".strip() + f", {style}"
    else:
        text = f"{words} {where} {style}" if r.random() < 0.7 else f"{words} {style} {where}"
    return " ".join(text.split())
