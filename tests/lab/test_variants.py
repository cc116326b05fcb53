"""The variants of the chapter on density: their text, their plan, their making and their densities."""

import numpy as np
import pandas as pd
import pytest

from densing.data import load_tokenizer
from densing.errors import InputError
from densing.lab import (
    PLANNED_LAW,
    VARIANTS,
    Noise,
    density_ratios,
    describe_ratios,
    document_shifts,
    fit_reference,
    load_reference_runs,
    load_runs,
    ratios_table,
    rerun_sample,
    shuffle_sentences,
    simulate_family,
    variant_density_chart,
    variant_spec,
    variants_plan,
)
from densing.lab.variants import making
from densing.lab.variants.making import block_matrices, make_variant
from densing.lab.variants.ratios import _holm_shares
from densing.lab.yardstick.rows import METRIC
from densing.models import Decoder, DecoderConfig
from densing.training import Trainer, Trunk, constant

NOISE = Noise(0.0015, 0.003, 0.002, 0.0)
TEXTS = [
    "First here. Then there! Where?\nA new line\n\nand a last one.",
    "One 1.5 number. Two e.g. words.\n",
    "What is 2 and 2<ans>4<end>. Again 3 and 3<ans>6<end>",
    "The document at the end. It may be cut.",
]


def windows_of(texts, length):
    tokenizer = load_tokenizer("bpe-1024")
    ids = [token for text in texts for token in tokenizer.encode("<doc>" + text).ids]
    ids += [5] * (-(len(ids) - 1) % length)
    return np.lib.stride_tricks.sliding_window_view(np.array(ids, np.uint16), length + 1)[::length], tokenizer


def documents_of(windows, tokenizer):
    stream = np.append(windows[:, :-1].ravel(), windows[-1, -1])
    return tokenizer.decode(stream.tolist(), skip_special_tokens=False).split("<doc>")[1:]


def test_sentences_are_permuted_within_their_document_and_nothing_else_changes():
    windows, tokenizer = windows_of(TEXTS, 16)
    old = documents_of(windows, tokenizer)
    seen = set()
    for seed in range(8):
        found = shuffle_sentences(windows, tokenizer, seed=seed)
        assert found.shape == windows.shape and found.dtype == windows.dtype
        assert (found[:-1, -1] == found[1:, 0]).all()
        new = documents_of(found, tokenizer)
        assert new[2:] == old[2:], "skills and the last document stay"
        assert [sorted(a) for a in new] == [sorted(a) for a in old]
        for sentence in ("First here.", " Then there!", " Where?\n", "A new line\n\n", "and a last one."):
            assert sentence in new[0]
        assert "One 1.5 number." in new[1], "a stop within a number ends nothing"
        seen.add(new[0])
    assert len(seen) > 4
    again = shuffle_sentences(windows, tokenizer, seed=3)
    assert (again == shuffle_sentences(windows, tokenizer, seed=3)).all()
    with pytest.raises(InputError, match="share one token"):
        shuffle_sentences(windows[::2], tokenizer)


def test_the_plan_holds_every_variant_under_three_seeds():
    plan = variants_plan()
    assert len({spec.digest for spec in plan}) == len(plan) == 3 * len(VARIANTS)
    assert len({spec.sweep for spec in plan}) == 1
    works = [spec.work for spec in plan]
    assert works == sorted(works, reverse=True)
    recovered = variant_spec("recovered").config
    assert recovered["recovery_tokens"] % recovered["batch_tokens"] == 0
    assert 0 <= 500_000 - recovered["recovery_tokens"] < recovered["batch_tokens"]
    plain, distilled = variant_spec("shuffled", 1).config, variant_spec("distilled", 1).config
    differ = {key for key in plain.keys() | distilled.keys() if plain.get(key) != distilled.get(key)}
    assert differ == {"variant", "teacher", "temperature", "distillation_weight"}
    for call in (lambda: variant_spec("halved"), lambda: variants_plan(("halved",))):
        with pytest.raises(InputError, match="halved"):
            call()


