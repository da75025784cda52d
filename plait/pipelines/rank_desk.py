"""One made-up request to an HSTU ranker of given sizes, and every way to rank its candidates."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from plait import seeding
from plait.features.batch import FeatureBatch
from plait.features.history import History
from plait.features.spec import Action, FeatureSpec, Field, FieldSource, Number
from plait.models.batch import Batch
from plait.models.builder import build_model
from plait.models.config import HstuConfig, SequenceConfig
from plait.models.head_graph import HeadGraph, HeadInputs, compiled, exported
from plait.models.hstu import HstuRanker
from plait.nn.hstu import encode_candidates

ITEMS = 50_000
_NOW_MS = 1_760_000_000_000
_MINUTE_MS = 60_000
_NUMBERS = ("history.events.1h", "history.item")


@dataclass(frozen=True, slots=True)
class TowerSizes:
    """Of the ranker that is measured; everything else is as `HstuConfig` has it."""

    width: int = 64
    heads: int = 2
    blocks: int = 4


def request_spec() -> FeatureSpec:
    """Fields and numbers as an app market has them."""
    sizes: dict[FieldSource, dict[str, int]] = {
        "user": {"user_id": 20_001, "age": 8, "region": 40},
        "item": {"item_id": ITEMS + 1, "category_1": 30, "category_2": 200, "category_3": 800},
        "creative": {"creative_id": 2 * ITEMS + 1, "advertiser": 500},
        "context": {"scenario": 4, "position": 21, "hour": 25, "weekday": 8},
    }
    return FeatureSpec(
        objectives=("click", "install", "pay"),
        scenarios=("home", "search", "feed"),
        actions=(Action("click"), Action("install"), Action("pay")),
        fields=tuple(Field(name, source, size) for source, fields in sizes.items() for name, size in fields.items()),
        numbers=(
            Number("activity", "user", mean=2.0, std=0.5),
            Number("price", "item", mean=3.0, std=1.5),
            *(Number(name, "history", mean=0.4, std=0.7) for name in _NUMBERS),
        ),
    )


class Desk:
    """A ranker with random weights, a user with a full window of events, and everything that can be timed.

    Args:
        sizes: of the tower.
        events: L, of the user's history; also the tower's window.
        seed: of weights and data.
    """

    def __init__(self, sizes: TowerSizes, events: int, seed: int) -> None:
        self.spec = request_spec()
        self.events = events
        sequence = SequenceConfig(
            width=sizes.width, heads=sizes.heads, blocks=sizes.blocks, max_events=events, dropout=0.0
        )
        rng = seeding.generator(seed, "rank", events)
        self._rng = rng
        columns = [self.spec.fields[column] for column in self.spec.item_columns]
        items_VI = np.stack([rng.integers(0, field.size, ITEMS + 1) for field in columns], axis=1).astype(np.int32)
        torch.manual_seed(seed)
        self.config = HstuConfig(sequence=sequence)
        model = build_model(self.config, self.spec, items_VI)
        if not isinstance(model, HstuRanker):
            raise TypeError(f"found {type(model).__name__}, expected an HSTU ranker")
        for weight in model.parameters():
            if not weight.any():
                torch.nn.init.normal_(weight, std=0.1)  # what begins at zero would hide whether anything is wrong
        self.model = model.eval().requires_grad_(requires_grad=False)
        self._items_VI = items_VI
        self.tower, self.head = self.model.split()
        self.steps = self.tower.steps()
        self._history = self._random_history(events)
        self._out_DT = torch.randn(sizes.width, len(self.spec.objectives))
        with torch.no_grad():
            self._begin = self.head.for_requests()
            self.track = self.steps.follow(None, self._history)
            self.user = self.steps.summary(self.track)

    def request(self, candidates: int) -> Batch:
        """The batch of a request for K candidates."""
        rng, spec = self._rng, self.spec
        codes_KF = np.stack([rng.integers(0, field.size, candidates) for field in spec.fields], axis=1)
        shared = [*spec.columns("user"), *spec.columns("context")]
        codes_KF[:, shared] = codes_KF[0, shared]
        codes_KF[:, list(spec.item_columns)] = self._items_VI[codes_KF[:, spec.item_columns[0]]]
        numbers_KG = rng.standard_normal((candidates, len(spec.numbers))).astype(np.float32)
        numbers_KG[:, 0], numbers_KG[:, 2] = numbers_KG[0, 0], numbers_KG[0, 2]
        history = self._history
        nothing_KT = np.zeros((candidates, len(spec.objectives)), np.float32)
        return Batch.from_features(
            FeatureBatch(
                categorical_BF=codes_KF.astype(np.int32),
                numeric_BG=numbers_KG,
                bag_BP=np.zeros((candidates, 0), np.int64),
                token_offsets_J1=np.zeros(1, np.int64),
                token_codes_N=np.zeros(0, np.int32),
                scenario_B=np.zeros(candidates, np.int32),
                time_B=np.full(candidates, _NOW_MS),
                user_B=np.zeros(candidates, np.int64),
                before_B=np.full(candidates, len(history)),
                history_offsets_U1=np.array([0, len(history)]),
                history_item_N=history.item_N,
                history_action_N=history.action_N,
                history_scenario_N=history.scenario_N,
                history_time_N=history.time_N,
                labels_BT=nothing_KT,
                mask_BT=nothing_KT > 0,
            )
        )

    def recompute(self, batch: Batch) -> Tensor:
        """The whole model: a pass over all events, then the head."""
        logits_KT: Tensor = self.model(batch)
        return logits_KT

    def score(self, batch: Batch) -> Tensor:
        """The light head over a state that is there already."""
        return self._begin(self.user, batch)(batch)

    def m_falcon(self, batch: Batch) -> Tensor:
        """Candidates as rows of the tower over cached keys and values, then one linear layer."""
        items_K = batch.categorical_BF[:, self.spec.item_columns[0]]
        token_KD = self.tower.item(items_K)
        return encode_candidates(self.steps.encoder, self.track.state, token_KD, _NOW_MS) @ self._out_DT

    def append(self) -> None:
        """One further event of a user whose window is full: each costs a pass over all cached keys and values."""
        self.steps.advance(self.track, self._random_history(1))

    def restart(self) -> None:
        """A pass begins anew at its half: what following a user costs once every `events / 2` events."""
        self.steps.follow(None, self._history.last(max(1, self.events // 2)))

    def state_difference(self, appended: int) -> float:
        """How far a state whose last events were appended one by one is from that of one pass over all, at most."""
        history, appended = self._history, min(appended, self.events - 1)
        kept = self.steps.follow(None, history.between(0, self.events - appended))
        for place in range(self.events - appended, self.events):
            self.steps.advance(kept, history.between(place, place + 1))
        anew = self.steps.follow(None, history)
        return float((self.steps.summary(kept).output_LD - self.steps.summary(anew).output_LD).abs().max())

    def _random_history(self, events: int) -> History:
        rng = self._rng
        return History(
            rng.integers(1, ITEMS + 1, events).astype(np.int32),
            rng.integers(1, 4, events).astype(np.int32),
            rng.integers(0, 4, events).astype(np.int32),
            _NOW_MS - _MINUTE_MS * np.arange(events, 0, -1),
        )


def head_versions(desk: Desk, folder: Path) -> tuple[dict[str, Callable[[HeadInputs], Tensor]], list[str]]:
    """The head in every compiled version that this machine can run, and why the others are left out.

    Args:
        desk: the request.
        folder: where compiled files go.
    """
    with torch.no_grad():
        graph = HeadGraph(desk.head)
        example = head_inputs(desk, 500)
        versions: dict[str, Callable[[HeadInputs], Tensor]] = {}
        left_out = []
        if shutil.which("g++") or shutil.which("clang++"):
            by_compiler = compiled(graph)
            versions["compiled"] = lambda inputs: by_compiler(*inputs)
            versions["aot"] = _ahead_of_time(graph, example, folder)
        else:
            left_out.append("torch.compile and AOTInductor: no C++ compiler on this machine")
        if all(find_spec(name) for name in ("onnx", "onnxscript", "onnxruntime")):
            versions["onnx"] = _onnx(graph, example, folder)
        else:
            left_out.append("ONNX Runtime: install onnx, onnxscript and onnxruntime")
    return versions, left_out


def head_inputs(desk: Desk, candidates: int) -> HeadInputs:
    """The head's part of a request for K candidates."""
    return HeadInputs.of(desk.user, desk.request(candidates), desk.head.events)


def _ahead_of_time(graph: HeadGraph, example: HeadInputs, folder: Path) -> Callable[[HeadInputs], Tensor]:
    from torch._inductor import aoti_compile_and_package, aoti_load_package  # noqa: PLC0415 - slow to import

    package = aoti_compile_and_package(exported(graph, example), package_path=str(folder / "head.pt2"))
    run = aoti_load_package(package)
    return lambda inputs: run(*inputs)


def _onnx(graph: HeadGraph, example: HeadInputs, folder: Path) -> Callable[[HeadInputs], Tensor]:
    runtime = import_module("onnxruntime")
    program = torch.onnx.export(
        exported(graph, example), tuple(example), dynamo=True, input_names=list(example._fields), verbose=False
    )
    path = folder / "head.onnx"
    if program is None:
        raise TypeError("torch.onnx.export gave no program")
    program.save(str(path))
    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = runtime.InferenceSession(str(path), options)
    names = [given.name for given in session.get_inputs()]

    def run(inputs: HeadInputs) -> Tensor:
        given = {name: getattr(inputs, name).numpy() for name in names}
        return torch.from_numpy(session.run(None, given)[0])

    return run
