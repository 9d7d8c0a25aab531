"""Makes every fixture again: each make_*.py of this folder in a process of its own, the tiny checkpoints first, others read them."""

import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent


def main():
    makers = sorted(p for p in HERE.glob("make_*.py") if p != pathlib.Path(__file__).resolve())
    makers.sort(key=lambda p: p.name != "make_tiny.py")
    for maker in makers:
        print(maker.name, flush=True)
        subprocess.run([sys.executable, maker], cwd=HERE.parent.parent, check=True)


if __name__ == "__main__":
    main()
