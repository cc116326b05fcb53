"""Two worlds of invented facts: one that training meets with Zipf frequencies, one that it never meets."""

import hashlib
from functools import cache
from itertools import product

import numpy as np
import pandas as pd

from densing.checks import check_choice
from densing.data.skills.families import Problem, SkillFamily, spelled

ENTITIES = 1_000
ZIPF = 1.1
# How often the most frequent entity's facts are met while 400,000 tokens of facts are (a fifth of a quarter
# of 8 million), at the length that facts have in the stream.
TOP_COUNT = 1_700
STRATA = (512, 128, 32, 8, 2, 1)
SPELLINGS = (
    "{entity} {relation}",
    "{relation} of {entity}",
    "the {relation} of {entity}",
    "{entity}: {relation}",
)

_STARTS = ("B", "D", "F", "G", "H", "J", "K", "L", "M", "N", "P", "R", "S", "T", "V", "Z")
_MIDDLES = ("al", "ar", "el", "en", "er", "il", "im", "ir", "ol", "or", "un", "ur")
_ENDS = ("ac", "ad", "am", "ed", "el", "ex", "ic", "ig", "om", "op", "ot", "um")
_COLORS = "red blue green gray gold black pink lime teal tan rose plum amber olive white brown".split()
_PETS = "cat dog owl hen cow fox ant goat horse lion bear wolf crow deer mule swan".split()
_LANDS = [
    a + b for a in ("ar", "en", "il", "or", "um", "es", "ot", "ir") for b in ("do", "ma", "ro", "ti", "ve")
]
RELATIONS = ("color", "pet", "land", "kin")


def _number(text: str) -> int:
    # A hash rather than a random generator: the worlds are the same in every version of every package.
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


@cache
def _worlds() -> pd.DataFrame:
    names = sorted(map("".join, product(_STARTS, _MIDDLES, _ENDS)), key=_number)
    rows = []
    for world, start in (("trained", 0), ("unseen", ENTITIES)):
        entities = names[start : start + ENTITIES]
        for rank, entity in enumerate(entities, start=1):
            count = max(1, round(TOP_COUNT / rank**ZIPF)) if world == "trained" else 0
            others = entities[: rank - 1] + entities[rank:]
            for relation, values in zip(RELATIONS, (_COLORS, _PETS, _LANDS, others), strict=True):
                value = values[_number(f"{entity} {relation}") % len(values)]
                rows.append((world, entity, relation, value, rank, count, stratum(count)))
    columns = ["world", "entity", "relation", "value", "rank", "count", "stratum"]
    return pd.DataFrame(rows, columns=columns)


def stratum(count: int) -> str:
    """The frequency class of a fact met `count` times in a full training."""
    if not count:
        return "never"
    place = next(i for i, low in enumerate(STRATA) if count >= low)
    low = STRATA[place]
    if place == 0:
        return f"{low}+"
    return str(low) if low == STRATA[place - 1] - 1 else f"{low}-{STRATA[place - 1] - 1}"


def load_facts(world: str = "trained") -> pd.DataFrame:
    """The invented facts of one world: 1,000 entities with 4 relations.

    The value of the relation ``kin`` is another entity of the same world, so that two relations compose
    ("the color of the kin of ...").

    Parameters
    ----------
    world : ``"trained"`` or ``"unseen"``, whose facts no training stream holds.

    Returns
    -------
    one row a fact: world, entity, relation, value, rank (of the entity, 1 the most frequent), count (how often
    a full training of 8 million tokens with a quarter of skills meets the fact: proportional to
    rank^-1.1, at least 1; 0 in the unseen world), stratum (class of the count).

    Raises
    ------
    InputError : another world.
    """
    check_choice("world", world, ("trained", "unseen"))
    facts = _worlds()
    return facts[facts["world"] == world].reset_index(drop=True)


def fact_values(relation: str, world: str = "trained") -> list[str]:
    """All values that a relation can take: the wrong answers to choose from."""
    check_choice("relation", relation, RELATIONS)
    check_choice("world", world, ("trained", "unseen"))
    if relation == "kin":
        return load_facts(world)["entity"].drop_duplicates().tolist()
    return list({"color": _COLORS, "pet": _PETS, "land": _LANDS}[relation])


@cache
def _problems(world: str, family: str) -> tuple[list[tuple[str, str, str, str, str]], np.ndarray]:
    facts = load_facts(world)
    rows = list(zip(facts["entity"], facts["relation"], facts["value"], facts["stratum"], strict=True))
    weights = facts["rank"].to_numpy() ** -ZIPF
    return [(*row, f"{family} {row[0]} {row[1]}") for row in rows], np.cumsum(weights) / weights.sum()


def fact_problem(rng: np.random.Generator, index: int, varied: bool, family: str = "facts") -> Problem:
    """The fact in row `index` of `load_facts` as a problem."""
    rows, _ = _problems(_WORLD_OF[family], family)
    entity, relation, value, group, key = rows[index]
    prompt = spelled(rng, varied, SPELLINGS).format(entity=entity, relation=relation)
    return Problem(family, 1, prompt, value, key, group)


def _draw(family: str):
    def draw(rng: np.random.Generator, grade: int, varied: bool) -> Problem:
        _, cumulative = _problems(_WORLD_OF[family], family)
        index = int(np.searchsorted(cumulative, rng.random(), side="right"))
        return fact_problem(rng, min(index, len(cumulative) - 1), varied, family)

    return draw


def _select(family: str):
    def select(rng: np.random.Generator, grade: int, count: int) -> list[Problem]:
        """As many facts of every stratum as there are, up to an equal share of `count`."""
        facts = load_facts(_WORLD_OF[family])
        pools = [rng.permutation(index) for index in facts.groupby("stratum", sort=False).indices.values()]
        pools.sort(key=len)
        chosen: list[int] = []
        for done, pool in enumerate(pools):
            chosen += pool[: (count - len(chosen)) // (len(pools) - done)].tolist()
        return [fact_problem(rng, i, False, family) for i in chosen]

    return select


_WORLD_OF = {"facts": "trained", "facts_unseen": "unseen"}
FAMILIES = tuple(
    SkillFamily(
        family,
        "choice",
        (1,),
        "facts",
        _draw(family),
        {1: ENTITIES * len(RELATIONS)},
        trained=family == "facts",
        split=False,  # a held-out fact cannot be known
        select=_select(family),
    )
    for family in _WORLD_OF
)
