"""What creatives a user answers to: observed beside expected answers to those that share an attribute, before now.

Every exposure e of a user is expected to be answered (clicked, say) with the rate p(e) of its scenario. At time t an
earlier exposure weighs `w(e) = 2^(-(t - e.time) / half-life)`, and counts as answered only if the answer had arrived
before t. For a user u and one value a of an attribute (colour = red), over the user's last `WINDOW` exposures,

    P(a) = sum of w p over those with a,   K(a) = sum of w over those with a that were answered
    E(a) = f(u) q(a) P(a),                 f(u) = (K + M) / (P + M) over all of them
    preference(a) = log((K(a) + m) / (E(a) + m))

f is how readily this user answers at all, q how much more everybody answers to a (from the training window): what is
left is the user's own taste. This is the posterior mean of a gamma-Poisson model, up to the logarithm: m and M are the
prior's strength in expected answers, one over the variance of tastes between users, which is estimated on the training
window by moments (DuMouchel 1999, "Bayesian data mining in large frequency tables", on the model). Where users do not
differ in an attribute, m is large and its number stays at 0. The attributes' sum is a number of its own: what counts if
they were independent.

One function for training and for requests: K candidates share one window, exposures of training have one each.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from plait.data.artifacts import write_atomically
from plait.features.spec import Number

CREATIVE_PREFERENCE = "creative_preference"
"""Name of the group."""
WINDOW = 256
"""How many of a user's last exposures are looked at."""
NEVER = np.iinfo(np.int64).max
"""When an exposure was answered that was not."""
_MOST_PRIOR = 1e4
"""The strongest prior: tastes that differ by one percent."""
_LEAST_DEVIATION = 0.005
"""A number that varies less is not blown up to unit deviation: it says next to nothing."""
_LIMIT = 8.0


@dataclass(frozen=True, slots=True)
class Shown:
    """Exposures of one user or of all, sorted by user and time."""

    item_N: NDArray[np.int32]
    """Rows of the items table."""
    creative_N: NDArray[np.int32]
    """Rows of the creatives table; 0 for none."""
    scenario_N: NDArray[np.int32]
    """Index into the specification's scenarios."""
    time_N: NDArray[np.int64]
    answered_N: NDArray[np.int64]
    """When the answer became available; `NEVER` without one. Epoch milliseconds."""

    def __len__(self) -> int:
        return len(self.time_N)

    def last(self, count: int) -> "Shown":
        """The last `count` exposures."""
        return self.take(slice(max(len(self) - count, 0), None))

    def take(self, chosen: slice | NDArray[np.int64]) -> "Shown":
        """Some of the exposures."""
        return Shown(*(getattr(self, each.name)[chosen] for each in fields(self)))

    @classmethod
    def empty(cls) -> "Shown":
        """No exposures."""
        none = np.empty(0, np.int32)
        return cls(none, none, none, np.empty(0, np.int64), np.empty(0, np.int64))


@dataclass(frozen=True, slots=True)
class Answer:
    """Which behaviour answers an exposure: one that names it, or (last touch) of the item that it showed latest."""

    action: str
    window: int
    """How long after the exposure, milliseconds."""
    last_touch: bool = False
    min_value: float | None = None

    def is_given(self, action: str, value: float | None) -> bool:
        """Whether a behaviour can be an answer."""
        return action == self.action and (self.min_value is None or (value is not None and value >= self.min_value))


@dataclass(frozen=True, slots=True)
class PreferencePriors:
    """What was fitted on the training window."""

    half_life: float
    """Milliseconds after which an exposure weighs half."""
    rates_S: list[float]
    """Of each scenario."""
    lifts_AV: list[list[float]]
    """q: of each attribute by code; 1 for code 0."""
    strengths_A: list[float]
    """m of each attribute."""
    strength: float
    """M."""
    numbers: list[dict[str, float | str]]
    """Name, mean and deviation of each number, the sum's last."""