@pytest.mark.parametrize("seed", [0, 1])
def test_pruned_and_rounded_members_have_the_counts_they_claim(seed):
    model, counts = make_variant(variant_spec("pruned", seed).config)
    matrices = sum(p.numel() for name, p in model.named_parameters() if name in block_matrices(model))
    assert counts["n_stored"] == 443_232 and counts["new_tokens"] == 0
    assert counts["n_kept"] == 443_232 - matrices // 2
    weights = dict(model.named_parameters())
    zeros = sum(int((weights[name] == 0).sum()) for name in block_matrices(model))
    assert zeros == matrices // 2, "in the weights that the forward pass uses"
    assert (weights["embedding.weight"] != 0).all()
    for name, bits in (("int8", 8), ("int4", 4)):
        rounded, counts = make_variant(variant_spec(name, seed).config)
        rows = sum(p.shape[0] for n, p in rounded.named_parameters() if n in block_matrices(rounded))
        assert counts["n_stored"] == 443_232 - matrices + matrices * bits / 16 + rows
        row = rounded.blocks[0].qkv.weight[0]
        assert len(row.unique()) <= 2**bits - 1


class Text:
    """A short text and small models in the place of the family's."""

    def __init__(self, monkeypatch):
        self.windows, _ = windows_of([f"Line {k} is here. And {k * k} there.\n" for k in range(400)], 16)
        self.asked: list[int] = []
        monkeypatch.setattr(making, "open_trainer", self.open_trainer)
        monkeypatch.setattr(making, "load_reference", lambda *about: tiny(9))

    def open_trainer(self, config, budget):
        self.asked.append(budget)
        return Trainer(
            tiny(config["seed"]), self.windows, schedule=constant(), peak_rate=1e-2, batch_sequences=4
        )


def tiny(seed):
    return Decoder(DecoderConfig(1_024, 8, 1, 2, context=16), seed=seed)


def small(name, **more):
    about = {"batch_tokens": 64, "tokens": 1_280, "warmup_tokens": 128, "rate": 1e-2} | more
    return variant_spec(name, 0).config | about


@pytest.fixture
def text(monkeypatch):
    monkeypatch.setattr(making, "CONTEXT", 16)
    return Text(monkeypatch)


def test_trained_variants_see_their_budget_and_differ_from_a_plain_run(text):
    plain = (
        Trunk(text.open_trainer(small("shuffled"), 0), warmup_tokens=128, decay_share=0.1).branch(1_280).model
    )
    seen = {}
    for name in ("shuffled", "distilled"):
        model, counts = make_variant(small(name))
        assert counts["new_tokens"] == 1_280 and isinstance(model, Decoder)
        assert counts["n_kept"] == counts["n_stored"] == tiny(0).config.n_parameters
        seen[name] = model.blocks[0].qkv.weight
        assert (seen[name] != plain.blocks[0].qkv.weight).any()
    assert (seen["shuffled"] != seen["distilled"]).any()
    again, _ = make_variant(small("distilled"))
    assert (again.blocks[0].qkv.weight == seen["distilled"]).all()


def test_recovery_keeps_the_zeros_and_reads_what_comes_after_the_parents_text(text, monkeypatch):
    used = []
    monkeypatch.setattr(
        making,
        "Trainer",
        lambda model, windows, **how: used.append(windows) or Trainer(model, windows, **how),
    )
    pruned, _ = make_variant(small("pruned"))
    model, counts = make_variant(small("recovered", recovery_tokens=640))
    assert counts["new_tokens"] == 640 and text.asked[-1] == 1_280 + 640
    assert (used[0] == text.windows[80:120]).all(), "1,280 tokens are 80 windows"
    old, new = pruned.blocks[0].down.weight, model.blocks[0].down.weight
    assert ((old == 0) == (new == 0)).all() and (old != new).any()


def family():
    return simulate_family(PLANNED_LAW, NOISE, seed=3)


