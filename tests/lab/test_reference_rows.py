"""Recorded rows of the family, trained again from nothing."""

import hashlib
import subprocess

import pytest

from densing.lab import load_reference_runs, reference_spec
from densing.lab.reference.evaluation import split_losses
from densing.lab.reference.training import branches, no_kept_states

LONGEST = 60.0  # seconds that a row may have taken
SAMPLES = 3


def sampled_rows():
    """Three short rows, other ones with every commit."""
    rows = load_reference_runs().query("train_seconds <= @LONGEST").sort_values(["size", "seed", "tokens"])
    asked = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True)
    draw = int(hashlib.sha256(asked.stdout.strip().encode()).hexdigest(), 16)
    return rows.sample(SAMPLES, random_state=draw % 2**32).to_dict("records")


@pytest.mark.slow
@pytest.mark.parametrize("place", range(SAMPLES))
def test_a_recorded_row_is_reached_again(place, monkeypatch):
    row = sampled_rows()[place]
    config = reference_spec(row["size"], row["seed"], budgets=(row["tokens"],)).config
    assert config["corpus"] == row["corpus"] and config["skills"] == row["skills"]
    with no_kept_states():
        _, model, _ = next(branches(config))
    losses, _ = split_losses(model, config["tokenizer"], ("val_b",))
    for name in ("bits_per_byte_val_b", "nats_per_token_val_b"):
        assert losses[name] == pytest.approx(row[name], rel=1e-3)
