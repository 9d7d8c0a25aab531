"""The model card's two sheets: subjects x styles, and what guidance and a negative prompt do.

    python sheets.py MODEL FOLDER
"""
import sys
from pathlib import Path

from sample import COLUMNS, ROWS, load, pictures, sheet

GUIDANCE = 1.0, 2.5, 5.0, 7.5
NEGATIVE = {"a dog": "brown", "a flower in a meadow": "in a meadow", "a car": "red", "a fish": "blue", "a star": "yellow"}


def save(image, path):
    image.save(path, quality=85)
    print(path, image.size, path.stat().st_size)


def main():
    pipe, folder = load(sys.argv[1]), Path(sys.argv[2])
    prompts = [f"{row} {column}".strip() for row in ROWS for column in COLUMNS]
    save(sheet(pictures(pipe, prompts, range(len(prompts))), len(COLUMNS)), folder / "sheet.jpg")
    prompts, seeds = list(NEGATIVE), range(len(NEGATIVE))
    columns = [pictures(pipe, prompts, seeds, guidance=g) for g in GUIDANCE] + [pictures(pipe, prompts, seeds, guidance=4.0, negative_prompt=list(NEGATIVE.values()))]
    save(sheet([image for row in zip(*columns) for image in row], len(columns)), folder / "guidance.jpg")


if __name__ == "__main__":
    main()
