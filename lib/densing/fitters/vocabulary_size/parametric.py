"""Approach 3: a parametric loss."""

import warnings
from typing import TYPE_CHECKING, Literal

import numpy as np

from densing.checks import check_choice, check_flag, check_range
from densing.fitters.scaling.estimator import ScalingLaw
from densing.fitters.vocabulary_size.checkpoints import LOSS, RUN, check_checkpoints
from densing.fitters.vocabulary_size.results import VocabularyResults, summarize_fit
from densing.laws.base import get
from densing.laws.vocabulary_size import ParametricCoefficients, tokens_per_character

if TYPE_CHECKING:
    import pandas as pd


class ParametricVocabulary:
    """Approach 3: L_u = -E + A1/N_nv^alpha1 + A2/N_v^alpha2 + B/D^beta by the common robust fitter.

    Huber objective on the residuals themselves (L_u is negative), delta 0.001, exponents kept in (0.1, 2).

    Parameters
    ----------
    convention : how tokens D are counted from the characters H. "true_tokens": D = H·f(V), as the law is
        stated. "published": D = H·f(V/1000), what the released script does by dividing V by 1,000 before f;
        about 2.7 to 3.0 times too many.
    tied : alpha1 = beta, as published; False leaves them free.
    min_flops : rows below are left out; the paper's 2.18e17.
    starts, draws, seed : of the fitter; 0 draws for no bootstrap, else at least 50.
    """

    def __init__(
        self,
        *,
        convention: Literal["true_tokens", "published"] = "true_tokens",
        tied: bool = True,
        min_flops: float = 2.18e17,
        starts: int = 64,
        draws: int = 1000,
        seed: int = 0,
    ) -> None:
        check_choice("convention", convention, ("true_tokens", "published"))
        check_flag("tied", tied)
        check_range("min_flops", min_flops, 0)
        self.convention, self.tied, self.min_flops = convention, tied, min_flops
        self.starts, self.draws, self.seed = starts, draws, seed

    def fit(self, frame: "pd.DataFrame") -> VocabularyResults:
        """Fit to checkpoints; see the module for the columns.

        Raises
        ------
        InputError : missing columns, too few sizes, vocabularies or rows.
        FitError : no start converges.
        """
        frame = check_checkpoints(frame)
        frame = check_checkpoints(frame[frame["flops"] >= self.min_flops])
        table = self.table(frame)
        exponents = {name: (0.1, 2.0) for name in ("alpha1", "alpha2", "beta")}
        if self.tied:
            del exponents["alpha1"]
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", UserWarning
            )  # few of the starts agree on this flat objective; tests check the optimum
            fit = ScalingLaw(
                "vocabulary", table, columns={name: name for name in table.columns[:4]}, groups="run"
            ).fit(
                scale="identity",
                delta=1e-3,
                tie={"alpha1": "beta"} if self.tied else None,
                bounds=exponents,
                starts=self.starts,
                bootstrap=self.draws,
                seed=self.seed,
            )
        names = list(fit.params.index)
        resampled = [] if fit.bootstrap_params is None else np.asarray(fit.bootstrap_params)
        draws = tuple(
            ParametricCoefficients(**dict(zip(names, map(float, row), strict=True))) for row in resampled
        )
        coefficients = ParametricCoefficients(**{name: float(value) for name, value in fit.params.items()})
        return summarize_fit(
            3, coefficients, draws, len(table), table["run"].nunique(), np.asarray(fit.resid)
        )

    def table(self, frame: "pd.DataFrame") -> "pd.DataFrame":
        """The inputs of the law: n_nv and n_v in millions, tokens in billions under the convention, y, and the run."""
        import pandas as pd

        if self.convention == "true_tokens" and "tokens" in frame.columns:
            tokens = frame["tokens"]
        else:
            divisor = 1_000 if self.convention == "published" else 1
            tokens = frame["train_characters"] * tokens_per_character(frame["vocab_size"] / divisor)
        return pd.DataFrame(
            {
                "n_nv": frame["params_non_vocab"] / 1e6,
                "n_v": frame["params_vocab"] / 1e6,
                "tokens": tokens / 1e9,
                "y": frame[LOSS],
                "run": frame.groupby(RUN).ngroup(),
            }
        )

    def residuals(self, frame: "pd.DataFrame", coefficients: ParametricCoefficients) -> np.ndarray:
        """Fitted minus measured loss of given constants on the rows that a fit would use."""
        table = self.table(frame[frame["flops"] >= self.min_flops])
        constants = {name: getattr(coefficients, name) for name in get("vocabulary").names}
        return (
            get("vocabulary")(table["n_nv"], table["n_v"], table["tokens"], **constants)
            - table["y"].to_numpy()
        )
