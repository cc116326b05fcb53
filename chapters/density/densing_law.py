# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
#   densing:
#     systems: [1]
#     reading_minutes: 25
#     cost: "20 s on one core at book scale"
# ---

# %% [markdown]
# # The Densing Law: how fast does a parameter gain?
#
# A model's *capacity density* is the size at which a reference family would do as well, divided by the model's own size.
# {cite:t}`xiao2024densing` report that the largest density among open base models doubles every 3.3 months, and every 3.5
# months on the longer table of the journal version {cite:p}`xiao2025densing`. Here the figure is recomputed from published
# scores and then tested as the paper does not: against shuffled release dates, under every defensible choice of the analysis,
# with the noise of the scores themselves, and as a forecast. The doubling time comes out as published. That the records lie on
# a steep line shows nothing, because records always do. That *all* models rise shows growth, slower than the records suggest.
#
# **You need to know:** the logistic curve, least squares, the bootstrap. **Reading time:** 25 minutes. **Cost:** 20 s on a core.

# %% tags=["parameters"]
scale = "book"  # "quick", "book" or "full"
seed = 0  # whole number >= 0
device = "cpu"  # "cpu", "cuda", "mps": where tensors live
fresh = False  # True: train everything again instead of reading recorded runs
models_csv = ""  # path of your own table for the section "On your own data"; empty: an example is made
reference = "LLaMA"  # "LLaMA", "Qwen1.5", "Qwen2.5" or "joint": what effective size is measured on
benchmarks = ["mmlu", "bbh", "math", "humaneval", "mbpp"]  # score columns of the table
parameters = "total"  # "total" or "active": which parameters of a mixture of experts count
min_benchmarks = 4  # models with fewer scores are left out; 1 to the number of benchmarks
aggregate = "log_effective"  # average ln of effective sizes; or "score": average scores, invert once
quantile = 0.9  # upper quantile of the trend through all models; between 0 and 1
estimator = "frontier"  # "frontier", "ols", "median", "quantile 0.9": line shown where the table is doubted
draws = 0  # bootstrap draws, 100 to 20000; 0: 200, 2000 or 20000 by scale
date_from = ""  # first release date, such as 2023-06-01; empty: all
date_to = ""  # releases before this date; empty: all
break_date = "2022-11-30"  # date at which the growth rate may change

# %% tags=["remove-output"]
import numpy as np
from IPython.display import Markdown

import densing.fitters as fitters
import densing.lab as lab
import densing.laws as laws
from densing.book import open_chapter
from densing.data import load_published
from densing.errors import ExternalDataMissing

chapter = open_chapter("densing_law", scale=scale, seed=seed, device=device, fresh=fresh)
lab.check_growth_settings(reference, estimator, quantile, draws)
sampling = {"draws": draws or chapter.pick(quick=200, book=2_000, full=20_000), "seed": seed}
shuffles = chapter.pick(quick=1_000, book=10_000, full=100_000)
break_day = fitters.as_days([break_date], origin=lab.ORIGIN, name="break_date")[0]
own_table = lab.read_models_table(models_csv or lab.planted_models(5.0, seed=seed))

# %% [markdown]
# ## The idea
#
# A reference family, trained under one recipe, scores $S = f(N)$ on a benchmark. A model of $N$ parameters with score $S$ has
# the *effective size* $\hat N = f^{-1}(S)$ and the *capacity density* $\rho = \hat N / N$: at density 2 the family needs twice
# the parameters. The paper finds $f$ in two steps. Size and tokens give the loss on a benchmark's answers,
# $l = a N^{-\alpha} + b D^{-\beta}$; the loss gives the score, $S = c / (1 + e^{-\gamma (l - l_0)}) + d$, with a floor $d$ at
# chance. Losses of those models are not public. For real models the steps collapse into one: along a family the log odds of
# the score above chance rise about linearly in $\ln N$,
#
# $$
# \ln \frac{S'}{1 - S'} = k_b \ln N + c_b , \qquad S' = \frac{S - d_b}{1 - d_b} ,
# $$
#
# fitted by least squares to the dense members of the family for each benchmark $b$, and solved for $N$. Rescaled scores
# are kept between 0.001 and 0.999, and $\ln \hat N$ is averaged over benchmarks. The level of $\rho$ means nothing beyond
# its family. Its *growth* depends on the family only through the exchange rates $k_b$. These differ:

