"""Verdicts, computed from a claim's criterion and what a chapter measured; nothing else decides."""

import ast
import math
import operator

from densing.errors import InputError

REPRODUCED, PARTLY = "reproduced", "partly"
NOT_REPRODUCED, NOT_AT_THIS_SCALE = "not reproduced", "not at this scale"
PENDING, NOT_YET = "pending", "not yet measured"
VERDICTS = (REPRODUCED, PARTLY, NOT_REPRODUCED, NOT_AT_THIS_SCALE)

_OPERATORS = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
    ast.Not: operator.not_,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Gt: operator.gt,
    ast.Lt: operator.lt,
    ast.GtE: operator.ge,
    ast.LtE: operator.le,
}
_ALLOWED = (ast.Expression, ast.BoolOp, ast.BinOp, ast.UnaryOp, ast.Compare, ast.Name, ast.Load, ast.Constant)
_ENDINGS = ("", "_lower", "_upper")


def check_expression(where: str, expression: str, quantities: dict) -> None:
    """Refuse an expression that does more than compare and calculate with the claim's own quantities.

    Each quantity ``x`` gives the names ``x``, ``x_lower`` and ``x_upper`` (ends of its interval).

    Raises
    ------
    InputError : a syntax error, a call, an attribute or another construct, or an unknown name.
    """
    try:
        tree = ast.parse(expression, mode="eval")
    except SyntaxError as error:
        raise InputError(f"{where} = {expression!r}: is not an expression ({error.msg})") from None
    names = {q + ending for q in quantities for ending in _ENDINGS}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id not in names:
            raise InputError(f"{where}: unknown name {node.id!r}; it has {', '.join(sorted(quantities))}")
        allowed = _ALLOWED + tuple(_OPERATORS) + (ast.And, ast.Or)
        if not isinstance(node, allowed) or (
            isinstance(node, ast.Constant) and not isinstance(node.value, bool | int | float)
        ):
            raise InputError(
                f"{where} = {expression!r}: may use numbers, the quantities, arithmetic, comparisons, and/or/not; "
                f"not {type(node).__name__}"
            )


def evaluate(expression: str, names: dict[str, float | bool]) -> bool:
    """Whether `expression` holds for the measured `names`; it does not where one that it uses is nan.

    Raises
    ------
    InputError : the expression uses the end of an interval that was not measured.
    """
    from simpleeval import SimpleEval

    used = {node.id for node in ast.walk(ast.parse(expression, mode="eval")) if isinstance(node, ast.Name)}
    missing = sorted(used - set(names))
    if missing:
        raise InputError(
            f"{missing[0]}: the criterion {expression!r} needs an interval, only a value was measured"
        )
    if any(math.isnan(names[name]) for name in used):
        return False
    return bool(SimpleEval(operators=_OPERATORS, functions={}, names=names).eval(expression))


def decide(claim, measurement: dict[str, dict] | None) -> str:
    """The verdict on `claim` (a `densing.book.claims.Claim`).

    Parameters
    ----------
    measurement : quantity name to ``{"value"}`` or ``{"value", "lower", "upper", "level"}``, null standing for nan;
        None where nothing was measured.

    Returns
    -------
    One of `VERDICTS`, or ``"pending"`` when the claim waits for another chapter (whatever part of it was measured),
    or ``"not yet measured"``.

    Raises
    ------
    InputError : the measured quantities are not those of the claim, or the criterion needs an interval that was not
        measured.
    """
    if claim.pending:
        return PENDING
    if measurement is None:
        return NOT_YET
    names = _names(claim, measurement)
    criterion = claim.criterion
    if "not_at_this_scale" in criterion and evaluate(criterion["not_at_this_scale"], names):
        return NOT_AT_THIS_SCALE
    if evaluate(criterion["reproduced"], names):
        return REPRODUCED
    if "partly" in criterion and evaluate(criterion["partly"], names):
        return PARTLY
    return NOT_REPRODUCED


def _names(claim, measurement: dict[str, dict]) -> dict[str, float | bool]:
    if set(measurement) != set(claim.quantities):
        raise InputError(
            f"{claim.id}: measured {', '.join(sorted(measurement)) or 'nothing'}; the claim's quantities are "
            f"{', '.join(claim.quantities)}"
        )
    names = {}
    for quantity, number in measurement.items():
        for ending, key in zip(_ENDINGS, ("value", "lower", "upper"), strict=True):
            if key in number:
                names[quantity + ending] = math.nan if number[key] is None else number[key]
    return names
