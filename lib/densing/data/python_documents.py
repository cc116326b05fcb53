"""Docstrings and definitions of Python source, read by `ast` and never executed."""

import ast
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
_DEFINED = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True)
class PythonPiece:
    """A piece of a module: `kind` is "docstring" or "code", `name` its qualified name ("" for the module)."""

    kind: str
    name: str
    text: str


def dedent_docstring(text: str) -> str:
    """A docstring without the indentation of its source (PEP 257), the same on every version of Python."""
    lines = text.expandtabs().split("\n")
    indents = [len(line) - len(line.lstrip(" ")) for line in lines[1:] if line.strip()]
    margin = min(indents, default=0)
    lines = [lines[0].lstrip(" ")] + [line[margin:] for line in lines[1:]]
    return "\n".join(line.rstrip() for line in lines).strip("\n")


def python_pieces(source: str) -> Iterator[PythonPiece]:
    """Every docstring of `source` and the code of its top-level definitions with docstrings taken out.

    Source that this Python cannot parse yields nothing.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return
    lines = source.splitlines()
    for node, name in _walk(tree, ""):
        if (expression := _docstring(node)) is not None:
            yield PythonPiece("docstring", name, dedent_docstring(expression.value.value))
    for node in tree.body:
        if isinstance(node, _DEFINED):
            yield PythonPiece("code", node.name, _code(node, lines))


def _walk(node: ast.AST, name: str) -> Iterator[tuple[ast.AST, str]]:
    yield node, name
    for child in ast.iter_child_nodes(node):
        if isinstance(child, _DEFINED):
            yield from _walk(child, f"{name}.{child.name}".lstrip("."))
        elif not isinstance(child, ast.expr):
            yield from ((n, q) for n, q in _walk(child, name) if n is not child)


def _docstring(node: ast.AST) -> ast.Expr | None:
    if not isinstance(node, _DOCUMENTED) or not node.body or not isinstance(node.body[0], ast.Expr):
        return None
    value = node.body[0].value
    return node.body[0] if isinstance(value, ast.Constant) and isinstance(value.value, str) else None


def _code(node: ast.AST, lines: list[str]) -> str:
    dropped = set()
    for inner in ast.walk(node):
        if (expression := _docstring(inner)) is not None and len(inner.body) > 1:
            dropped.update(range(expression.lineno, expression.end_lineno + 1))
    first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
    kept = [lines[i - 1].rstrip() for i in range(first, node.end_lineno + 1) if i not in dropped]
    return "\n".join(kept).strip("\n")