# %%
models = load_published("densing_models")
setting = {
    "benchmarks": tuple(benchmarks), "parameters": parameters, "min_benchmarks": min_benchmarks, "aggregate": aggregate,
    "date_from": date_from or None, "date_to": date_to or None,
}  # fmt: skip
references = [reference] + [name for name in lab.REFERENCES if name != reference]
densities = {name: lab.published_density(models, name, **setting) for name in references}
density = densities[reference]
data = density["day"], density["ln_density"], density["family"]
chapter.table(
    lab.exchange_table(densities, lab.joint_growth(models, benchmarks, **sampling)),
    caption="Exchange rates: rise of a benchmark's log odds per unit of ln N along each reference (the smaller, the more size a gain of score is worth). The joint reference regresses log odds on ln N and time over all models; its last column says after how many months half the size scores the same [95 % interval over families].",
)

# %% [markdown]
# A family has only four to eight sizes, and the high rates for BBH come from small Qwen models at or below chance, where the
# clipping decides. Benchmarks disagree about the pace threefold. No single ruler is right: results are shown under all of them.
#
# The law is $\ln \rho_{\max}(t) = A t + B$ for the largest density so far, fitted by least squares through the models that
# set a record; the doubling time is $\ln 2 / A$. Here a model sets a record when it is denser than every model of an earlier
# day. Several models of one day may do so, since their order is unknown. Keeping only the best of each day favours days with
# many models; it is shown beside the main rule.
#
# ## The experiment
#
# The table holds 118 open base models released from February 2023 to April 2025, each score with its source. A model
# counts if it reports at least four of the paper's five benchmarks: MMLU, BBH, MATH, HumanEval, MBPP. Models of one
# family share data and recipe. So intervals resample whole families (95 %, percentile), and permutation tests exchange
# the dates of whole releases: models of one family and one day stay together.

# %% tags=["hide-input"]
chapter.table(
    lab.record_table(density),
    caption=f"Models that were the densest so far, the best of their day; reference {reference}. The last column is the range of the density when one benchmark is left out.",
)

# %% [markdown]
# ## Results
#
# ### Two slopes, one cloud

# %%
trends = {
    name: lab.fit_lines(frame, quantile, permutations=shuffles if name == reference else 0, **sampling)
    for name, frame in densities.items()
}
from_records, best_of_day, ols, median, high, _ = trends[reference].values()
shown = {"records": from_records, f"{quantile:g} quantile": high, "all": ols}
chapter.show(
    lab.density_chart(density, shown, f"{reference} = 1"),
    name="two-slopes",
    caption="Capacity density of open base models by release date. Circled: denser than everything of an earlier day. Hollow: mixtures of experts. Lines with their doubling times; bands are 95 % intervals over families.",
    alt="Scatter plot on a logarithmic axis, February 2023 to April 2025. The records climb from 1 to about 200 along a line that doubles in a little over three months. The trend through all models lies lower and is flatter. Below the records the cloud is tall: on any date densities differ by a factor of ten to a hundred.",
)

# %% tags=["hide-input"]
chapter.table(lab.doubling_table(trends), caption="Doubling time in months [95 % interval over families].")

# %% [markdown]
# The line through the records agrees with the paper under the LLaMA and Qwen1.5 rulers and is faster under Qwen2.5. Lines
# through all models are slower: the typical model gains less quickly than the best.
#
# ### What chance makes of records
#
# A running maximum rises on any data. To see how much, dates are exchanged among releases and the same line is fitted
# again. If release dates carried no information, the true order would look like one of these.

