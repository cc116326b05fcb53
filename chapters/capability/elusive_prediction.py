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
#     systems: [55]
#     reading_minutes: 25
#     cost: "30 s on one core at book scale"
# ---

# %% [markdown]
# # Elusive prediction: what multiple choice hides
#
# The loss of a language model follows scale closely. Its accuracy on a multiple-choice test does not.
# {cite:t}`schaeffer2024why` say where predictability is lost: not in the model, but on the way from the likelihood of the
# right answer to the score, above all in the step that compares it with a few given wrong ones, whose likelihoods move with
# scale too. This chapter measures every step on the 101 models of the book's own family. The comparison does cost most,
# but not always: where the wrong answers stay put while the right one rises, it *helps*. Forecasting the wrong answers
# along with the right one is far better than ignoring them, and still loses to two simpler forecasts of accuracy.
#
# **You need to know:** softmax, rank correlation, power laws. **Reading time:** 25 minutes. **Cost:** 30 s on one core at
# book scale, from recorded likelihoods.

# %% tags=["parameters"]
scale = "book"  # "quick", "book" or "full"
seed = 0  # whole number >= 0
device = "cpu"  # "cpu", "cuda", "mps": where tensors live
fresh = False  # True: ask the committed checkpoints again instead of reading recorded likelihoods
stages = "log_p_vocab p_choices accuracy"  # of the figure of correlations, also "p_vocab" and "brier"
correlation = "spearman"  # there: "spearman", "pearson" or "kendall"
constant_items = "drop"  # there: "drop" items whose score never changes, or count them as "zero"
normalize = "raw"  # there: sums over tokens ("raw"), per "byte", per "token", or less the "neutral" text's
holdout_sizes = 2  # largest sizes whose accuracy is forecast, 1 to 3; claims are measured at 2
distractors = 16  # most incorrect choices of made-up items, 1 to 31
draws = 0  # bootstrap draws, 50 to 20000; 0: 100, 500 or 2000 by scale
items_file = ""  # path of your own CSV or JSONL for the section "On your own data"; empty: made-up items
target_compute = 0.0  # where to forecast its accuracy, > 0; 0: four times its largest compute

# %% tags=["remove-output"]
from itertools import permutations

import numpy as np

import densing.lab as lab
from densing.book import open_chapter
from densing.checks import check_choice, check_choices, check_range
from densing.data import load_published
from densing.errors import ExternalDataMissing
from densing.evaluation import STAGES, ChoiceScores

chapter = open_chapter("elusive_prediction", scale=scale, seed=seed, device=device, fresh=fresh)
check_choices("stages", stages.split(), STAGES)
check_choice("correlation", correlation, ("spearman", "pearson", "kendall"))
check_choice("constant_items", constant_items, ("drop", "zero"))
check_choice("normalize", normalize, ("raw", "byte", "token", "neutral"))
check_range("holdout_sizes", holdout_sizes, 1, 3, integer=True)
check_range("distractors", distractors, 1, 31, integer=True)
check_range("target_compute", target_compute, 0)
if draws:
    check_range("draws", draws, 50, 20_000, integer=True)
draws = draws or chapter.pick(quick=100, book=500, full=2_000)
own = lab.read_choice_scores(items_file) if items_file else None

# %% [markdown]
# ## The idea
#
# A multiple-choice item asks which of a few strings $c \in \mathcal{C}$ follows a question; $c^*$ is right. A model that
# is never told about choices gives each string a log-likelihood. A score is made of these in stages:
#
# $$ \underbrace{\log p(c^*)}_{0} \to \underbrace{p(c^*)}_{1} \to
# \underbrace{\frac{p(c^*)}{\sum_{c \in \mathcal{C}} p(c)}}_{2:\ p_\text{choices}} \to
# \underbrace{\mathbb{1}\big[c^* = \arg\max_c p(c)\big]}_{3:\ \text{accuracy}} . $$
#
# Beside accuracy stands the Brier score, $\sum_c (p_\text{choices}(c) - \mathbb{1}[c = c^*])^2$.
#
# The first step is monotone and cannot change ranks. The second brings in the wrong answers; only differences survive it:
#
# $$ p_\text{choices} = \frac{1}{1 + \sum_{c \ne c^*} e^{-\Delta_c}}, \qquad \Delta_c = \log p(c^*) - \log p(c), $$
#
# $$ \operatorname{Var} \Delta_c = \operatorname{Var} \log p(c^*) + \operatorname{Var} \log p(c) - 2 \operatorname{Cov} . $$
#
# If wrong answers become likelier together with the right one, because better models write better prose altogether, the
# common trend cancels and the noise stays. The last step keeps only the sign of the least $\Delta_c$.

