"""The variants of the family that the chapter on density makes: one run a variant and seed."""

from typing import Any

from densing.checks import check_choice, check_range
from densing.lab.reference.plan import reference_spec
from densing.lab.reference.recipe import REFERENCE_TOKENS, SEEDS, TOKENIZER
from densing.lab.runs import RunSpec

SWEEP = "density_variants"
TASK = "densing.lab.variants.making:variant_rows"
#: Size that a variant has or starts from, what it is called on a page, and what makes it.
VARIANTS: dict[str, dict[str, Any]] = {
    "shuffled": {"size": "d0.2M", "title": "sentences shuffled"},
    "pruned": {"size": "d0.4M", "title": "pruned to half", "sparsity": 0.5},
    "recovered": {
        "size": "d0.4M",
        "title": "pruned, 0.5M tokens more",
        "sparsity": 0.5,
        "recovery_tokens": 500_000,
    },
    "distilled": {
        "size": "d0.2M",
        "title": "distilled from 0.9M",
        "teacher": "d0.9M",
        "temperature": 2.0,
        "distillation_weight": 0.5,
    },
    "int8": {"size": "d0.4M", "title": "rounded to 8 bits", "bits": 8},
    "int4": {"size": "d0.4M", "title": "rounded to 4 bits", "bits": 4},
}
_UNUSED = ("items", "choice_items", "budgets")
_EVALUATION_TOKENS = 350_000  # of the three splits


def variant_spec(
    variant: str,
    seed: int = 0,
    *,
    tokens: int = REFERENCE_TOKENS,
    tokenizer: str = TOKENIZER,
    device: str = "cpu",
) -> RunSpec:
    """One variant of one seed, on the recipe of the family.

    Parameters
    ----------
    variant : one of `VARIANTS`.
    seed : of weights and order of the text; a parent and a teacher are the family's members of this seed.
    tokens : budget of the parent, or of the variant where it is trained from the start.
    tokenizer : ``bpe-V``. device : where to train.

    Raises
    ------
    InputError : an unknown variant, or tokens that are not positive.
    """
    check_choice("variant", variant, VARIANTS)
    check_range("tokens", tokens, 1, integer=True)
    about = {name: value for name, value in VARIANTS[variant].items() if name != "title"}
    base = reference_spec(about["size"], seed, budgets=(tokens,), tokenizer=tokenizer, device=device)
    config = {name: value for name, value in base.config.items() if name not in _UNUSED}
    config |= {"variant": variant, "tokens": tokens} | about
    if "recovery_tokens" in about:  # whole batches
        config["recovery_tokens"] -= config["recovery_tokens"] % config["batch_tokens"]
    per_token = base.work / (tokens * (1 + config["decay_share"]))
    work = per_token * (tokens if variant in ("shuffled", "distilled") else about.get("recovery_tokens", 0))
    if "teacher" in about:
        teacher = reference_spec(about["teacher"], seed, budgets=(tokens,), tokenizer=tokenizer)
        work += teacher.work / (1 + config["decay_share"]) / 3  # forward only
    return RunSpec(SWEEP, TASK, config, work=work + per_token / 3 * _EVALUATION_TOKENS)


def variants_plan(variants: tuple[str, ...] = (), *, device: str = "cpu") -> list[RunSpec]:
    """Every variant under the family's three seeds, the largest runs first.

    Parameters
    ----------
    variants : some of `VARIANTS`; all by default.
    device : where to train.
    """
    for variant in variants:
        check_choice("variants", variant, VARIANTS)
    specs = [variant_spec(variant, seed, device=device) for variant in variants or VARIANTS for seed in SEEDS]
    return sorted(specs, key=lambda spec: -spec.work)


def main(arguments: list[str] | None = None) -> None:
    """Make what is missing and record it in ``data/runs/density_variants.csv``."""
    import argparse

    from densing.lab.sweeps import run_sweep

    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("variants", nargs="*", help=f"some of {', '.join(VARIANTS)}; all by default")
    parser.add_argument("--processes", type=int, default=2)
    given = parser.parse_args(arguments)
    print(run_sweep(variants_plan(tuple(given.variants)), processes=given.processes))


if __name__ == "__main__":
    main()