# %% tags=["hide-input"]
per_year = 365.25 / np.log(2)
chapter.show(
    lab.null_chart({"line through records": from_records, "line through all models": ols}),
    name="chance-and-records",
    caption=f"Slopes after {shuffles:,} exchanges of dates among releases (gray) and in the true order (line). The record line is as steep as chance makes it; the line through all models is not. {np.mean(from_records.null_slopes * per_year > 12):.0%} of the shuffled record slopes lie beyond the right edge.",
    alt="Two histograms of slopes under shuffled dates. Above, through records: all shuffled slopes are positive and widely spread, and the observed one stands in their middle. Below, through all models: shuffled slopes centre on zero, and the observed one lies far to the right of nearly all.",
)

# %%
exchange = {"permutations": shuffles, "seed": seed}
counted = fitters.record_test(*data, **exchange)
excess = fitters.excess_over_chance(*data, **exchange)
perfect = fitters.fit_trend(data[0], 0.0065 * data[0], groups=data[2], draws=0, **exchange)
error = 1.96 * np.sqrt(high.permutation_p * (1 - high.permutation_p) / shuffles)
Markdown(f"""
- **The record line does not beat its own null**: p = {from_records.permutation_p:.2f}, and
  {from_records.null_share(2.5, 4.7):.0%} of the shuffles give a doubling time between 2.5 and 4.7 months too.
- **Nor could it.** A table whose densities all lie on the law gets p = {perfect.permutation_p:.2f}: shuffled, it becomes wide
  noise whose few records rise early and steeply. The slope through records tells growth from chance in neither direction.
- **All models do rise**: p = {ols.permutation_p:.1g} (least squares), {median.permutation_p:.1g} (median) and
  {high.permutation_p:.4f} ± {error:.4f} ({quantile:g} quantile, ± from counting shuffles; the registered limit is 0.01).
- **Records are too many for chance**: {counted.observed} (best of a day), against {counted.expected:.1f} ± {counted.deviation:.1f} for
  exchangeable models and {counted.expected_releases:.1f} for exchanged releases; p = {counted.permutation_p:.1g}.
- **The running maximum by day** outgrows chance by {excess.slope_per_day * per_year:.1f} doublings a year, p = {excess.permutation_p:.1g}.
""")

# %% [markdown]
# So growth is real. The evidence for it is the cloud and the number of records, not the line that is usually shown.
#
# ### Every defensible analysis

# %% tags=["hide-input"]
curve = lab.specification_curve(models, references, benchmarks=tuple(benchmarks), seed=seed,
                                draws=chapter.pick(quick=100, book=1_000, full=5_000))  # fmt: skip
chapter.show(
    lab.specification_chart(curve, (3.3, 3.5)),
    name="specification-curve",
    caption="Doubling time under every combination of reference, parameters counted, estimator and least number of scores, with 95 % intervals over families. The marks below each point say which choices made it.",
    alt=f"{len(curve)} point estimates sorted from {curve['doubling_months'].min():.1f} to {curve['doubling_months'].max():.1f} months, with intervals two to three months wide. The published 3.3 and 3.5 months lie in the middle. Qwen2.5 and the joint reference gather at the fast end, Qwen1.5 with least squares at the slow end.",
)

# %% [markdown]
# The published value lies in the middle of what a careful analyst could report, and point estimates differ by a factor of
# two. The choice of the reference matters as much as that of the estimator.
#
# ### When the table itself is in doubt
#
# Makers report the same model differently: other prompts, other shots. Repeated reports are separated into an offset of the
# whole source and a residual of the single score. Both are drawn anew in each bootstrap draw, the reference is refitted to the
# noisy scores, and dates known only to the month move within it. Apart from that, rows whose date or size was recalled without
# a source, scores of another protocol than their column's, and each benchmark are taken out in turn.

# %%
try:
    reports = load_published("densing_scores_long")
    shown = list(dict.fromkeys([estimator, "ols"]))
    versions = lab.doubling_by_version(models, reports, reference, shown, **sampling, **setting)
    chapter.show(
        lab.interval_chart(versions, 3.3),
        name="what-the-table-leaves-open",
        caption=f"Doubling time (95 % interval over families) with noise of reporting and of dates, and on parts of the table. Reference {reference}; dotted: 3.3 months.",
        alt="Intervals for the line through records and for least squares through all models, one pair a row. Noise widens them slightly. Estimates for the records stay between 2.8 and 3.7 months, except without doubtful scores, where they fall to 2.4 and the interval no longer holds 3.3. Those for all models stay between 3.5 and 5 months.",
    )