# %% tags=["nbval-check-output"]
one = ChoiceScores(log_p=[[[-1.0, -2.0]]], correct=[0], compute=[1e18])  # one model, one item, two choices
for stage in STAGES:
    print(f"{stage:12s}{one.stage(stage).item():8.4f}")

# %% [markdown]
# How predictable a stage is, is measured item by item: the correlation over models of the item's score with the logarithm
# of compute. An item that every model gets right, or none, has no correlation; what the paper does with it is unclear.
# Here it is left out, which favours accuracy, and counted as 0 in a second reading of the claim.
#
# ## The experiment
#
# **Models.** The decayed branches of the reference family: seven sizes, five budgets, three seeds. Compute is $C = 6ND$,
# with $N$ counted without embeddings.
#
# **Items.** 500 questions of each of the battery's six multiple-choice families, four choices, asked without examples. Two
# continue documentation, two ask invented facts of the training text, one asks sums, one the brackets that close code. A
# family counts towards claims if at 0.4M parameters its accuracy beats what the choices earn *without* their question, a
# neutral text in its place: where the question does not help, there is nothing to predict.
#
# **Uncertainty.** A bootstrap over items (over documents, where several items come from one) and over the three training
# seeds with all their models. Resampled seeds repeat, which lifts weak correlations a little: intervals reach further up
# than down, and those of the drops err to the safe side.

# %%
if fresh or scale == "quick":
    rows = lab.reevaluate_choices(items=chapter.pick(quick=24, book=200, full=500), device=device)
else:
    rows = lab.load_reference_items()
found = lab.task_scores(rows)
above_blind = lab.counted_tasks(found, seed=seed)
counted = {name: task for name, task in found.items() if above_blind[name].lower > 0}
tasks = {name if name in counted else f"{name} (not counted)": task for name, task in found.items()}
subject = counted or tasks  # what means over families are taken of
chapter.table(
    lab.counted_table(found, above_blind),
    caption="The families. Ties: share of answers in which the likeliest choice is not the only one. Last: accuracy of the 0.4M models at 4M tokens minus what a neutral question earns, with 95 % intervals.",
)

# %% [markdown]
# ## Results
#
# ### Four items
#
# The right answer's likelihood rises with size in all four items below. What becomes of it depends on the gray lines.

# %% tags=["hide-input"]
example = lab.telling_task(subject, 4_000_000)
chapter.show(
    lab.stages_chart(example, lab.telling_items(example), "parameters without embeddings"),
    name="four-items",
    caption=f"Four items of {example.name}, the family whose log p follows size most closely, at 4M tokens: likelihoods of all choices (top; incorrect ones gray), then what is made of them. Dots: single models; lines: means over seeds.",
    alt="Four columns. On top the right choice's log p rises with size in all, and so do most incorrect ones'. p rises below, mostly at the largest sizes. p among choices climbs from 0 to 1 in the first column, falls from 1 to 0.1 in the second, wavers in the third and stays at 0 in the fourth. Accuracy does the same in jumps.",
)

# %% [markdown]
# ### What each step costs

