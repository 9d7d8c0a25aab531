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
    "plain": (["", "", "as a flat illustration", "in a simple style"],
              ["", "", "a drawing of", "a picture of", "an illustration of", "a photo of", "a painting of", "an image of", "a portrait of", "a photograph of", "clip art of"]),
    "line": (["as a line drawing", "in outline", "line art", "pencil sketch"], ["a line drawing of", "line art of", "an outline of", "a sketch of", "a pencil sketch of"]),
    "pixel": (["as pixel art", "pixel art", "in pixel art style", "8-bit"], ["pixel art of", "a pixel art picture of"]),
    "watercolour": (["in watercolour", "in watercolor", "watercolour", "as a watercolour"], ["a watercolour of", "a watercolor painting of", "a watercolour painting of"]),
    "night": (["at night", "by night", "under the stars"], ["a night scene with", "a night picture of"]),
    "picasso": (["in Picasso style", "in the style of Picasso", "by Picasso", "Picasso style", "in cubist style", "by Pablo Picasso", "cubism", "cubist"],
                ["a Picasso painting of", "a cubist painting of", "Picasso's", "a cubist portrait of"]),
    "pop": (["as pop art", "in pop art style", "pop art"], ["pop art of", "a pop art print of"]),
    "crayon": (["in crayon", "drawn with crayons", "as a crayon drawing"], ["a crayon drawing of", "a child's drawing of"]),
}
BACKGROUNDS = {
    "blank": [""], "meadow": ["in a meadow", "on the grass", "in a green field"], "sea": ["by the sea", "at the beach"],
    "snow": ["in the snow", "in winter"], "sunset": ["at sunset", "in the evening sun"],
}
PLACES = {"blank": [""], "meadow": ["meadow", "grass"], "sea": ["sea", "beach"], "snow": ["snow", "winter"], "sunset": ["sunset", "evening"]}  # as said after a comma
# What people also type and what is to be drawn no differently: before a noun, and after everything.
ADJECTIVES = """cute happy small big little old new beautiful funny fluffy tiny huge lovely nice pretty sad sleepy brave majestic wild young smiling friendly shiny
wooden fast fat giant magic baby fancy colourful colorful simple elegant cheerful curious lonely fantastic realistic detailed single whole""".split()
EXTRAS = """highly detailed|4k|hd|high quality|best quality|masterpiece|trending on artstation|digital art|vivid colours|bright|studio light|soft light|minimalist|close up
|full body|front view|award winning|for children|wallpaper|professional|artistic|amazing|sharp focus|very detailed|on a table|in the air|in the city|in a forest|in space
|eating a nut|with a hat|sitting|standing|running|sleeping|flying|smiling|dancing|playing the guitar|looking at you|holding a sword|wearing glasses""".replace("\n", "").split("|")
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
        return f"{NUMBERS[item['count']] if r.random() < 0.8 else any_of(r, ['', 'some', 'many'])} {colour}{plural(noun)}".strip()
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
    short = f"{item['colour'] or ''} {noun}".strip()
    parts = [noun, short, any_of(r, STYLES[recipe["style"]][0]), any_of(r, BACKGROUNDS[recipe["background"]]), item["colour"] or ""]
    tail = [p for p in (any_of(r, PLACES[recipe["background"]]), any_of(r, STYLES[recipe["style"]][0])) if p]
    if r.random() < 0.5:
        return ", ".join([short, *tail])
    return any_of(r, [p for p in parts if p])


def unknown(r):
    """A word nobody knows."""
    return "".join(any_of(r, "bcdfghjklmnprstvwz") + any_of(r, "aeiou") + any_of(r, ["", "", *"lmnrst"]) for _ in range(r.integers(1, 4)))


def noisy(r, text):
    """The same caption with words that change nothing: an adjective, something at the end, a word nobody knows, no article."""
    words = text.split(" ")
    nouns = [k for k, w in enumerate(words) if w.strip(",:") in NOUNS]
    if nouns and r.random() < 0.6:
        k = nouns[r.integers(len(nouns))]
        if k and words[k - 1] in COLOUR_WORDS and r.random() < 0.8:
            k -= 1
        words.insert(k, any_of(r, ADJECTIVES) if r.random() < 0.6 else unknown(r))
        if k and words[k - 1] in ("a", "an"):
            words[k - 1] = "an" if words[k][0] in "aeiou" else "a"
    elif words[0] in ("a", "an", "the"):
        words = words[1:]
    text = " ".join(words)
    if r.random() < 0.4:
        text += f"{any_of(r, [',', ',', ' '])} " + (any_of(r, EXTRAS) if r.random() < 0.7 else f"{any_of(r, ['with a', 'in', 'and'])} {unknown(r)}")
    return " ".join(text.split())


def typed(r, recipe):
    """A caption as people type it: most in full, some with words of no meaning, some but a word or two."""
    if r.random() < 0.12:
        return fragment(r, recipe)
    text = caption(r, recipe)
    return noisy(r, text) if r.random() < 0.4 else text


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


def words_of(*tables):
    return {w for table in tables for forms in table for form in forms for w in form.lower().replace("'", " ").replace("-", " ").split()}


COLOUR_WORDS = {w for forms in COLOURS.values() for w in forms}
NOUNS = {n.split(" ")[-1] for forms in SUBJECTS.values() for form in forms for n in (form, plural(form))}
# Every word that makes a difference, and the small ones between them.
KNOWN = sorted(words_of(SUBJECTS.values(), COLOURS.values(), BACKGROUNDS.values(), PLACES.values(), [f for pair in STYLES.values() for f in pair], [NUMBERS.values()]) | NOUNS
               | set("a an the of in on at by with and or for to from under over above below beside next some many style s".split()))
