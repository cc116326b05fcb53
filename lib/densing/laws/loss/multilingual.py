"""Loss of each task of a multi-task model against size and the task's weight in training."""

from dataclasses import dataclass, replace

import numpy as np

from densing.errors import InputError
from densing.laws.base import Need, exponent, floor, scale
from densing.laws.power_sum import Power, PowerSum, Term


@dataclass(frozen=True, eq=False, repr=False)
class Multilingual(PowerSum):
    """L = beta[task, weight] * N^-alpha[task] + l_inf[task].

    As exported it describes one task at one weight; `resolve` makes the law for the tasks and weights of a table,
    where inputs `task` and `weight` hold numbers.
    """

    cells: tuple[tuple[float, float], ...] = ()

    def resolve(self, columns):
        """See `Law.resolve`: a beta for every (task, weight), an alpha and a floor for every task."""
        cells = sorted(
            set(
                zip(
                    np.asarray(columns["task"], float).tolist(),
                    np.asarray(columns["weight"], float).tolist(),
                    strict=True,
                )
            )
        )
        tasks = sorted({task for task, _ in cells})
        if len(cells) == 1:
            return self
        parameters = [scale(_cell("beta", *c), "loss above the floor at N = 1") for c in cells]
        parameters += [exponent(_cell("alpha", t), "exponent of size") for t in tasks]
        parameters += [floor(_cell("l_inf", t), "irreducible loss of the task") for t in tasks]
        return replace(
            self,
            parameters=tuple(parameters),
            needs={"N": Need(3, tuple(_cell("alpha", t) for t in tasks))},
            linear=tuple(_cell("beta", *c) for c in cells) + tuple(_cell("l_inf", t) for t in tasks),
            terms=tuple(Term(_cell("beta", *c), (Power(_cell("alpha", c[0]), "N"),)) for c in cells)
            + tuple(Term(_cell("l_inf", t)) for t in tasks),
            cells=tuple(cells),
        )

    def design(self, x):
        """See `PowerSum.design`: one term of the cell and one floor apply to each row."""
        coefficients, offsets = super().design(x)
        if not self.cells:
            return coefficients, offsets
        _, task, weight = x
        owns = [(task == t) & (weight == w) for t, w in self.cells]
        owns += [task == t for t in sorted({t for t, _ in self.cells})]
        known = np.any(owns[: len(self.cells)], axis=0)
        if not known.all():
            row = int(np.argmin(known))
            raise InputError(
                f"multilingual: no such task and weight were fitted: {task[row]:g}, {weight[row]:g}"
            )
        offsets[~np.array(owns)] = -np.inf
        return coefficients, offsets


def _cell(name: str, *labels: float) -> str:
    return f"{name}[{','.join(f'{label:g}' for label in labels)}]"


multilingual = Multilingual(
    name="multilingual",
    equation="beta[task, weight] * N^-alpha[task] + l_inf[task]",
    source="Fernandes et al. 2023, equations 1 and 7",
    inputs={
        "N": "parameters",
        "task": "number of the task",
        "weight": "share of the task in training batches",
    },
    response="loss of the task, nats per token",
    parameters=(
        scale("beta", "loss above the floor at N = 1"),
        exponent("alpha", "exponent of size"),
        floor("l_inf", "irreducible loss of the task"),
    ),
    needs={"N": Need(3, ("beta", "alpha"))},
    linear=("beta", "l_inf"),
    plain_inputs=frozenset({"task", "weight"}),
    terms=(Term("beta", (Power("alpha", "N"),)), Term("l_inf")),
)


def effective_fraction(beta_alone, beta_weighted, alpha: float):
    """Share of its parameters that a task enjoys: (beta_alone / beta_weighted)^(1/alpha).

    References
    ----------
    Fernandes et al. 2023, effective fraction of parameters.
    """
    return (np.asarray(beta_alone, dtype=float) / np.asarray(beta_weighted, dtype=float)) ** (1 / alpha)