# %% tags=["hide-input"]
shown = {"kind": correlation, "stages": stages.split(), "constant_items": constant_items, "seed": seed}
chapter.show(
    lab.survival_chart(tasks, **shown, normalize=normalize, draws=40),
    name="survival",
    caption="Share of items whose score correlates with compute more strongly than the threshold. Gray: 95 % band of the same curve for p among choices after the scales have changed places, jointly for all items.",
    alt="One panel a family. The curve of log p falls last, at thresholds of 0.5 to 0.8; that of p among choices falls evenly from the start, that of accuracy faster still. Only in code_close does p among choices lie above log p. The gray band of chance reaches 0 at about 0.4; accuracy of arith_choice hardly leaves it.",
)

# %%
studies = {name: lab.study_stages(task, draws=draws, seed=seed) for name, task in tasks.items()}
counting = [studies[name] for name in counted]
for kind in ("spearman", "pearson"):
    chapter.table(
        lab.drops_table(studies, kind),
        caption=f"Median |{kind.capitalize()}| correlation with ln C by stage, and drops with 95 % intervals, over the items that are constant at neither stage. Constant: items that all models get right, or none.",
    )
by_axis = lab.scale_axis_medians(subject, "d0.2M", 4_000_000)
chapter.table(
    lab.medians_table({"comparison": lab.normalization_medians(subject), "scale": by_axis}),
    caption="Median |Spearman| by stage, mean over families, when choices are compared by sums over tokens (raw), per byte, per token, or less their log p after a neutral text; and against compute, size or budget alone.",
)

# %% [markdown]
# In ranks, the comparison is the costliest step in three of the four families: it takes a quarter to almost a half off a
# correlation of about 0.7. Accuracy loses more. Under Pearson the first step costs most in documentation and facts, since
# few probabilities are straight in $\ln C$. `code_close` breaks the order: there the comparison *brings out* the trend. How
# lengths are treated, and what is called scale, changes the levels and not the order of the stages.
#
# **Control.** Made-up items with known laws: log-likelihoods linear in $\ln C$, slopes of right and wrong choices
# correlated. Once wrong choices move, once they stand still; then $p_\text{choices}$ rises with $p$ in every item, and ranks
# lose nothing. Accuracy loses in both: the threshold is a loss of its own.

# %% tags=["hide-input"]
compute = next(iter(tasks.values())).scores.compute
chapter.table(
    lab.planted_control_table(compute, chapter.pick(quick=300, book=2_000, full=20_000), seed=seed),
    caption="Made-up items: median |Spearman| by stage and drops.",
)

# %% [markdown]
# ### Who does the damage
#
# Do wrong answers rise with the right one? Each arrow below is an item, from the least compute to the most.

# %% tags=["hide-input"]
chapter.show(
    lab.arrows_chart(tasks, items=40, seed=seed),
    name="arrows",
    caption="Log p of the right choice and mean log p of the incorrect ones, from least to most compute; forty items a family. Orange: incorrect choices became likelier; blue: less likely. Dotted: equally likely.",
    alt="One panel a family. In five, arrows point right and up, roughly along the dotted diagonal, in arith_choice exactly along it. In code_close they point right, and many slightly down.",
)
chapter.table(
    lab.movement_table(studies),
    caption="Common movement over models: correlation and slope of log p of incorrect choices on log p of the right one (median item, 95 % intervals); items in which the correlation is negative; variance of the log odds of the right choice over that of its log p.",
)

# %% [markdown]
# They do, in all families: almost one for one in sums, where the choices are near misses, and weakly in `code_close`.
#
# Now the counterfactual: every wrong answer's log-likelihood is held at its mean over models, and $p_\text{choices}$ is
# computed again. In ranks the outcome is a theorem, since frozen $p_\text{choices}$ rises with $p$: all is recovered.
# Under Pearson it is a measurement. More than all can be recovered: a bounded score may be *straighter* in $\ln C$ than the
# probability it is made of.

# %% tags=["hide-input"]
chapter.show(
    lab.frozen_chart(studies),
    name="frozen",
    caption="Median |Pearson| correlation with ln C of p, of p among choices, and of the latter with incorrect choices frozen at their mean; 95 % intervals.",
    alt="For each family three marks. p among choices lies left of p in doc_next, doc_match, fact_recall and arith_choice, and right of it in code_close. With frozen incorrect ones it lies right of both in all families but code_close, where it lies between them.",
)

