"""Arithmetic a buyer writes, evaluated over arrays: a closed language, nothing of Python's can be reached."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from jecp_mcp.sandbox.work.forms import WorkFailed

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[np.float64]]

MOST_CHARACTERS = 500
_MOST_PARTS = 120
_MOST_DEPTH = 24
_BINARY = {ast.Add: "add", ast.Sub: "subtract", ast.Mult: "multiply", ast.Div: "divide", ast.Pow: "power"}
_COMPARE = {ast.Lt: "less", ast.LtE: "less_equal", ast.Gt: "greater", ast.GtE: "greater_equal"}
_ONE = {"abs": "abs", "sqrt": "sqrt", "exp": "exp", "log": "log", "floor": "floor", "ceil": "ceil"}
_FOLD = {"min": "minimum", "max": "maximum"}
FUNCTIONS = (*_ONE, *_FOLD, "where")


def compiled(text: str, names: frozenset[str]) -> Callable[[Mapping[str, Array]], Array]:
    """Check an expression over `names`; the function returned evaluates it.

    Raises:
        WorkFailed: ``EXPRESSION_INVALID``.
    """
    if len(text) > MOST_CHARACTERS:
        raise WorkFailed("EXPRESSION_INVALID", f"the expression is longer than {MOST_CHARACTERS} characters")
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, MemoryError, RecursionError) as exc:
        # The parser's own ways to say that a text is no expression, or too nested a one.
        raise WorkFailed("EXPRESSION_INVALID", "the formula is no arithmetic expression") from exc
    if sum(1 for _ in ast.walk(tree)) > _MOST_PARTS:
        raise WorkFailed("EXPRESSION_INVALID", "the formula has too many parts")
    _check(tree.body, names, 0)

    def evaluate(values: Mapping[str, Array]) -> Array:
        found: Array = _value(tree.body, values)
        return found

    return evaluate


def _check(node: ast.expr, names: frozenset[str], depth: int) -> None:
    if depth > _MOST_DEPTH:
        raise WorkFailed("EXPRESSION_INVALID", "the formula is nested too deeply")
    match node:
        case ast.Constant(value=int() | float() as value) if not isinstance(value, bool) and abs(value) <= 1e300:  # noqa: PLR2004  # a float
            parts: list[ast.expr] = []
        case ast.Name(id=name) if name in names:
            parts = []
        case ast.Name(id=name):
            raise WorkFailed("EXPRESSION_INVALID", f"{name!r} is not one of the variables")
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
            parts = [left, right]
        case ast.UnaryOp(op=ast.USub() | ast.UAdd(), operand=operand):
            parts = [operand]
        case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in _COMPARE:
            parts = [left, right]
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if _fits(name, len(args)):
            parts = args
        case _:
            raise WorkFailed(
                "EXPRESSION_INVALID",
                f"only numbers, the variables, + - * / ** < <= > >= and {', '.join(FUNCTIONS)} may be used",
            )
    for part in parts:
        _check(part, names, depth + 1)


def _fits(name: str, arguments: int) -> bool:
    if name in _ONE:
        return arguments == 1
    if name in _FOLD:
        return arguments >= 2  # noqa: PLR2004  # to have a choice
    return name == "where" and arguments == 3  # noqa: PLR2004  # condition, then, else


def _value(node: ast.expr, values: Mapping[str, Array]) -> Any:  # noqa: PLR0911  # one for each kind of node
    import numpy as np

    match node:
        case ast.Constant(value=value):
            return np.float64(value)  # type: ignore[arg-type]  # _check let only numbers through
        case ast.Name(id=name):
            return values[name]
        case ast.BinOp(left=left, op=op, right=right):
            return getattr(np, _BINARY[type(op)])(_value(left, values), _value(right, values))
        case ast.Compare(left=left, ops=[op], comparators=[right]):
            return getattr(np, _COMPARE[type(op)])(_value(left, values), _value(right, values)).astype(float)
        case ast.UnaryOp(op=op, operand=operand):
            return -_value(operand, values) if isinstance(op, ast.USub) else _value(operand, values)
        case ast.Call(func=ast.Name(id=name), args=args):
            given = [_value(each, values) for each in args]
            if name in _ONE:
                return getattr(np, _ONE[name])(given[0])
            if name == "where":
                return np.where(given[0] != 0, given[1], given[2])
            folded = given[0]
            for each in given[1:]:
                folded = getattr(np, _FOLD[name])(folded, each)
            return folded
    raise AssertionError(node)
