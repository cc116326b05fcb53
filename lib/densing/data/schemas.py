"""Schemas of the published tables (pandera), by table name."""

import pandas as pd
import pandera.pandas as pa

_CORE5 = ("mmlu", "bbh", "math", "humaneval", "mbpp")
_SOURCED = (*_CORE5, "mmlu_pro", "gsm8k", "arc_c", "hellaswag")
_UNSOURCED = (
    "winogrande", "truthfulqa", "gpqa", "agieval", "arc_c_mc", "evalplus_avg", "xwinograd",
    "v2norm_ifeval", "v2norm_bbh", "v2norm_math", "v2norm_mmlu_pro", "v2norm_gpqa", "v2norm_musr",
)  # fmt: skip
_PROVENANCE = {
    "release_date_source": "vendor epoch llmstats open_llms index recall".split(),
    "params_tokens_source": "obs card blog vendor report llmstats epoch pythia ladder index name recall".split(),
}

_flag = pa.Column(int, pa.Check.isin((0, 1)))
_count = pa.Column(int, pa.Check.gt(0))
_text = pa.Column(str, pa.Check.str_length(min_value=1))


def _doubted_scores_exist(frame: pd.DataFrame) -> pd.Series:
    named = frame["doubtful_scores"].fillna("").str.split(";")
    return pd.Series(
        [
            all(name in frame and pd.notna(frame.at[row, name]) for name in names if name)
            for row, names in named.items()
        ],
        index=frame.index,
    )


def _score(name: str) -> pa.Check:
    return pa.Check(
        lambda frame: frame[name].isna() == frame[f"{name}_source"].isna(),
        error=f"a {name} score needs its source, and a source its score",
    )


_densing_models = pa.DataFrameSchema(
    {
        "model": pa.Column(str, unique=True),
        "organisation": _text,
        "family": _text,
        "params_total": _count,
        "params_active": _count,
        "is_moe": _flag,
        "train_tokens": pa.Column(float, pa.Check.gt(0), nullable=True, coerce=True),
        "release_date": pa.Column(
            "datetime64[ns]",
            pa.Check.in_range("2023-01-01", "2027-01-01"),
            # what cannot be read becomes a missing value, which the column refuses
            parsers=pa.Parser(lambda column: pd.to_datetime(column, format="ISO8601", errors="coerce")),
        ),
        "release_date_precision": pa.Column(str, pa.Check.isin(("day", "month"))),
        **{name: pa.Column(str, pa.Check.isin(allowed)) for name, allowed in _PROVENANCE.items()},
        "date_recalled": _flag,
        "size_recalled": _flag,
        "doubtful_scores": pa.Column(str, nullable=True),
        **{
            name: pa.Column(float, pa.Check.in_range(0, 1), nullable=True, coerce=True)
            for name in (*_SOURCED, *_UNSOURCED)
        },
        **{f"{name}_source": pa.Column(str, nullable=True) for name in _SOURCED},
        "n_benchmarks_core5": pa.Column(int, pa.Check.in_range(0, 5)),
    },
    checks=[
        pa.Check(
            lambda f: f["params_active"] <= f["params_total"], error="active parameters exceed the total"
        ),
        pa.Check(
            lambda f: (f["is_moe"] == 1) | (f["params_active"] == f["params_total"]),
            error="a dense model has all its parameters active",
        ),
        pa.Check(
            lambda f: f[list(_CORE5)].notna().sum(axis=1) == f["n_benchmarks_core5"],
            error="n_benchmarks_core5 is not the number of core scores",
        ),
        pa.Check(
            lambda f: (f["date_recalled"] == 1) == (f["release_date_source"] == "recall"),
            error="date_recalled disagrees with release_date_source",
        ),
        pa.Check(
            lambda f: (f["size_recalled"] == 1) == (f["params_tokens_source"] == "recall"),
            error="size_recalled disagrees with params_tokens_source",
        ),
        pa.Check(_doubted_scores_exist, error="doubtful_scores names a score that is absent"),
        pa.Check(
            lambda f: (f["release_date_precision"] == "day") | (f["release_date"].dt.day == 15),
            error="a date known to the month stands on its 15th",
        ),
        *map(_score, _SOURCED),
    ],
    strict=True,
    unique_column_names=True,
)

_densing_sources = pa.DataFrameSchema(
    {"source_id": pa.Column(str, unique=True), "used_for": _text, "where": _text, "licence": _text},
    strict=True,
)

SCHEMAS: dict[str, pa.DataFrameSchema] = {
    "densing_models": _densing_models,
    "densing_sources": _densing_sources,
}