# %% [markdown]
# In the three families in which the comparison costs something, freezing gives back more than it took. Trend and scatter can
# be taken apart (in ranks): without their *trend* wrong answers would give back 1.4 times the loss, without their *scatter*
# about it the loss would be a quarter greater. The comparison removes what is common to an item's choices, for better and
# worse. In `code_close` that is scatter without trend, and the score gains.
#
# ### Items average; do distractors?
#
# A weak correlation of single items is no proof that a *benchmark* is unpredictable: it averages hundreds of them. Might
# more wrong answers help as well, since less then depends on any one?

# %% tags=["hide-input"]
some = chapter.pick(quick=60, book=300, full=2_000)
made_up = lab.planted_scores(compute, items=some, choices=distractors + 1, seed=seed)
chapter.show(
    lab.averaging_chart(subject, made_up, draws=chapter.pick(quick=20, book=60, full=200), seed=seed),
    name="averaging",
    caption="Median |Spearman| with compute. Left: of the mean score of n items, mean over families. Right: of p among choices of single items that keep k of their incorrect choices.",
    alt="Left: from 1 to 500 items log p rises from 0.63 to 0.79, p among choices from 0.39 to 0.76, accuracy from 0.26 to 0.69. Right: made-up items rise from 0.78 with one incorrect choice to 0.86 with sixteen; the tasks fall slightly, from 0.40 with one to 0.38 with three.",
)

# %% [markdown]
# Averaging 500 items repairs most of what the stages took. More wrong answers help made-up items, whose slopes and noise
# are partly each choice's own; a second and a third one do nothing for ours.
#
# ### Forecasting accuracy by forecasting every choice
#
# For each choice of each item the **joint forecast** fits
#
# $$ \log p(c) = -\big(c_0 + c_1\, C^{-\alpha}\big) $$
#
# with one $\alpha$ for the task. Slopes are shrunken towards those of choices with a like level (empirical Bayes, right
# and wrong ones apart). Then whole models are simulated at the target scale: the residuals of all choices of all items are
# drawn together, so that what is common to an item's choices still cancels. Accuracy is counted in the simulated models.
#
# The rivals see the same models. Three fit accuracy itself: a logistic curve of $\ln C$ with its floor at chance, a power
# law of the error, the nearest fitted cell carried forward. Two go by way of the loss of the right answers, forecast from
# $C$ or from $N$ and $D$. The last is the joint forecast with a law for the right choice only.

# %%
options = {"simulations": chapter.pick(quick=100, book=400, full=2_000), "draws": draws, "seed": seed}
by_largest = lab.forecast_tasks(subject, "n_parameters", holdout_sizes, **options)
by_budget = lab.forecast_tasks(subject, "tokens", 1, **options)
chapter.show(
    lab.forecast_errors_chart(list(by_largest.values())),
    name="forecast-errors",
    caption=f"Mean absolute error of the accuracy of the {holdout_sizes} largest sizes, all budgets and seeds, mean over families with 95 % intervals. Gray: single families.",
    alt="Seven methods. The joint law of all choices errs by 4.8 points, the law of the right choice only by 11. Logistic curves in compute and in loss err by 6.3 and 5.4 points, the power law of the error by 4.9, two steps in N and D by 2.8, the nearest fitted cell by 2.4. For all laws of compute one family lies far to the right, at 10 to 15 points.",
)
chapter.table(
    lab.accuracy_gains_table(list(by_largest.values()), list(by_budget.values())),
    caption="Mean absolute errors of held-out accuracy in points, and what the joint forecast gains on each rival (paired 95 % intervals; above 0 the joint forecast errs less).",
)

