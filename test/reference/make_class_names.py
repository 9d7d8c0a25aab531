"""Writes test/fixtures/class_names.txt: the names a model_index.json of pinned diffusers can hold, a line each: what diffusers exports, and the types
its pipelines' constructors take, those of transformers among them. Nothing is imported but read."""

import ast
import re
from importlib.util import find_spec
from pathlib import Path

from common import FIXTURES

NAME = re.compile(r"[A-Z][A-Za-z0-9_]*[a-z][A-Za-z0-9_]*")


def words(node):
    """Every name in an annotation: X, a.X, X | None, Optional[X], "X"."""
    for n in ast.walk(node):
        text = n.id if isinstance(n, ast.Name) else n.attr if isinstance(n, ast.Attribute) else n.value if isinstance(n, ast.Constant) else ""
        if isinstance(text, str) and NAME.fullmatch(text):
            yield text


def main():
    root = Path(find_spec("diffusers").origin).parent
    names = {n.value for n in ast.walk(ast.parse((root / "__init__.py").read_text()))
             if isinstance(n, ast.Constant) and isinstance(n.value, str) and NAME.fullmatch(n.value)}
    for path in [*root.glob("pipelines/**/*.py"), *root.glob("schedulers/**/*.py"), *root.glob("models/**/*.py")]:
        for kind in (n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.ClassDef)):
            if re.search("Pipeline|Scheduler|Model", kind.name):
                names.add(kind.name)
            for f in (f for f in kind.body if isinstance(f, ast.FunctionDef) and f.name == "__init__" and "Pipeline" in kind.name):
                for argument in (*f.args.args, *f.args.kwonlyargs):
                    names.update(words(argument.annotation) if argument.annotation else ())
    names -= {"Optional", "Union", "List", "Tuple", "Dict", "Any", "Callable", "Literal", "None", "True", "False"}
    (FIXTURES / "class_names.txt").write_text("".join(f"{n}\n" for n in sorted(names)))


if __name__ == "__main__":
    main()
