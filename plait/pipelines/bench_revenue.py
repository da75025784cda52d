"""What an auction earns in a simulated market with a model's probabilities, calibrated ones and the true ones."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from plait.ads import Charge, Outcome, earned, hold_auctions
from plait.config import AdsSettings
from plait.errors import ConfigError
from plait.evaluation.bootstrap import draw_users, interval, resampled_totals
from plait.pipelines.ads_market import AdsMarket, Bids, ads_market, market_bids, model_probabilities
from plait.pipelines.calibrated_version import calibrated_version
from plait.pipelines.models import model_registry
from plait.pipelines.project import Project
from plait.pipelines.results import Metric, write_result

_UNIT = "per 1,000 exposures"


@dataclass(frozen=True, slots=True)
class RevenueOptions:
    """What `plait bench revenue` can be asked for."""

    model: str
    ads: AdsSettings
    calibrated: str | None = None
    """The same model with calibrated probabilities; None: it is calibrated now, unless it has been."""
    objectives: Sequence[str] = ()
    """What bids pay for, the table's own first; empty for what `[ads] objective` says."""
    charge: Charge = "conversion"
    requests: int = 3_000
    candidates: int = 50
    slots: int = 3
    bootstrap: int = 1_000
    seed: int = 0
    write: bool = True


@dataclass(frozen=True, slots=True)
class _Sums:
    """What one kind of probabilities led to, by request."""

    revenue_R: NDArray[np.float64]
    value_R: NDArray[np.float64]
    believed_R: NDArray[np.float64]
    """Conversions of the shown ads as the probabilities have them (in the first slot)."""
    expected_R: NDArray[np.float64]
    """As the truth has them in the first slot."""


def measure_revenue(project: Project, options: RevenueOptions) -> tuple[dict[str, Metric], Path | None]:
    """Hold the auctions of the same requests with each kind of probabilities; intervals over resampled users.

    Raises:
        ConfigError: nothing says which objective a bid pays for.
        DataError: the workspace is not a simulated one.
        ArtifactError: there is no such model.
    """
    objectives = options.objectives or [name for name in (options.ads.objective,) if name]
    known = project.workspace.objective_names()
    if not objectives or not set(objectives) <= set(known):
        raise ConfigError(
            f"found objectives {list(objectives)}, expected which of {', '.join(known)} a bid pays for: name it with "
            "--objective or as [ads] objective in plait.toml"
        )
    market = ads_market(project, requests=options.requests, candidates=options.candidates, seed=options.seed)
    bids = market_bids(project, market, objectives, options.seed)
    model = model_registry(project).resolve(options.model).reference
    calibrated = options.calibrated or calibrated_version(project, model)
    kinds = {
        "uncalibrated": bids.chosen(model_probabilities(project, model, market)),
        "calibrated": bids.chosen(model_probabilities(project, calibrated, market)),
        "oracle": bids.chosen(market.true_RKT),
    }
    sums = {name: _sums(market, bids, values_RK, options) for name, values_RK in kinds.items()}
    metrics = _metrics(sums, market, options)
    return metrics, _write(project, market, objectives, options, metrics) if options.write else None


def _sums(market: AdsMarket, bids: Bids, probability_RK: NDArray[np.floating], options: RevenueOptions) -> _Sums:
    ads = options.ads
    outcome: Outcome = hold_auctions(
        bids.bid_RK, probability_RK, options.slots, ads.pricing, ads.reserve, ads.attention
    )
    true_RS = market.true_of(outcome, outcome.of_winners(bids.objective_RK))
    sums = earned(outcome, bids.bid_RK, true_RS, options.charge)
    believed_RS, expected_RS = (
        outcome.of_winners(values_RK) for values_RK in (probability_RK, bids.chosen(market.true_RKT))
    )
    return _Sums(sums.revenue_R, sums.value_R, believed_RS.sum(axis=1), expected_RS.sum(axis=1))


def _metrics(sums: Mapping[str, _Sums], market: AdsMarket, options: RevenueOptions) -> dict[str, Metric]:
    """Revenue and value per thousand exposures that were to be had, and lifts, each with its paired interval."""
    user_R = np.unique(market.user_R(), return_inverse=True)[1]
    users = int(user_R.max()) + 1
    weights_RU = draw_users(users, options.bootstrap, options.seed)
    slots_R = np.full(len(user_R), options.slots, np.float64)

    def totals(values_R: NDArray[np.float64]) -> NDArray[np.float64]:
        """The total, then that of each resample of users."""
        sums_U1 = np.bincount(user_R, values_R, users).astype(np.float64)[:, None]
        return np.append(sums_U1.sum(), resampled_totals(weights_RU, sums_U1)[:, 0])

    def metric(values: NDArray[np.float64], unit: str) -> Metric:
        return Metric(float(values[0]), *interval(values[1:]), unit)

    slots = totals(slots_R)
    revenue = {name: totals(one.revenue_R) for name, one in sums.items()}
    value = {name: totals(one.value_R) for name, one in sums.items()}
    metrics = {
        "lift": metric(revenue["calibrated"] / revenue["uncalibrated"] - 1, "revenue"),
        "value_lift": metric(value["calibrated"] / value["uncalibrated"] - 1, "value"),
        "oracle.lift": metric(revenue["oracle"] / revenue["uncalibrated"] - 1, "revenue"),
    }
    for name, one in sums.items():
        metrics[f"{name}.revenue"] = metric(1000 * revenue[name] / slots, _UNIT)
        metrics[f"{name}.value"] = metric(1000 * value[name] / slots, _UNIT)
        metrics[f"{name}.believed"] = metric(totals(one.believed_R) / totals(one.expected_R), "believed / true")
    return metrics


def _write(
    project: Project,
    market: AdsMarket,
    objectives: Sequence[str],
    options: RevenueOptions,
    metrics: Mapping[str, Metric],
) -> Path:
    ads = options.ads
    wanted = "".join(f" --objective {name}" for name in objectives)
    calibrated = f" --calibrated {options.calibrated}" if options.calibrated is not None else ""
    command = (
        f"plait bench revenue -w {project.root.name} --model {options.model}{calibrated}{wanted} "
        f"--requests {options.requests} --candidates {options.candidates} --slots {options.slots} "
        f"--pricing {ads.pricing} --reserve {ads.reserve:g} --charge {options.charge}"
    )
    users = len(np.unique(market.user_R()))
    return write_result(
        "revenue_simulated",
        command=command,
        data=f"{project.workspace.name} (simulated): {len(market.row_R):,} requests for ads of {users:,} users, test "
        f"window, {options.candidates} ads each",
        seeds=[options.seed],
        metrics=metrics,
        notes="Simulated: expected payments by the world's true probabilities, per 1,000 slots offered. lift: revenue "
        "with calibrated probabilities against the same model's uncalibrated ones, same requests and ads; intervals: "
        f"95 %, {options.bootstrap} resamples of users. value: bid times true probability of what was shown, which the "
        "oracle (the true probabilities) comes closest to making as large as can be; its revenue may be below that of "
        "a model under second prices. believed: conversions of the shown ads as believed, over the true ones, both as "
        "if they stood first.",
    )
