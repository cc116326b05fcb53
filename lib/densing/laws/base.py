"""What a law is: a function of named inputs and named parameters that knows its own derivatives."""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from densing.checks import check_choice
from densing.errors import InputError

# Where each law lives; `get` imports only what it is asked for.
_HOMES = {
    "power": "loss.power",
    "power_constant": "loss.power",
    "hestness_power": "loss.power",
    "hestness": "loss.hestness",
    "chinchilla": "loss.chinchilla",
    "kaplan_n": "loss.kaplan",
    "kaplan_nd": "loss.kaplan",
    "kaplan_ns": "loss.kaplan",
    "overtraining": "loss.overtraining",
    "vocabulary": "loss.vocabulary",
    "floating_point": "loss.floating_point",
    "integer_precision": "loss.floating_point",
    "data_repeat": "loss.data_repeat",
    "translation": "loss.translation",
    "additive_translation": "loss.translation",
    "multilingual": "loss.multilingual",
    "sigmoid": "capability.saturation",
    "exponential_decay": "capability.decay",
    "exponential": "capability.decay",
}


def known_laws() -> list[str]:
    """Names of all laws that `get` knows."""
    return list(_HOMES)


def get(name: str) -> "Law":
    """The law called `name`.

    Raises
    ------
    InputError : an unknown name; lists the known ones.
    """
    check_choice("law", name, _HOMES)
    return getattr(importlib.import_module(f"densing.laws.{_HOMES[name]}"), name)


@dataclass(frozen=True)
class Parameter:
    """One parameter of a law.

    Attributes
    ----------
    name : as in the law's equation.
    role : "scale" (amplitude of a term, or a reference size), "exponent", "floor" (what remains at infinite scale),
        "rate" or "level" (of a bounded curve).
    text : meaning and unit.
    start : box that starting values are drawn from. It holds for inputs divided by their geometric mean and a
        response divided by its median, where the law allows (`Law.rescale`).
    bounds : limits in the same units.
    positive : fitted as its logarithm.
    """

    name: str
    role: str
    text: str
    start: tuple[float, float]
    bounds: tuple[float, float]
    positive: bool


def scale(name: str, text: str, start=(1e-3, 1.0), bounds=(1e-12, 1e12)) -> Parameter:
    """A positive amplitude or reference size."""
    return Parameter(name, "scale", text, start, bounds, True)


def exponent(name: str, text: str, start=(0.05, 1.2), bounds=(-4.0, 8.0)) -> Parameter:
    """An exponent; nothing keeps it from being zero or negative, so that an interval can say that it may be."""
    return Parameter(name, "exponent", text, start, bounds, False)


def floor(name: str, text: str, start=(0.05, 0.98), bounds=(1e-6, 1e3)) -> Parameter:
    """A positive level that remains at infinite scale."""
    return Parameter(name, "floor", text, start, bounds, True)


@dataclass(frozen=True)
class Need:
    """What a law asks of its inputs before its parameters can be told apart.

    Attributes
    ----------
    distinct : least number of distinct values of the input.
    identifies : parameters that a constant input leaves undetermined.
    """

    distinct: int
    identifies: tuple[str, ...]