@dataclass(frozen=True, slots=True)
class CreativePreference:
    """The preference numbers: codes of the creatives' attributes, and what was fitted."""

    codes_RA: NDArray[np.int32]
    """By row of the creatives table; 0 where the attribute is not known."""
    priors: PreferencePriors
    answer: Answer

    @property
    def numbers(self) -> tuple[Number, ...]:
        """The numbers, in order."""
        return tuple(
            Number(str(each["name"]), "preference", float(each["mean"]), float(each["std"]), group=CREATIVE_PREFERENCE)
            for each in self.priors.numbers
        )

    def at(
        self,
        shown: Shown,
        start_R: NDArray[np.int64],
        stop_R: NDArray[np.int64],
        time_R: NDArray[np.int64],
        creative_B: NDArray[np.integer],
    ) -> NDArray[np.float32]:
        """`[B, A + 1]`: the standardised numbers of B candidates over their own windows, or one that all share (R = 1).

        Args:
            shown: exposures, sorted by user and time.
            start_R: first exposure of each window's user.
            stop_R: behind the last exposure before `time_R`.
            time_R: of the exposures or of the request, epoch milliseconds.
            creative_B: rows of the candidates' creatives.
        """
        return self.standardised(self.raw(shown, start_R, stop_R, time_R, self.codes_RA[creative_B]))

    def standardised(self, raw_BG: NDArray[np.float64]) -> NDArray[np.float32]:
        """`(x - mean) / std`, cut to -8..8."""
        mean_G = np.array([number.mean for number in self.numbers])
        std_G = np.array([number.std for number in self.numbers])
        standard_BG: NDArray[np.float32] = np.clip((raw_BG - mean_G) / std_G, -_LIMIT, _LIMIT).astype(np.float32)
        return standard_BG

    def raw(
        self,
        shown: Shown,
        start_R: NDArray[np.int64],
        stop_R: NDArray[np.int64],
        time_R: NDArray[np.int64],
        codes_BA: NDArray[np.int32],
    ) -> NDArray[np.float64]:
        """As `at`, before standardisation and of the candidates' attributes by code."""
        priors, (size, attributes) = self.priors, codes_BA.shape
        raw_BG = np.zeros((size, attributes + 1))
        places_RW, weight_RW = _window(shown, start_R, stop_R, time_R, priors.half_life)
        if not places_RW.shape[1]:
            return raw_BG
        expected_RW = weight_RW * np.array(priors.rates_S)[shown.scenario_N[places_RW]]
        answered_RW = weight_RW * (shown.answered_N[places_RW] < time_R[:, None])
        ready_R = (answered_RW.sum(1) + priors.strength) / (expected_RW.sum(1) + priors.strength)
        codes_RWA = self.codes_RA[shown.creative_N[places_RW]]
        for place in range(attributes):
            own_B, strength = codes_BA[:, place], priors.strengths_A[place]
            asked_D, slot_B = np.unique(own_B, return_inverse=True) if len(time_R) == 1 else (own_B, slice(None))
            same_DW = codes_RWA[:, :, place] == np.where(asked_D == 0, -1, asked_D)[:, None]
            expected_D = (same_DW * expected_RW).sum(1) * ready_R * np.array(priors.lifts_AV[place])[asked_D]
            answered_D = (same_DW * answered_RW).sum(1)
            raw_BG[:, place] = np.log((answered_D + strength) / (expected_D + strength))[slot_B]
        raw_BG[:, -1] = raw_BG[:, :-1].sum(1)
        return raw_BG

    def save(self, folder: Path) -> None:
        """Write two files to `folder`."""
        np.save(folder / "preference.codes.npy", self.codes_RA)
        written = {"priors": asdict(self.priors), "answer": asdict(self.answer)}
        write_atomically(folder / "preference.json", json.dumps(written))

    @classmethod
    def load(cls, folder: Path) -> "CreativePreference":
        """What `save` wrote."""
        written = json.loads((folder / "preference.json").read_text(encoding="utf-8"))
        codes_RA = np.load(folder / "preference.codes.npy", allow_pickle=False)
        return cls(codes_RA, PreferencePriors(**written["priors"]), Answer(**written["answer"]))