# %% [markdown]
# Where the wrong answers go is worth knowing: the same law without it overshoots by 10 to 17 points in three families. But
# the joint forecast does not win, and its 95 % intervals hold four of five accuracies. Compute is a poor coordinate here,
# since tokens buy more than parameters do: on the fewest tokens the largest models close a third of the code, where their
# compute promises 0.6. The two-step estimate, which knows $N$ and $D$ apart, does better, and the crudest rival is best:
# the accuracy of the next smaller size on as many tokens. Over tokens no method is clearly ahead.
#
# ### Real models
#
# Likelihoods of single items are rarely published. The OLMo ladder {cite:p}`bhagia2024establishing` comes close: 30 runs of
# 190 million to 3 billion parameters and, beside accuracy, the *bits per byte of the right answer* on 20 task sets, which is
# stage 0 averaged over items. Two further tables are the checkpoints of Pythia {cite:p}`biderman2023pythia` and the runs
# of {cite:t}`gadre2024language`.

# %% tags=["hide-input"]
try:
    ladder = load_published("olmo_ladder_runs")
    pythia, gadre = load_published("pythia_checkpoint_evals"), load_published("gadre_runs")
except ExternalDataMissing as missing:
    chapter.absent = missing
chapter.show(
    lambda: lab.published_chart(lab.check_olmo_ladder(ladder).table),
    name="real-models",
    caption="Rank correlation with 6ND of bits per byte of the right answer and of accuracy, 20 task sets of the OLMo ladder.",
    alt="Bits per byte lie at 0.98 to 1 for all task sets but BoolQ (0.84) and WinoGrande (0.92). Accuracy is at or left of them: 0.65 for BoolQ, 0.77 for MMLU STEM validation, and equal within a hundredth for about half, such as HellaSwag and PIQA.",
)
chapter.table(
    lambda: lab.other_published_table(pythia, gadre),
    caption="Two more published tables: |Spearman| with 6ND of a loss, and of accuracy (Gadre: median over tasks).",
)

# %% [markdown]
# Likelihood follows compute more closely than accuracy on almost every set, but the gap is widest where items are few:
# MMLU's validation groups have a few hundred, its test groups thousands, and there it all but closes. Nor are the sets
# independent: with one difference for each of ten benchmarks the sign test does not reach 0.01. LAMBADA offers no choices,
# and its accuracy follows compute as well as its perplexity does. In Gadre's runs many tasks are still at chance.
#
# ### What it means for density
#
# Capacity density asks how large a member of the family does as well as a given model; any stage can be inverted for that.
# Its error can be measured, since each model of the family has density 1: leave a run out, fit a parabola in $\ln N$
# through the others at 4M tokens, and read the run's size off its score.

# %% tags=["hide-input"]
losses = None if fresh or scale == "quick" else lab.load_reference_runs()
chapter.table(
    lab.stage_resolution_table(tasks, 4_000_000, losses),
    caption="Root mean square error of ln(density) of single runs left out, by what is inverted (mean of a family's items at a stage). 0.1 is ten per cent of density.",
)

# %% [markdown]
# The likelihood of a line of documentation resolves size almost as well as the loss on text, its accuracy almost five times
# worse. Fourteen of the thirty mean scores do not rise all the way with size at this budget, and cannot be inverted.
#
# ## Claims and measurements
#
# <!-- densing:claims -->
#
# **What differs from the paper.** Its models are five public families, its items those of twelve benchmarks; ours are very
# small models with three seeds, on generated questions and documentation. The paired drops, the counterfactuals and the
# forecast are ours. **What to keep in mind.** "Predictable" means correlated here: a curve can be correlated with compute
# and still be hard to extrapolate, and an aggregate can be predictable though its items are not.

# %%
chapter.measure("elusive/degradation", **lab.degradation_summary(counting))
chapter.measure("elusive/mechanism", **lab.mechanism_summary(counting))
chapter.measure("elusive/covary", **lab.covariation_summary(counting))
forecasts = (by_largest, by_budget) if counted else ({}, {})
chapter.measure("elusive/incorrect-law", **lab.choice_forecast_quantities(*forecasts))
if chapter.absent:
    chapter.recorded(chapter.absent, claims=("elusive/published-check",))
else:
    chapter.measure("elusive/published-check", **lab.published_quantities(ladder))

