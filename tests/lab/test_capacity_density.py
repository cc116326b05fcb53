"""Capacity density: the planted answers, the invariances, the intervals, and what is refused."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from densing import laws
from densing.errors import InputError
from densing.fitters import ScalingLaw
from densing.lab import (
    PLANNED_LAW,
    Noise,
    capacity_density,
    family_plan,
    fit_reference,
    paired_density_ratio,
    simulate_family,
    simulate_variant,
)
from densing.lab.yardstick.noise import draw_effects
from densing.lab.yardstick.rows import METRIC, read_reference

SILENT = Noise(0.0, 0.0, 0.0, 0.0)
NOISE = Noise(order=0.0015, run=0.003, branch=0.002, size=0.003)
N = 201_280
FEW = {"draws": 200}


def loss_of(size: float, tokens: float = 4e6, law=PLANNED_LAW) -> float:
    return float(laws.chinchilla(size, tokens, **law))


@pytest.fixture(scope="module")
def exact() -> pd.DataFrame:
    return simulate_family(PLANNED_LAW, SILENT)


@pytest.fixture(scope="module")
def family() -> pd.DataFrame:
    return simulate_family(PLANNED_LAW, NOISE, seed=5)


@pytest.fixture(scope="module")
def fitted(family):
    return fit_reference(family)


# planted answers


def twice(density) -> bool:
    """The 2N case: what any density function must pass."""
    return abs(density(loss_of(2 * N), N) - 2) < 1e-6


def test_a_model_as_good_as_twice_its_size_has_density_two(exact):
    found = capacity_density(loss_of(2 * N), N, reference=exact, **FEW)
    assert abs(found.rho - 2) < 1e-6 and abs(found.rho_law.value - 2) < 1e-6
    assert abs(found.n_effective - 2 * N) < 1 and found.method == "curve" and not found.extrapolated
    assert twice(lambda loss, n: capacity_density(loss, n, reference=exact, **FEW).rho)
    assert not twice(lambda loss, n: 1.0), "a stub must fail"
    assert not twice(lambda loss, n: loss_of(n) / loss), "a ratio of losses must fail"


@settings(max_examples=15, deadline=None)
@given(
    alpha=st.floats(0.1, 0.5), beta=st.floats(0.2, 0.6), floor=st.floats(0.3, 1.5), rho=st.floats(0.5, 2.5)
)
def test_densities_are_recovered_from_any_law(alpha, beta, floor, rho):
    law = {
        "E": floor,
        "A": 0.8 * 2e5**alpha,
        "B": 0.2 * 4e6**beta,
        "alpha": alpha,
        "beta": beta,
    }
    family = simulate_family(law, SILENT)
    found = capacity_density(loss_of(rho * N, law=law), N, reference=family, draws=100)
    assert found.rho == pytest.approx(rho, rel=1e-5) and found.rho_law.value == pytest.approx(rho, rel=1e-4)


def test_a_variant_of_other_tokens_is_read_off_the_law_with_both_controls(exact):
    tokens, rho = 8e6, 1.5
    loss = loss_of(rho * N, tokens)
    found = capacity_density(loss, N, tokens=tokens, reference=exact, **FEW)
    assert found.method == "law" and found.rho == found.rho_law.value
    assert found.rho_equal_tokens.value == pytest.approx(rho, abs=1e-5)
    assert found.rho > rho, "longer training alone makes a model denser at D0"
    # equal compute: search the compute at which the best split of the law reaches the loss
    sizes = np.geomspace(1e4, 1e7, 20_001)
    split = lambda c: laws.chinchilla(sizes, c / 6 / sizes, **PLANNED_LAW)  # noqa: E731
    low, high = 1e11, 1e15
    for _ in range(40):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if split(middle).min() > loss else (low, middle)
    expected = sizes[split(low).argmin()] / sizes[split(6 * N * tokens).argmin()]
    assert found.rho_equal_compute.value == pytest.approx(expected, rel=2e-3)
    assert found.rho_equal_compute.value < found.rho_equal_tokens.value


def test_a_member_at_its_best_compute_is_as_good_as_the_reference_at_equal_compute(exact):
    flops = 6 * 3e5 * 3e6
    best = laws.chinchilla.allocate(laws.chinchilla.pack(PLANNED_LAW), np.array([flops]))
    n, tokens = float(best["N"][0]), float(best["D"][0])
    found = capacity_density(loss_of(n, tokens), n, tokens=tokens, reference=exact, **FEW)
    assert found.rho_equal_compute.value == pytest.approx(1, abs=1e-5)
    assert found.rho_equal_tokens.value == pytest.approx(1, abs=1e-5)


def test_the_curves_are_those_of_the_scaling_law_fitter(family, fitted):
    columns = {"N": "n_parameters", "D": "tokens", "y": METRIC}
    law = ScalingLaw("chinchilla", family, columns=columns).fit(loss="squared", bootstrap=0)
    assert fitted.law.params.to_numpy() == pytest.approx(law.params.to_numpy(), rel=1e-5)
    at = family[family["tokens"] == 4e6]
    curve = ScalingLaw("hestness_power", at, columns={"m": "n_parameters", "y": METRIC})
    other = curve.fit(loss="squared", bootstrap=0).params
    assert fitted.curve.params[["A", "alpha", "E"]].to_numpy() == pytest.approx(
        [other["alpha"], -other["beta_g"], other["gamma"]], rel=1e-5
    )


# invariances


def test_units_and_tokenizer_labels_change_nothing(family):
    losses = [1.80, 1.81, 1.79]
    found = capacity_density(losses, N, reference=family, tokens=2e6, **FEW)
    nats = family.assign(**{METRIC: family[METRIC] * math.log(2)})
    other = capacity_density([x * math.log(2) for x in losses], N, reference=nats, tokens=2e6, **FEW)
    for name in ("rho", "lower", "upper", "n_effective"):
        assert getattr(other, name) == pytest.approx(getattr(found, name), rel=1e-6), name
    for name in ("rho_equal_tokens", "rho_equal_compute", "rho_curve"):
        assert getattr(other, name).value == pytest.approx(getattr(found, name).value, rel=1e-6), name
    relabelled = family.assign(tokenizer="other", vocab_size=4_096, nats_per_token_val_b=3 * family[METRIC])
    assert capacity_density(losses, N, reference=relabelled, tokens=2e6, **FEW) == found
    shuffled = family.sample(frac=1, random_state=0)
    again = capacity_density(losses, N, reference=shuffled, tokens=2e6, **FEW)
    assert again.rho == pytest.approx(found.rho, rel=1e-9)


def test_the_count_of_parameters_scales_out(family):
    found = capacity_density(1.8, N, reference=family, **FEW)
    seven = family.assign(n_parameters=7 * family["n_parameters"])
    assert capacity_density(1.8, 7 * N, reference=seven, **FEW).rho == pytest.approx(found.rho, rel=1e-6)
    half = capacity_density(1.8, 2 * N, reference=family, **FEW)
    assert half.rho == pytest.approx(found.rho / 2, rel=1e-12), "twice the size at equal loss: half as dense"


def test_a_seed_gives_the_same_interval_and_an_unlike_seed_another(family):
    first, second = (capacity_density(1.8, N, reference=family, **FEW) for _ in range(2))
    assert first == second
    other = capacity_density(1.8, N, reference=family, seed=1, **FEW)
    assert other.rho == first.rho and other.lower != first.lower


# noise and intervals


def test_the_four_noise_components_are_unbiased():
    truth = Noise(order=0.004, run=0.003, branch=0.002, size=0.005)
    found = [fit_reference(simulate_family(PLANNED_LAW, truth, seed=s)).noise for s in range(60)]
    for name in ("order", "run", "branch", "size"):
        squares = np.array([getattr(one, name) ** 2 for one in found])
        error = squares.std(ddof=1) / math.sqrt(len(squares))
        assert abs(squares.mean() - getattr(truth, name) ** 2) < 4 * error, name
        assert squares.mean() > 4 * error, name


def test_balanced_seed_noise_is_the_analysis_of_variance():
    """Where every cell has every seed, the moments are the mean squares of a text book."""
    family = simulate_family(PLANNED_LAW, NOISE, family_plan(single=0), seed=3)
    late = family[family["tokens"] >= 1e6]
    noise = fit_reference(family).noise
    cube = np.log(late.sort_values(["n_parameters", "tokens", "seed"])[METRIC].to_numpy().reshape(7, 4, 3))
    d = cube - cube.mean(axis=2, keepdims=True)
    order, run = d.mean(axis=(0, 1)), d.mean(axis=1)
    ms_order = 28 * (order**2).sum() / 2
    ms_run = 4 * ((run - order) ** 2).sum() / 12
    ms_branch = ((d - run[:, None]) ** 2).sum() / (7 * 3 * 2)
    assert noise.branch**2 == pytest.approx(ms_branch, rel=1e-9)
    assert noise.run**2 == pytest.approx(max(0, (ms_run - ms_branch) / 4), rel=1e-9)
    assert noise.order**2 == pytest.approx(max(0, (ms_order - ms_run) / 28), rel=1e-9, abs=1e-15)


def test_simulated_effects_have_the_structure_they_are_named_after():
    rows = read_reference(simulate_family(PLANNED_LAW, SILENT))
    rng = np.random.default_rng(0)

    def one(**sd):
        noise = Noise(**({"order": 0, "run": 0, "branch": 0, "size": 0} | sd))
        return draw_effects(noise, rows, rng, 4000).total

    same = lambda *labels: np.logical_and.reduce([x[:, None] == x for x in labels])  # noqa: E731
    for effects, shared in (
        (one(order=2.0), same(rows.seed)),
        (one(size=2.0), same(rows.size)),
        (one(run=2.0), same(rows.size, rows.seed)),
        (one(branch=2.0), same(rows.size, rows.seed, rows.tokens)),
    ):
        assert np.abs(np.cov(effects, rowvar=False) / 4 - shared).max() < 0.12


def test_known_noise_gives_the_interval_of_the_delta_method():
    """Seed noise alone, small: the half width is 1.96 s.d. of the loss over the slope, reference refits included."""
    noise = Noise(0.0, 1e-4, 0.0, 0.0)
    family = simulate_family(PLANNED_LAW, SILENT)
    found = capacity_density(loss_of(N), N, reference=family, noise=noise, controls=False, draws=20_000)
    size = np.sort(family["n_parameters"].unique())
    e, a, alpha = (fit_reference(family).curve.params[k] for k in ("E", "A", "alpha"))
    loss = e + a * size**-alpha
    slopes = np.stack([np.ones(7), size**-alpha, -a * size**-alpha * np.log(size)], axis=1) / loss[:, None]
    at = np.array([1.0, N**-alpha, -a * N**-alpha * math.log(N)]) / loss_of(N)
    curve = at @ np.linalg.inv(3 * slopes.T @ slopes) @ at
    relative_slope = alpha * a * N**-alpha / loss_of(N)
    expected = 1.96 * 1e-4 * math.sqrt(1 + curve) / relative_slope
    assert found.half_width == pytest.approx(expected, rel=0.03)


def test_paired_orders_cancel_and_more_seeds_help(fitted):
    loud = Noise(order=0.01, run=0.001, branch=0.0, size=0.0)
    family = simulate_family(PLANNED_LAW, loud, seed=1)
    reference = fit_reference(family, noise=loud)
    losses = [loss_of(N)] * 3
    width = lambda **how: capacity_density(losses, N, reference=reference, controls=False, **how).half_width  # noqa: E731
    assert width(orders=[0, 1, 2]) < 0.3 * width()
    one = capacity_density(losses[0], N, reference=fitted, controls=False).half_width
    three = capacity_density(losses, N, reference=fitted, controls=False).half_width
    assert three < one


def test_a_variants_own_spread_counts_from_five_seeds_on_if_larger(fitted):
    spread = lambda n, s: [loss_of(N) * math.exp(s * (-1) ** k) for k in range(n)]  # noqa: E731
    width = lambda losses: capacity_density(losses, N, reference=fitted, controls=False).half_width  # noqa: E731
    assert width(spread(4, 0.05)) == pytest.approx(width(spread(4, 0.0)), rel=0.05)
    assert width(spread(6, 0.05)) > 2 * width(spread(6, 0.0))
    assert width(spread(6, 1e-5)) == pytest.approx(width(spread(6, 0.0)), rel=1e-2)


def test_a_child_against_its_parent_loses_the_parents_seed_noise(fitted):
    losses = np.exp(np.log(loss_of(N)) + 0.004 * np.array([-1, 0, 1]))
    parent = capacity_density(losses, N, reference=fitted, controls=False)
    child = capacity_density(losses * 1.03, N / 2, reference=fitted, controls=False)
    ratio = child.ratio(parent)
    assert ratio.value == pytest.approx(child.rho / parent.rho)
    alone = math.log(ratio.upper / ratio.lower)
    apart = math.hypot(math.log(child.upper / child.lower), math.log(parent.upper / parent.lower))
    assert alone < 0.6 * apart
    same = parent.ratio(parent)
    assert same.lower == same.value == same.upper == 1


def test_documents_are_resampled_together(fitted):
    rng = np.random.default_rng(0)
    bytes_ = rng.integers(200, 4_000, 400).astype(float)
    hard = bytes_ * np.exp(
        0.5 * rng.standard_normal(400)
    )  # what makes a document hard does so for every model
    nats = {label: hard * float(fitted.loss(n)) for label, n in fitted.rows.sizes.items()}
    shared = {"reference_document_nats": nats, "document_bytes": bytes_}

    def measure(own):
        return capacity_density(loss_of(N), N, reference=fitted, document_nats=own, **shared, controls=False)

    alone = capacity_density(loss_of(N), N, reference=fitted, controls=False)
    paired = measure(hard * loss_of(N))
    unpaired = measure(rng.permutation(hard / bytes_) * bytes_ * loss_of(N))
    assert paired.rho == unpaired.rho == alone.rho
    assert paired.half_width == pytest.approx(alone.half_width, rel=0.15), "shared difficulty cancels"
    assert unpaired.half_width > 2 * alone.half_width
    with pytest.raises(InputError, match="all three or none"):
        capacity_density(2.0, N, reference=fitted, document_bytes=bytes_)
    with pytest.raises(InputError, match="400"):
        measure(hard[:-1])
    short = {"reference_document_nats": {"d2M": hard}, "document_bytes": bytes_}
    with pytest.raises(InputError, match=r"lacks size 'd0.01M'"):
        capacity_density(2.0, N, reference=fitted, document_nats=hard, **short)


# two architectures


def test_the_paired_ratio_is_the_difference_over_the_slope():
    family = simulate_family(PLANNED_LAW, SILENT)
    n, slope = 55_536, PLANNED_LAW["alpha"] * PLANNED_LAW["A"] * 55_536 ** -PLANNED_LAW["alpha"]
    seeds = 0.01 * np.sin(np.arange(6))  # what seed and order do, alike to both
    ours, theirs = 2.0 + seeds - 0.01, 2.0 + seeds
    found = paired_density_ratio(ours, theirs, n, reference=family, **FEW)
    assert math.log(found.value) == pytest.approx(0.01 / slope, rel=1e-5)
    assert found.lower == pytest.approx(found.upper, rel=1e-4), "paired noise cancels"
    back = paired_density_ratio(theirs, ours, n, reference=family, **FEW)
    assert back.value == pytest.approx(1 / found.value)
    smaller = paired_density_ratio(ours, theirs, n / 1.1, n_opponent=n, reference=family, **FEW)
    assert smaller.value == pytest.approx(1.1 * found.value)
    tiny = paired_density_ratio([loss_of(1.02 * n)], [loss_of(n)], n, reference=family, **FEW)
    direct = [capacity_density(loss_of(k * n), n, reference=family, **FEW).rho for k in (1.02, 1.0)]
    assert tiny.value == pytest.approx(direct[0] / direct[1], rel=1e-3)


def test_the_paired_ratio_covers(fitted):
    rng, hits = np.random.default_rng(4), 0
    slope = PLANNED_LAW["alpha"] * PLANNED_LAW["A"] * 55_536 ** -PLANNED_LAW["alpha"]
    for _ in range(200):
        order = 0.01 * rng.standard_normal(6)
        ours, theirs = (2.0 + order + 0.02 * rng.standard_normal(6) for _ in range(2))
        found = paired_density_ratio(ours - 0.1 * slope, theirs, 55_536, reference=fitted)
        hits += math.log(found.lower) <= 0.1 <= math.log(found.upper)
    assert 180 <= hits <= 198


def test_the_paired_ratio_refuses():
    family = simulate_family(PLANNED_LAW, SILENT)
    with pytest.raises(InputError, match="paired by seed"):
        paired_density_ratio([2.0, 2.0], [2.0], N, reference=family)
    with pytest.raises(InputError, match="n_opponent"):
        paired_density_ratio([2.0], [2.0], N, n_opponent=3 * N, reference=family)


# edges


def test_outside_the_ladder_is_flagged_and_the_floor_is_infinite(exact):
    inside = capacity_density(loss_of(2 * 1_860_640 * 0.99), 1e6, reference=exact, **FEW)
    outside = capacity_density(loss_of(2 * 1_860_640 * 1.01), 1e6, reference=exact, **FEW)
    assert not inside.extrapolated and outside.extrapolated and "extrapolated" in outside.notes[0]
    assert capacity_density(loss_of(6_900), 1e4, reference=exact, **FEW).extrapolated
    with pytest.warns(UserWarning, match="floor"):
        found = capacity_density(0.5, N, reference=exact, **FEW)
    assert found.rho == math.inf and found.upper == math.inf and found.extrapolated
    assert any(
        "tokens" in note for note in capacity_density(1.5, N, tokens=9e7, reference=exact, **FEW).notes
    )


def test_a_family_of_one_budget_has_no_controls(family):
    one = family[family["tokens"] == 4e6]
    found = capacity_density(1.8, N, reference=one, **FEW)
    assert found.rho == pytest.approx(capacity_density(1.8, N, reference=family, **FEW).rho, rel=1e-9)
    assert math.isnan(found.rho_equal_compute.value) and "no controls" in found.notes[0]
    with pytest.raises(InputError, match="tokens = 2e"):
        capacity_density(1.8, N, tokens=2e6, reference=one, **FEW)


def test_a_family_of_one_seed_calls_its_scatter_run_noise(family):
    alone = family[family["seed"] == 0].drop(columns="seed")
    reference = fit_reference(alone)
    assert reference.noise.order == reference.noise.size == 0 and reference.noise.run > 0
    found = capacity_density(1.8, N, reference=reference)
    assert found.lower < found.rho < found.upper and any("one seed" in note for note in found.notes)


def test_early_budgets_enter_only_if_the_law_predicts_them(family):
    assert fit_reference(family).early.left_out == ()
    early = family["tokens"] == 5e5
    plateau = family.assign(**{METRIC: family[METRIC].where(~early, 1.03 * family[METRIC])})
    found = fit_reference(plateau)
    assert found.early.left_out == (5e5,) and found.early.residual == pytest.approx(0.03, abs=0.005)
    assert 5e5 not in found.law.tokens
    at = capacity_density(1.8, N, reference=plateau, **FEW)
    assert at.rho == capacity_density(1.8, N, reference=family, **FEW).rho, "the curve of D0 does not care"


def test_a_row_holds_every_number(fitted):
    row = capacity_density([1.8, 1.81], N, reference=fitted).as_row()
    assert {
        "rho",
        "rho_lower",
        "rho_upper",
        "rho_equal_tokens",
        "rho_equal_compute_upper",
        "rho_law",
        "half_width",
    } <= set(row)
    assert row["rho_lower"] < row["rho"] < row["rho_upper"] and row["method"] == "curve"


@pytest.mark.parametrize(
    "change, match",
    [
        ({"n_parameters": 0}, "n_parameters = 0"),
        ({"n_parameters": -5.0}, "n_parameters"),
        ({"metric_value": math.nan}, "metric_value = nan"),
        ({"metric_value": -1.0}, "metric_value"),
        ({"metric_value": []}, "metric_value"),
        ({"tokens": 0}, "tokens"),
        ({"kind": "speed"}, "kind = 'speed'"),
        ({"metric": "perplexity"}, f"reference has.*{METRIC}"),
        ({"draws": 10}, "draws"),
        ({"level": 1.0}, "level"),
        ({"reference_tokens": 3e6}, "budgets 500000"),
        ({"orders": [0, 1]}, "each of the 1 values"),
        ({"orders": [7]}, "orders = 7"),
        ({"shape": "d7B"}, "shape = 'd7B'"),
    ],
)  # fmt: skip
def test_bad_input_is_refused_by_name(family, change, match):
    given = {"metric_value": 1.8, "n_parameters": N, "reference": family} | FEW | change
    value, size = given.pop("metric_value"), given.pop("n_parameters")
    with pytest.raises(InputError, match=match):
        capacity_density(value, size, **given)


@pytest.mark.parametrize(
    "spoil, match",
    [
        (lambda f: f.drop(columns="tokens"), "missing column 'tokens'"),
        (lambda f: f.assign(**{METRIC: f[METRIC].where(f.index != 3)}), "nan.*d0.01M"),
        (lambda f: f.assign(**{METRIC: -f[METRIC]}), "above 0"),
        (lambda f: pd.concat([f, f.iloc[:1]]), "stands there twice"),
        (lambda f: f.assign(tokenizer=np.where(f.index % 2, "bpe-1024", "bytes")), "several tokenizers"),
        (lambda f: f.assign(stage=np.where(f.index == 2, "trunk", "branch")), "undecayed trunks"),
        (lambda f: f.assign(size="one"), "more than one n_parameters"),
        (lambda f: f[f["size"].isin(["d0.05M", "d0.2M"])], "has 2 sizes"),
        (lambda f: f.to_numpy(), "DataFrame"),
    ],
)
def test_a_bad_family_is_refused_by_name(family, spoil, match):
    with pytest.raises(InputError, match=match):
        capacity_density(1.8, N, reference=spoil(family), **FEW)


def test_simulated_variants_have_their_density():
    losses = simulate_variant(PLANNED_LAW, SILENT, N, 1.7, 3)
    assert losses == pytest.approx(np.full(3, loss_of(1.7 * N)))
    paired = simulate_variant(PLANNED_LAW, SILENT, N, 1.0, {0: 0.01, 1: -0.02})
    assert np.log(paired / loss_of(N)) == pytest.approx([0.01, -0.02])