except ExternalDataMissing as missing:
    chapter.recorded(missing, figures=("what-the-table-leaves-open",))

# %% [markdown]
# Doubtful scores move the record line most: its ruler loses BBH, which one maker reported under another protocol, and the
# interval no longer holds the published value.
#
# ### Is it a forecast?
#
# A law that holds can be used ahead of time. At the end of each quarter the record line is fitted to what was out by then
# and compared with the largest density that came. Carrying the last record forward is the forecast of no growth.

# %%
ahead = lab.record_forecasts(density, **sampling)
chapter.show(
    lab.forecast_chart(density, ahead.fan, f"{reference} = 1"),
    name="rolling-forecasts",
    caption="What the record line forecast at the end of each quarter, up to a year ahead, with 95 % intervals of a new record; the numbers are its doubling times in months. Black: what came.",
    alt="A fan of steep straight lines, each starting near the black staircase of the largest density so far and rising above it, with doubling times of about two months. The staircase flattens from the middle of 2024, and the later forecasts end about ten times too high or more.",
)

# %% tags=["hide-input"]
Markdown(f"""
Fitted up to {ahead.early:%d %B %Y}, the line doubles in {ahead.early_months:.1f} months and ends {ahead.overshoot[0]:.0f} times too high
after six months, {ahead.overshoot[1]:.0f} times at the end of the table. Over all quarters the typical error after six months is a
factor of {ahead.error:.1f} for the line and {ahead.carried_error:.1f} for no growth; the 95 % intervals hold {ahead.covered} of {ahead.outcomes} outcomes.
A parabola through all models bends: the slope of ln ρ changes by {ahead.bend:.1f} per year and year. That was not a registered claim.
""")

# %% [markdown]
# The early table is short and steep. Expecting no growth at all would have been the better forecast.
#
# ### Three corollaries, as arithmetic
#
# If serving costs are proportional to parameters, a fixed ability gets cheaper at the rate at which density grows. Rates
# of independent growths add, so density and hardware (twice the speed for the price every 2.1 years) combine to
# $1/T = 1/T_d + 1/T_h$. The inputs are the paper's.

# %%
price = laws.halving_time(20, 0.075, 20)
moore = laws.combined_doubling(3.3, 2.1 * 12) * laws.DAYS_PER_MONTH
increase = laws.rate_change(4.8, 3.2)
bent = fitters.breakpoint_test(*data[:2], break_day, data[2], strict=False, **sampling)
chapter.table(
    lab.corollary_table(price, moore, increase, bent, break_date),
    caption="The paper's corollaries from its own inputs: exact arithmetic, no interval. Last row: a continuous line of two pieces through all models of this table.",
)

# %% [markdown]
# ### The two steps, on a family with losses
#
# The book's own reference family is small, 0.01 to 1.9 million parameters, but its losses are known, so both steps can be
# tested: fitted to five sizes under all budgets, they predict the scores of the two largest after 4 million tokens. Tasks
# count if they left the floor in the family's trial and the largest *fitted* size is clear of chance or of a blind answer.

# %%
family = lab.load_reference_runs()
study = lab.score_study(family, lab.score_tasks(family))
chapter.show(
    lab.two_step_chart(study, "doc_next"),
    name="two-steps-and-back",
    caption="Left: loss of the right continuation against size after 4 million tokens. Right: accuracy against that loss, all budgets in gray. Curves are fitted to the five smallest sizes (dots). Arrows: from the mean accuracy of a size that was not fitted (diamonds) to the size at which the curves reach it.",
    alt="Two panels with one axis of loss. Left, the loss falls from about 4.7 nats at 14 thousand parameters to 3.8 at 1.9 million, close to the fitted curve. Right, accuracy rises from 0.28 to 0.34 as the loss falls, with much scatter. Arrows from the accuracies of the two largest sizes lead back to sizes about one and a half times as large as they are.",
)