def stops(user_N: NDArray[np.integer], time_N: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The window of every exposure among all, sorted by user and time: its user's first one, and those strictly before.

    Exposures of one moment (of one request) do not see each other.
    """
    place_N = np.arange(len(time_N))
    other_user_N = np.diff(user_N, prepend=-1) != 0
    other_time_N = other_user_N | (np.diff(time_N, prepend=-1) != 0)
    start_N = np.maximum.accumulate(np.where(other_user_N, place_N, 0))
    return start_N, np.maximum.accumulate(np.where(other_time_N, place_N, 0))


def _window(
    shown: Shown, start_R: NDArray[np.int64], stop_R: NDArray[np.int64], time_R: NDArray[np.int64], half_life: float
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Places of the last exposures before each time, latest first, and their weights; 0 where there is none."""
    length_R = np.minimum(stop_R - start_R, WINDOW)
    steps_W = np.arange(int(length_R.max(initial=0)))
    inside_RW = steps_W < length_R[:, None]
    places_RW = np.where(inside_RW, stop_R[:, None] - 1 - steps_W, 0)
    if not places_RW.size:
        return places_RW, places_RW.astype(np.float64)
    age_RW = time_R[:, None] - shown.time_N[places_RW]
    return places_RW, np.where(inside_RW, np.exp2(-age_RW / half_life), 0.0)


def _strength(excess: float, scale: float) -> float:
    """1 / variance: the prior's strength, where `excess` is what the squares vary more than chance alone explains."""
    return min(scale / excess, _MOST_PRIOR) if excess > 0 else _MOST_PRIOR


def _taste_strength(
    user_B: NDArray[np.int64],
    code_B: NDArray[np.int32],
    expected_B: NDArray[np.float64],
    answered_B: NDArray[np.float64],
) -> float:
    """The prior's strength m of one attribute, by moments.

    Of the K answers of a user with N exposures, a share s is expected to go to a value. Without tastes their number k
    is hypergeometric, an exposure being answered once at most; with tastes of variance v it varies more:

        E[(k - K s)^2] = K s (1 - s) (N - K) / (N - 1) + v K (K - 1) s^2 (1 - s)^2
    """
    width = int(code_B.max(initial=0)) + 1
    key_M, slot_B = np.unique(user_B * width + code_B, return_inverse=True)
    user_M, code_M = np.divmod(key_M, width)
    share_M = np.bincount(slot_B, expected_B) / np.bincount(user_B, expected_B)[user_M]
    total_M, shown_M = np.bincount(user_B, answered_B)[user_M], np.bincount(user_B)[user_M]
    spread_M = share_M * (1 - share_M)
    chance_M = total_M * spread_M * (shown_M - total_M) / np.maximum(shown_M - 1, 1)
    excess_M = (np.bincount(slot_B, answered_B) - total_M * share_M) ** 2 - chance_M
    known_M = code_M > 0
    scale_M = total_M * (total_M - 1) * spread_M**2
    return _strength(float(excess_M[known_M].sum()), float(scale_M[known_M].sum()))


def fit_priors(
    codes_RA: NDArray[np.int32],
    shown: Shown,
    user_N: NDArray[np.int64],
    train_N: NDArray[np.bool_],
    *,
    scenarios: int,
    half_life: float,
    names: Sequence[str],
) -> PreferencePriors:
    """Rates, lifts and prior strengths of the training window; the numbers' scale is left at 0 and 1.

    Args:
        codes_RA: attributes of the creatives.
        shown: all exposures.
        user_N: whose they are.
        train_N: True for those of the training window.
        scenarios: how many there are.
        half_life: milliseconds.
        names: of the attributes.
    """
    user_B, scenario_B = user_N[train_N], shown.scenario_N[train_N]
    answered_B = (shown.answered_N[train_N] < shown.time_N[train_N].max(initial=0)).astype(np.float64)
    counts_S = np.bincount(scenario_B, minlength=scenarios)
    overall = answered_B.mean() if len(answered_B) else 0.0
    rates_S = (np.bincount(scenario_B, answered_B, scenarios) + overall) / (counts_S + 1)
    expected_B = rates_S[scenario_B]
    expected_U, answered_U = np.bincount(user_B, expected_B), np.bincount(user_B, answered_B)
    excess = float(((answered_U - expected_U) ** 2 - answered_U).sum())
    strength = _strength(excess, float((expected_U**2).sum()))
    personal_B = expected_B * ((answered_U + strength) / (expected_U + strength))[user_B]
    lifts_AV, strengths_A = [], []
    for place in range(codes_RA.shape[1]):
        code_B = codes_RA[shown.creative_N[train_N], place]
        size = int(codes_RA[:, place].max(initial=0)) + 1
        lift_V = (np.bincount(code_B, answered_B, size) + 1) / (np.bincount(code_B, personal_B, size) + 1)
        lift_V[0] = 1.0
        lifts_AV.append(lift_V.tolist())
        strengths_A.append(_taste_strength(user_B, code_B, expected_B * lift_V[code_B], answered_B))
    scale: list[dict[str, float | str]] = [
        {"name": f"preference.{name}", "mean": 0.0, "std": 1.0} for name in (*names, "all")
    ]
    return PreferencePriors(half_life, rates_S.tolist(), lifts_AV, strengths_A, strength, scale)


def scaled(numbers: Sequence[dict[str, float | str]], raw_BG: NDArray[np.float64]) -> list[dict[str, float | str]]:
    """The numbers with mean and deviation of a sample of training exposures."""
    mean_G, std_G = (raw_BG.mean(0), raw_BG.std(0)) if len(raw_BG) else (np.zeros(len(numbers)), np.ones(len(numbers)))
    return [
        {"name": each["name"], "mean": float(mean), "std": float(max(std, _LEAST_DEVIATION))}
        for each, mean, std in zip(numbers, mean_G, std_G, strict=True)
    ]
