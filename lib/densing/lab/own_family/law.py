"""The law of a reader's ladder."""

import json
from typing import Any

from densing.data.tokenizers import write_whole
from densing.errors import FitError, InputError
from densing.lab.own_family.ladder import Ladder
from densing.lab.own_family.power_line import fit_power_line
from densing.lab.own_family.text_density import ladder_reference
from densing.lab.yardstick.rows import read_reference

LAW = "law.json"


def ladder_law(ladder: Ladder) -> dict[str, Any]:
    """Fit what a ladder's rows allow, and write it to law.json in its folder.

    Four sizes give the curve E + A / N^alpha of the nominal budget, and with three budgets the law with B / D^beta;
    two or three sizes a plain power law ln L = c - a ln N - b ln D; one size nothing.

    Returns
    -------
    kind ("law", "curve", "power" or "none"), metric, reference_tokens, params by name (those of the curve under
    "curve" where there is a law), noise (standard deviations of ln L by cause), notes.
    """
    reference = ladder_reference(ladder)
    found: dict[str, Any] = {
        "kind": "none",
        "metric": reference.metric,
        "reference_tokens": reference.reference_tokens,
        "params": {},
        "noise": {},
        "notes": [],
    }
    try:
        fitted = reference.fit(draws=100)
        if fitted is None:
            line = fit_power_line(read_reference(reference.frame, reference.metric))
            found["kind"] = "power"
            found["params"] = dict(zip("cab", line.theta.tolist(), strict=True))
            found["noise"] = {"residual": line.spread if line.freedom else None}
            found["notes"].append("fewer than four sizes: a power law without a floor")
        else:
            curve = fitted.curve.params[["E", "A", "alpha"]].to_dict()
            law = None if fitted.law is None else fitted.law.params.to_dict()
            found |= {"kind": "curve" if law is None else "law", "params": law or curve, "curve": curve}
            found["noise"] = {
                part: getattr(fitted.noise, part) for part in ("order", "run", "branch", "size")
            }
            if law is None:
                found["notes"].append(
                    f"{len(fitted.rows.budgets)} budgets; a law of size and tokens needs three"
                )
            elif left_out := fitted.early.left_out:
                found["notes"].append(f"budgets left out of the law: {', '.join(f'{b:g}' for b in left_out)}")
    except (InputError, FitError) as error:
        found["notes"].append(str(error))
    write_whole(ladder.folder / LAW, (json.dumps(found, indent=1) + "\n").encode())
    return found