def rows(frame, name, *, density=1.0, kept=1.0, scatter=0.0, seeds=(0, 1, 2)):
    """A variant of known density relative to its parent: its loss is the curve's at kept * density * N."""
    size, count = VARIANTS[name]["size"], {"d0.2M": 201_280, "d0.4M": 443_232}[VARIANTS[name]["size"]]
    law = PLANNED_LAW
    value = lambda n: law["E"] + law["A"] * n ** -law["alpha"] + law["B"] * 4e6 ** -law["beta"]  # noqa: E731
    at = frame[(frame["size"] == size) & (frame["tokens"] == 4_000_000)].set_index("seed")[METRIC]
    factor = value(count * kept * density) / value(count)
    rng = np.random.default_rng(5)
    found = [
        (name, size, s, kept * count, kept * count, at[s] * factor * np.exp(scatter * rng.normal()))
        for s in seeds
    ]
    frame = pd.DataFrame(found, columns=["variant", "size", "seed", "n_kept", "n_stored", METRIC])
    return frame.assign(tokens=4_000_000, new_tokens=500_000 if name == "recovered" else 0)


@pytest.fixture(scope="module")
def reference():
    return fit_reference(family(), draws=1_000)


@pytest.mark.parametrize(
    ("name", "density", "kept"),
    [("pruned", 0.6, 0.5), ("pruned", 1.5, 0.5), ("distilled", 1.4, 1.0), ("int8", 2.0, 0.5)],
)
def test_a_planted_ratio_is_found_and_the_parents_own_luck_cancels(reference, name, density, kept):
    (found,) = density_ratios(rows(family(), name, density=density, kept=kept), reference).itertuples()
    assert found.ratio == pytest.approx(density, rel=0.06)
    assert found.lower <= density <= found.upper
    assert found.size_ratio == kept and found.seeds == 3
    if name not in ("distilled", "shuffled"):
        assert found.upper / found.lower < 1.35, "no seed noise is left"


def test_half_the_parameters_at_equal_loss_double_the_density_exactly(reference):
    (found,) = density_ratios(rows(family(), "pruned", density=2.0, kept=0.5), reference).itertuples()
    assert found.ratio == pytest.approx(2, rel=1e-9) and found.lower == pytest.approx(2) == found.upper


def test_runs_of_their_own_keep_their_noise(reference):
    one = density_ratios(rows(family(), "distilled"), reference).iloc[0]
    assert one["lower"] < 0.97 < 1.03 < one["upper"] and one["p"] > 0.05
    same = density_ratios(rows(family(), "recovered", kept=1.0, scatter=0.004), reference).iloc[0]
    assert same["upper"] / same["lower"] > 1.05


def test_holm_widens_the_intervals(reference):
    planned = [("pruned", 0.5), ("recovered", 1.02), ("distilled", 0.98), ("int4", 3.0)]
    frame = pd.concat([rows(family(), name, density=rho, scatter=0.002) for name, rho in planned])
    found = density_ratios(frame, reference).set_index("variant")
    assert list(found.index) == [name for name in VARIANTS if name in dict(planned)]
    width = np.log(found["upper"] / found["lower"])
    wide = np.log(found["upper_holm"] / found["lower_holm"])
    assert (wide > width).all(), "two tests fail, so that none is judged alone"
    judged = (found["upper_holm"] < 1) | (found["lower_holm"] > 1)
    assert judged["pruned"] and judged["int4"] and not judged["distilled"]
    assert list(ratios_table(found.reset_index())["N counts"])[-1] == "bits / 16"
    said = describe_ratios(found.reset_index())
    for side, name in (("less dense: ", "pruned"), ("; denser: ", "int4")):
        assert f"{side}{VARIANTS[name]['title']} ({found.loc[name, 'ratio']:.2f})" in said
    axes = variant_density_chart(found.reset_index()).axes[0]
    assert [text.get_text().split("\n")[0] for text in axes.get_yticklabels()] == list(found["title"])


