"""``densing density``: the capacity density of a reader's model."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from densing.lab import MeasuredDensity


def density(
    model: Annotated[
        Path,
        typer.Option(
            help="Folder of a transformers causal model with its tokenizer, or a checkpoint of the book."
        ),
    ],
    text: Annotated[
        Path | None,
        typer.Option(help="File or folder to measure on, 10 kB or more; default the ladder's own texts."),
    ] = None,
    reference: Annotated[
        Path | None, typer.Option(help="Ladder of `densing reference train`; default the reference family.")
    ] = None,
    tokens: Annotated[
        float | None, typer.Option(help="Tokens that the model was trained on; without them no controls.")
    ] = None,
    parameters: Annotated[
        float | None, typer.Option(help="Parameters to divide by; default all outside embeddings and head.")
    ] = None,
    budget: Annotated[
        float | None,
        typer.Option(help="Nominal budget of your ladder; default the largest that all sizes have."),
    ] = None,
    window: Annotated[
        int | None, typer.Option(help="Tokens read at a time; default the model's context, 2,048 at most.")
    ] = None,
    draws: Annotated[int, typer.Option(help="Draws of the intervals, 100 to 20,000.")] = 2000,
    seed: Annotated[int, typer.Option(help="Of the draws.")] = 0,
    device: Annotated[str, typer.Option(help="cpu, cuda, mps: where the model runs.")] = "cpu",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of lines.")] = False,
) -> None:
    """Measure the capacity density of a model: the size of the ladder that is as good, over its own."""
    import json
    import warnings

    from densing.errors import FitError, InputError
    from densing.lab import density_of_files

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        try:
            found = density_of_files(
                model,
                text=text,
                reference=reference,
                tokens=tokens,
                n_parameters=parameters,
                reference_tokens=budget,
                window=window,
                draws=draws,
                seed=seed,
                device=device,
            )
        except FitError as error:
            raise InputError(str(error)) from None
    for line in dict.fromkeys(" ".join(str(w.message).split()) for w in caught):
        print(f"densing: warning: {line}", file=sys.stderr)
    print(json.dumps(_report(found), indent=1, allow_nan=False) if as_json else "\n".join(_lines(found)))


def _lines(found: "MeasuredDensity"):
    rho, losses = found.density, found.losses
    level = f"{100 * rho.level:g} %"
    first = (
        f"{losses.start} stands before each document"
        if losses.start
        else "a first token is given, not counted"
    )
    last = f"{losses.end} after it counts" if losses.end else "ends are not predicted"
    yield f"model          {found.name}: N = {rho.n_parameters:,.0f} parameters without embeddings"
    yield f"ladder         {found.reference.name}, nominal budget {found.reference.reference_tokens:,.0f} tokens"
    yield (
        f"text           {len(losses.kept):,} documents, {int(losses.text_bytes.sum()):,} bytes, "
        f"windows of {losses.window:,} tokens"
    )
    yield f"tokens         {first}; {last}"
    yield f"loss           {losses.bits_per_byte:.4f} bits per byte"
    yield f"density        rho = {_interval(rho)} ({level}), effective size {rho.n_effective:,.0f}"
    yield f"equal tokens   {_interval(rho.rho_equal_tokens)}"
    yield f"equal compute  {_interval(rho.rho_equal_compute)}"
    yield f"flags          {'extrapolated' if rho.extrapolated else 'none'}"
    for note in found.notes:
        yield f"note           {note}"


def _interval(estimate) -> str:
    import math

    value = getattr(estimate, "rho", None) if hasattr(estimate, "rho") else estimate.value
    if math.isnan(value):
        return "unknown"
    if math.isnan(estimate.lower):
        return f"{value:.3g} [interval unknown]"
    return f"{value:.3g} [{estimate.lower:.3g}, {estimate.upper:.3g}]"


def _report(found: "MeasuredDensity") -> dict:
    """What ``--json`` prints; numbers that are not finite become null."""
    from densing.book.cli.fit import finite

    losses = found.losses
    row = found.density.as_row()
    row.pop("notes")
    return finite(
        {
            "model": found.name,
            "reference": found.reference.name,
            "reference_tokens": found.reference.reference_tokens,
            "documents": len(losses.kept),
            "bytes": int(losses.text_bytes.sum()),
            "bits_per_byte": losses.bits_per_byte,
            "bits_per_byte_without_end": losses.bits_per_byte_without_end,
            "start": losses.start,
            "end": losses.end,
            "window": losses.window,
            "lossless": losses.lossless,
            "level": found.density.level,
            **{key: value.item() if hasattr(value, "item") else value for key, value in row.items()},
            "notes": list(found.notes),
        }
    )