# %% [markdown]
# ## On your own data
#
# Any harness that scores choices by likelihood can write the rows, as CSV with a header or JSONL: model, compute (FLOPs, or
# parameters if all models saw as many tokens), item, choice, is_correct, and log_p in nats, summed over the choice's tokens;
# at least four amounts of compute and 20 items, which may differ in their number of choices.
#
# ```
# densing run elusive_prediction -p items_file mine.jsonl -p target_compute 1.0e+23
# ```

# %%
if own is None:
    made_up = lab.planted_scores(np.geomspace(1e16, 1e22, 13), items=150, exponent=0.05, seed=seed)
    own = lab.choice_scores(lab.choice_table(made_up.select(models=slice(6, None))), "made-up items")
chapter.show(
    lab.survival_chart({own.name: own}, **shown, draws=20),
    name="own-survival",
    caption="Your items (here: made up unless a file was given): share whose score correlates with compute more strongly than the threshold.",
    alt="Three falling curves over a wide gray band of chance: log p falls last, p among choices before it, accuracy first.",
)
target = target_compute or 4 * own.scores.compute.max()
chapter.table(
    lab.own_report(own, target, kind=correlation, draws=draws, seed=seed), caption="What these items say."
)

# %% [markdown]
# ## Exercises
#
# ````{exercise}
# :label: elusive-prediction-ex1
# A larger model gives the right choice twice the probability, 0.20 instead of 0.10, and the best wrong one three times,
# 0.24 instead of 0.08. There are only these two. What happens at every stage?
# ````
#
# ````{solution-start} elusive-prediction-ex1
# :class: dropdown
# ````

# %% tags=["nbval-check-output"]
larger = ChoiceScores(np.log([[[0.10, 0.08]], [[0.20, 0.24]]]), correct=[0], compute=[1e20, 1e21])
for stage in STAGES:
    print(f"{stage:12s}", *(f"{value:8.3f}" for value in larger.stage(stage)[:, 0]))

# %% [markdown]
# Both stages that look at the right choice alone improve. Everything after the comparison gets worse, and accuracy falls
# from 1 to 0, though the model has learned more about this item.
#
# ````{solution-end}
# ````
#
# ````{exercise}
# :label: elusive-prediction-ex2
# With seven models, how often does an item that has nothing to do with scale show $|\rho| > 0.7$ (Spearman)?
# ````
#
# ````{solution-start} elusive-prediction-ex2
# :class: dropdown
# ````

# %% tags=["nbval-check-output"]
orders = np.array(list(permutations(range(7))))
rho = 1 - 6 * ((orders - np.arange(7)) ** 2).sum(axis=1) / (7 * (7**2 - 1))
print(f"{(np.abs(rho) > 0.7).sum()} of {len(orders)} orders: {(np.abs(rho) > 0.7).mean():.3f}")

# %% [markdown]
# One item in eleven. A list of "items that follow scale" over seven models is partly made of these, and because all items
# share the models, they come in bunches. Hence the band of chance, with scales exchanged jointly for all items.
#
# ````{solution-end}
# ````
#
# ````{exercise}
# :label: elusive-prediction-ex3
# Why do sixteen wrong choices make $p_\text{choices}$ of the made-up items follow compute better than one?
# ````
#
# ````{solution-start} elusive-prediction-ex3
# :class: dropdown
# ````
#
# The right choice competes with the *sum* of the wrong ones. A single one enters with all its slope and noise, and in some
# items it rises faster than the right one. The sum of many moves like their average, whose independent part varies from
# item to item by a quarter as much for sixteen. Yet the average rises: the lottery is gone, the common trend is not.
#
# ````{solution-end}
# ````
#
# **Misconceptions.** "Emergence is only thresholding": the comparison with wrong choices does damage before any threshold.
# "The right answer's likelihood suffices to predict accuracy": it leaves out what it is compared with.

# %%
chapter.save()

# %% [markdown]
# ## References
#
# ````{bibliography}
# :filter: docname in docnames
# ````
