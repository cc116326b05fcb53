"""The how-to page's code does what the page says."""

import re

import numpy as np
import pandas as pd

from densing.data import repository_root
from densing.laws import chinchilla


def test_the_blocks_of_the_page_run_in_order(tmp_path, monkeypatch):
    text = (repository_root() / "chapters" / "reference" / "fit_your_runs.md").read_text(encoding="utf-8")
    blocks = re.findall(r"(?ms)^```python\n(.*?)^```", text)
    assert len(blocks) == 3
    rng = np.random.default_rng(0)
    params, ratio = np.meshgrid(np.geomspace(1e8, 2e10, 6), np.geomspace(5, 200, 5))
    runs = pd.DataFrame({"params": params.ravel(), "tokens": (params * ratio).ravel()})
    planted = {"E": 1.8, "A": 480.0, "B": 2100.0, "alpha": 0.35, "beta": 0.37}
    noise = np.exp(0.003 * rng.normal(size=len(runs)))
    runs["loss"] = chinchilla(runs["params"], runs["tokens"], **planted) * noise
    runs["flops"] = 6 * runs["params"] * runs["tokens"]
    runs.to_csv(tmp_path / "runs.csv", index=False)
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    for block in blocks:
        exec(block, names)
    found = names["found"]
    assert abs(found.params["E"] - 1.8) < 0.1
    ends = found.conf_int()
    assert (ends["lower"] < pd.Series(planted)).all() and (ends["upper"] > pd.Series(planted)).all()