# %% tags=["hide-input"]
chapter.table(study.table(), caption="Mean score of the two held-out sizes, and the error of each rule.")

# %%
two_step = study.quantities(**sampling)
Markdown(f"""
Over {two_step["n_tasks"]} tasks the two steps err by {two_step["error_two_step"]:.3f} on average, the same S-curve fitted directly to
ln N by {two_step["error_direct"]:.3f} (difference paired by task {two_step["excess_over_direct"]:+.3f}), and the unchanged score of the
largest fitted size by {two_step["error_carry_forward"]:.3f}. The two steps predict too low a score for both sizes on {study.too_low} of the tasks.
""")

# %% [markdown]
# Between 0.4 and 1.9 million parameters the scores move so little that changing nothing errs least of the three: by the
# registered rule this family cannot decide the claim. Two weaknesses show all the same. A task of several grades is learnt one
# grade after the other, so its score does not follow one S-curve up to 1, which is assumed where no model is near the top.
# And the way back is fragile: a small error of a score is a large one of a size. The loss on plain text, an outsider here,
# predicts the scores better than the loss of the task's own answers.

# %% [markdown]
# ### What compression does to density
#
# Variants of the family, each against its parent, the member of the same size, seeds and order of text:
# $\rho'/\rho = (\hat N'/\hat N)(N/N')$, both effective sizes read off the same drawn curve of 4 million tokens, on the same
# drawn documents, so that luck they share cancels. $N$ counts the weights that are kept. Rounding is another account: in
# parameters it cannot gain, in bits it gains by construction. Recovery adds half a million tokens to the parent's four; the
# table's last column measures against the family at as many. Distilled models are not recorded yet.

# %%
variants = lab.load_runs("density_variants")
ratios = lab.density_ratios(variants, documents=lab.variant_document_nats(variants), **sampling)
chapter.show(
    lab.variant_density_chart(ratios),
    name="compressed-variants",
    caption="Density of variants, parent at 1, with 95 % intervals (thick) and Holm-adjusted ones (thin), three seeds.",
    alt=lab.describe_ratios(ratios),
)

# %% tags=["hide-input"]
chapter.table(lab.ratios_table(ratios), caption="Variants and parents; losses in bits per byte.")

# %% [markdown]
# ## Claims and measurements
#
# <!-- densing:claims -->
#
# **Pending.** That pruning, distilling and other compression lower density needs variants that later chapters make too.
# Densities against published families and against the book's own are two scales and are never to be mixed.
#
# **What differs from the paper.** Its reference is a family of 0.005 to 0.8 billion parameters whose losses are not public; ours
# are published families and their scores. Its tables have 29 and 51 models. A trial on our table, made before the claims were
# registered, took the models of a day in the table's order and gave 3.52 months; the rule used here ignores the order of rows.
#
# **What to keep in mind.** Benchmarks leak into training data (the journal version filters for that), makers report their own
# scores, and base models contain instruction data. More tokens at equal size raise a density. A ratio of two sizes flatters
# small models, and most records are set by small ones.

# %%
doubling, real = lab.growth_quantities(trends, reference, counted)
chapter.measure("densing-law/doubling-time", **doubling)
chapter.measure("densing-law/trend-is-real", **real)
chapter.measure("densing-law/two-step", **two_step)
chapter.measure("densing-law/corollaries", price_halving_months=price, rate_increase=increase, moore_days=moore)  # fmt: skip
chapter.measure("densing-law/chatgpt-break", models_before=bent.n_before, rate_ratio=bent.ratio, p_break=bent.p)  # fmt: skip

# %% [markdown]
# ## On your own data
#
# Put your models into a CSV file with the columns `model`, `date` (2024-05-31, or 2024-05), `parameters` (plain counts), any
# columns of scores between 0 and 1, and optionally `family` and `parameters_active`; then run
# `densing run densing_law -p models_csv mine.csv`. Scores that the book's table has too are measured on its references; your
# own families with three dense sizes and the joint regression serve as references beside them. Without a file, the cell below
# makes one: fourteen families, two benchmarks, and a planted doubling time of five months.