@dataclass(frozen=True, eq=False, repr=False)
class Law:
    """A law y = f(parameters; inputs), vectorised over leading axes of the parameters.

    Call it with inputs and named parameters: ``chinchilla(N, D, E=1.8, A=478, B=2144, alpha=0.35, beta=0.37)``.

    Attributes
    ----------
    name, equation, source : identity; the source names paper and equation.
    inputs : name to meaning and unit, in calling order.
    response : meaning and unit of y.
    parameters : the `Parameter`s, in the order of every parameter array.
    needs : input to `Need`.
    ratio : two inputs whose ratio must vary, and the exponents to tie when it does not.
    linear : parameters that y is linear in when the others are held (used to find starting values).
    plain_inputs : inputs that keep their unit in a fit (bits, task labels).
    version : raised when the form or the meaning of a parameter changes.
    """

    name: str
    equation: str
    source: str
    inputs: Mapping[str, str]
    response: str
    parameters: tuple[Parameter, ...]
    needs: Mapping[str, Need] = field(default_factory=dict)
    ratio: tuple[tuple[str, str], tuple[str, str]] | None = None
    linear: tuple[str, ...] = ()
    plain_inputs: frozenset[str] = frozenset()
    version: int = 1

    # "log": `evaluate` gives log y, for laws that are positive everywhere; "identity": it gives y.
    native = "log"
    # "any" where inputs may be zero or negative (a normalised loss).
    input_range = "positive"

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the parameters."""
        return tuple(p.name for p in self.parameters)

    def __repr__(self) -> str:
        return f"<law {self.name}: {self.equation}>"

    def __call__(self, *inputs, **parameters) -> np.ndarray:
        """Value of the law; inputs broadcast against each other, parameters are numbers."""
        if len(inputs) != len(self.inputs):
            raise InputError(f"{self.name}: takes the inputs {', '.join(self.inputs)}, got {len(inputs)}")
        arrays = np.broadcast_arrays(*[np.asarray(x, dtype=float) for x in inputs])
        x = np.stack([a.ravel() for a in arrays])
        value = self.value(self.pack(parameters), x).reshape(arrays[0].shape)
        return value if value.ndim else float(value)

    def pack(self, parameters: Mapping[str, float]) -> np.ndarray:
        """Parameters by name as an array (..., p).

        Raises
        ------
        InputError : a missing or an unknown name.
        """
        if set(parameters) != set(self.names):
            raise InputError(
                f"{self.name}: needs the parameters {', '.join(self.names)}, got {', '.join(parameters)}"
            )
        columns = np.broadcast_arrays(*[np.asarray(parameters[n], dtype=float) for n in self.names])
        return np.stack(columns, axis=-1)

    def evaluate(self, theta: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Log y (or y, see `native`) and its derivatives.

        Parameters
        ----------
        theta : parameters (..., p), natural units.
        x : inputs (k, n), one row an input.

        Returns
        -------
        (..., n) and (..., p, n).
        """
        raise NotImplementedError

    def value(self, theta: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Y (..., n) for parameters (..., p) and inputs (k, n)."""
        y = self.evaluate(np.asarray(theta, dtype=float), np.asarray(x, dtype=float))[0]
        return np.exp(y) if self.native == "log" else y

    def jacobian(self, theta: np.ndarray, x: np.ndarray, on: str = "identity") -> np.ndarray:
        """Derivatives (..., n, p) of y, or of log y with ``on="log"``, by the natural parameters."""
        check_choice("on", on, ("log", "identity"))
        y, rows = self.evaluate(np.asarray(theta, dtype=float), np.asarray(x, dtype=float))
        if on != self.native:
            rows = rows * np.exp(y)[..., None, :] if on == "identity" else rows / y[..., None, :]
        return np.swapaxes(rows, -1, -2)

    def rescale(self, theta: np.ndarray, factors: np.ndarray, response: float = 1.0) -> np.ndarray:
        """Parameters that give ``response * y`` at inputs multiplied by `factors` (k,): a change of units."""
        raise NotImplementedError

    def typical(self, x: np.ndarray) -> np.ndarray:
        """A typical size (k,) of each input: what a fit divides it by. 1 for inputs that keep their unit."""
        sizes = [
            1.0 if n in self.plain_inputs else np.exp(np.log(v).mean())
            for n, v in zip(self.inputs, x, strict=True)
        ]
        return np.array(sizes)

    def resolve(self, columns: Mapping[str, np.ndarray]) -> "Law":
        """The law for this data; differs from `self` only where the data decides the number of parameters."""
        return self

    def allocate(self, theta: np.ndarray, flops: np.ndarray) -> dict[str, np.ndarray]:
        """Inputs that minimise the law at training compute `flops` (m,), each (..., m).

        Raises
        ------
        InputError : no closed form is known for this law.
        """
        raise InputError(f"law = {self.name!r}: has no closed-form compute-optimal allocation")


def columns_of(theta: np.ndarray) -> list[np.ndarray]:
    """Parameters (..., p) as p arrays (..., 1) that broadcast against rows of data."""
    return [theta[..., j, None] for j in range(theta.shape[-1])]


def stack_rows(rows: list, shape: tuple[int, ...]) -> np.ndarray:
    """Derivatives by each parameter, broadcast to `shape` (..., n) and stacked as (..., p, n)."""
    return np.stack([np.broadcast_to(row, shape) for row in rows], axis=-2)
