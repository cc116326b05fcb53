"""Results as JSON and back."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from densing.errors import InputError
from densing.laws import base

_FORMAT = 1


def as_dict(results) -> dict:
    """What of a result is written: all but the data."""
    draws = results.bootstrap_params
    intervals = results.conf_int()
    return {
        "format": _FORMAT,
        "law": results.law.name,
        "law_version": results.law.version,
        "labels": _labels(results.law),
        "columns": dict(results.columns),
        "scale": results.scale,
        "loss": results.loss,
        "delta": results.delta if np.isfinite(results.delta) else None,
        "n": results.nobs,
        "df_resid": results.df_resid,
        "params": results.params.to_dict(),
        "bse": results.bse.to_dict(),
        "conf_int": {
            name: list(ends)
            for name, ends in zip(intervals.index, intervals.to_numpy().tolist(), strict=True)
        },
        "objective": results.fun,
        "converged": results.converged,
        "start_agreement": results.start_agreement,
        "cov_params_wald": results.wald.tolist(),
        "bootstrap_params": None if draws is None else draws.tolist(),
        "resid": results.resid.tolist(),
        "input_ranges": {name: list(ends) for name, ends in results.input_ranges.items()},
        "data_sha256": results.data_digest,
        "optimizer": dict(results.optimizer),
        "seed": results.seed,
    }


def read_results(kind, source: str | Path):
    """A result of class `kind` from JSON text or from a file.

    Raises
    ------
    InputError : not JSON, not such a result, or fitted with another version of the law.
    """
    is_text = isinstance(source, str) and source.lstrip().startswith("{")
    try:
        found = json.loads(source if is_text else Path(source).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InputError(f"source: cannot be read as JSON ({error})") from None
    if not isinstance(found, dict) or found.get("format") != _FORMAT:
        raise InputError(f"source: must be the JSON of a fitted law, format {_FORMAT}")
    try:
        law = base.get(found["law"]).resolve({k: np.array(v) for k, v in found["labels"].items()})
        if found["law_version"] != law.version:
            raise InputError(
                f"source: fitted with version {found['law_version']} of {law.name}, this is {law.version}"
            )
        draws = found["bootstrap_params"]
        return kind(
            law=law,
            columns=found["columns"],
            scale=found["scale"],
            loss=found["loss"],
            delta=np.inf if found["delta"] is None else float(found["delta"]),
            params=pd.Series(found["params"], dtype=float, name="params"),
            fun=float(found["objective"]),
            nobs=int(found["n"]),
            df_resid=int(found["df_resid"]),
            converged=bool(found["converged"]),
            start_agreement=float(found["start_agreement"]),
            bootstrap_params=None if draws is None else np.array(draws, dtype=float),
            resid=np.array(found["resid"], dtype=float),
            input_ranges={name: tuple(ends) for name, ends in found["input_ranges"].items()},
            wald=np.array(found["cov_params_wald"], dtype=float),
            data_digest=found["data_sha256"],
            optimizer=found["optimizer"],
            seed=int(found["seed"]),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"source: incomplete JSON of a fitted law ({error!r})") from None


def _labels(law) -> dict[str, list]:
    """What `resolve` needs to make a law again whose parameters depend on the data."""
    cells = getattr(law, "cells", ())
    return (
        {"task": [c[0] for c in cells], "weight": [c[1] for c in cells]}
        if cells
        else {"task": [0], "weight": [0]}
    )