# %%
report = lab.growth_report(
    own_table, book_models=models, parameters=parameters, min_benchmarks=min_benchmarks,
    permutations=chapter.pick(quick=500, book=2_000, full=20_000), **sampling,
)  # fmt: skip
Markdown(f"> {report.verdict}")

# %% tags=["hide-input"]
chapter.table(report.doubling_table(), caption="Your table: doubling time in months [95 %] by reference.")

# %% tags=["hide-input"]
chapter.table(report.ranking().head(5), caption=f"Your five densest models, reference {report.reference}.")

# %% [markdown]
# ## Exercises
#
# ````{exercise}
# :label: densing-law-ex1
# A model of 2 billion parameters scores where the reference family needs 5 billion. Pruned to 1 billion, it scores where the
# family needs 2 billion. Did pruning raise its density? How large an effective size would it have had to keep?
# ````
#
# ````{solution} densing-law-ex1
# :class: dropdown
# No: density fell from 5/2 = 2.5 to 2/1 = 2. The ratio of densities is $(\hat N'/\hat N)(N/N')$. Half of the parameters went, so
# half of the effective size, 2.5 billion, had to stay; only two fifths did.
# ````
#
# ````{exercise}
# :label: densing-law-ex2
# Show by simulation that $n$ independent values hold about $\ln n + 0.577$ records. The table has 84 models: why does the number
# of its records say more than the slope through them?
# ````
#
# ````{solution-start} densing-law-ex2
# :class: dropdown
# ````

# %% tags=["nbval-check-output"]
values = np.random.default_rng(1).normal(size=(20_000, 84))
simulated = fitters.record_frontier(np.arange(84), values).sum(axis=1)
print(f"simulated {simulated.mean():.1f}, ln 84 + 0.577 = {np.log(84) + 0.577:.1f}")
print(f"11 or more in {np.mean(simulated >= 11):.1%} of the simulations")

# %% [markdown]
# The $i$-th value is the largest so far with probability $1/i$, whatever the distribution: the count needs no model of the noise,
# and chance rarely makes it large. A slope through records is positive under any noise, and as steep as the noise is wide.
#
# ````{solution-end}
# ````
#
# ````{exercise}
# :label: densing-law-ex3
# All exchange rates $k_b$ of a reference are mis-stated by a factor $1 + \epsilon$. What happens to the slope of $\ln \rho$?
# ````
#
# ````{solution-start} densing-law-ex3
# :class: dropdown
# ````

# %% tags=["nbval-check-output"]
measured = density["ln_effective"], np.log(density["parameters"])
slope_effective, slope_size = (np.polyfit(density["day"], values, 1)[0] for values in measured)
for factor in (0.8, 1.0, 1.2):
    months = laws.doubling_months(slope_effective / factor - slope_size)
    print(f"k times {factor}: doubling in {months:.1f} months (all models)")

# %% [markdown]
# $\ln \hat N = (\text{log odds} - c_b)/k_b$, so the part of the slope that comes from effective size scales as $1/(1 + \epsilon)$;
# the part from the models' own sizes stays. Were sizes constant, 20 % would move 3.5 months to 2.8 or 4.2. An error in $c_b$ moves
# levels only.
#
# ````{solution-end}
# ````
#
# ````{exercise}
# :label: densing-law-ex4
# By the published figures the price of a fixed ability halves faster than density doubles. How large is the remaining effect,
# and what may it consist of?
# ````
#
# ````{solution} densing-law-ex4
# :class: dropdown
# Rates add, so the rest alone would halve the price in $1/(1/2.48 - 1/3.3) = 10$ months. Candidates: hardware (25 months, too slow
# to explain it), larger batches and better serving software, fewer bits per weight, mixtures that compute with few of their
# parameters, and margins that fall as competitors appear. The price series is two points, chosen with hindsight.
# ````

# %%
chapter.save()

# %% [markdown]
# ## References
#
# ````{bibliography}
# :filter: docname in docnames
# ````