def test_bad_rows_are_named(reference):
    good = rows(family(), "pruned")
    for bad, words in (
        (good.assign(variant="halved"), "halved"),
        (good.assign(seed=[0, 1, 7]), "seed 7"),
        (good.iloc[:1], "one seed"),
        (good.drop(columns="n_kept"), "n_kept"),
    ):
        with pytest.raises(InputError, match=words):
            density_ratios(bad, reference)


def test_the_density_at_equal_tokens_is_the_familys_own(reference):
    frame = rows(family(), "pruned", density=0.6, kept=0.5)
    (pruned,) = density_ratios(frame, reference).itertuples()
    parent = density_ratios(frame.assign(**{METRIC: _parents()}), reference).iloc[0]
    assert pruned.density == pytest.approx(pruned.ratio * parent["density"] / parent["ratio"], rel=1e-9)
    (longer,) = density_ratios(frame.assign(variant="recovered", new_tokens=500_000), reference).itertuples()
    assert longer.density < 0.97 * pruned.density, "half a million tokens more would have bought some of it"
    assert longer.ratio == pytest.approx(pruned.ratio)


def _parents():
    frame = family()
    return (
        frame[(frame["size"] == "d0.4M") & (frame["tokens"] == 4_000_000)]
        .sort_values("seed")[METRIC]
        .tolist()
    )


def test_documents_move_a_ratio_only_where_they_disagree(reference):
    rng = np.random.default_rng(0)
    parent = rng.gamma(2.0, 300.0, 200)
    assert np.abs(document_shifts((1.03 * parent, parent), 500, 0)).max() < 1e-12
    uneven = parent * np.exp(0.1 * rng.normal(size=200))
    shifts = document_shifts((uneven, parent), 2_000, 0)
    share = parent / parent.sum()
    expected = np.sqrt((share**2 * (uneven / parent - uneven.sum() / parent.sum()) ** 2).sum())
    assert shifts.std() == pytest.approx(expected, rel=0.1) and abs(shifts.mean()) < 0.2 * expected
    frame = rows(family(), "pruned", density=0.6, kept=0.5)
    sharp = density_ratios(frame, reference).iloc[0]
    wide = density_ratios(frame, reference, {"pruned": (uneven, parent)}).iloc[0]
    assert wide["ratio"] == sharp["ratio"]
    assert wide["upper"] / wide["lower"] > 1.05 * sharp["upper"] / sharp["lower"]
    with pytest.raises(InputError, match="200 of the variant"):
        document_shifts((parent, parent[:5]), 10, 0)


def test_holm_stops_at_the_first_that_fails():
    p = np.array([0.04, 0.03, 0.001])
    assert _holm_shares(p, 0.05).tolist() == pytest.approx([0.025, 0.025, 0.05 / 3])
    assert _holm_shares(np.array([0.2, 0.001]), 0.05).tolist() == [0.05, 0.025]
    assert _holm_shares(np.array([0.5]), 0.05).tolist() == [0.05]


def test_recorded_rows_are_of_the_plan():
    recorded = load_runs("density_variants")
    assert set(recorded["digest"]) <= {spec.digest for spec in variants_plan()}
    family = load_reference_runs()
    parent = family[(family["size"] == "d0.4M") & (family["tokens"] == 4_000_000)].set_index("seed")[METRIC]
    loss = recorded.set_index(["variant", "seed"])[METRIC]
    for seed in (0, 1, 2):
        assert loss["int8", seed] == pytest.approx(parent[seed], rel=1e-3)
        assert parent[seed] < loss["int4", seed] < loss["pruned", seed] < 1.1 * parent[seed]


@pytest.mark.slow
def test_a_recorded_variant_gives_the_same_numbers():
    plan = [spec for spec in variants_plan(("pruned",)) if spec.config["seed"] == 1]
    again = rerun_sample(plan, 1, largest_seconds=600).set_index("metric").drop("train_seconds")
    again = again[again["rerun"].notna()]  # the out-of-domain split needs an archive
    assert "bits_per_byte_val_b" in again.index
    np.testing.assert_allclose(again["rerun"], again["recorded"], rtol=1e-5)
