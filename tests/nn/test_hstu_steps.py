"""The encoder in steps: any split of a sequence gives the batch's outputs; candidates are what appending each gives."""

import hstu_reference as reference
import pytest
import torch

from plait.nn.hstu import EncoderSteps, EventClock, HstuEncoder, HstuSizes, encode_candidates

MAX_EVENTS = 150
HOUR = 3_600_000
OPTIONS = [{}, {"attention": "softmax"}, {"distance_bias": False, "time_bias": False}, {"gate": False}]


def encoder(blocks=3, max_events=MAX_EVENTS, seed=0, **options):
    torch.manual_seed(seed)
    made = HstuEncoder(HstuSizes(8, 2, 5, 4, blocks=blocks, max_events=max_events, **options)).eval()
    for name, parameter in made.named_parameters():
        torch.nn.init.normal_(parameter, std=1.0 if "bias" in name else 0.5)
    return made


def sequence(length, seed=0):
    """Tokens, and times with everything from equal ones to years apart; some events are late by days."""
    generator = torch.Generator().manual_seed(seed)
    gaps = 10 ** (torch.rand(length, generator=generator) * 9)
    gaps[torch.rand(length, generator=generator) < 0.2] = 0
    late = (torch.rand(length, generator=generator) < 0.1) * 48 * HOUR
    return torch.randn(length, 8, generator=generator), gaps.cumsum(0).long() + 1_600_000_000_000 - late


def batch(model, token_LD, time_L):
    with torch.no_grad():
        return model(token_LD, EventClock(torch.tensor([0, len(token_LD)]), time_L))


def in_steps(model, token_LD, time_L, lengths):
    steps = EncoderSteps(model)
    state = steps.begin()
    parts = zip(token_LD.split(lengths), time_L.split(lengths), strict=True)
    return torch.cat([steps.append(state, *part) for part in parts]), state


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("lengths", [[1] * 40, [40], [3, 1, 20, 0, 16], [100, 1, 49], [150], [64, 65, 1]])
def test_any_split_is_the_batch(options, lengths):
    model, (token_LD, time_L) = encoder(**options), sequence(sum(lengths))
    output_LD, state = in_steps(model, token_LD, time_L, lengths)
    torch.testing.assert_close(output_LD, batch(model, token_LD, time_L), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(state.output_LD, output_LD, rtol=0, atol=0)
    assert len(state) == sum(lengths)
    assert state.dropped == 0


def test_steps_against_the_formula():
    """One event at a time against the float64 reference of the layer."""
    model, (token_LD, time_L) = encoder(blocks=2), sequence(30)
    expected_LD = token_LD.double()
    for layer in model.layers:
        expected_LD = reference.layer(layer, expected_LD, torch.cummax(time_L, 0).values)
    output_LD, _ = in_steps(model, token_LD, time_L, [1] * 30)
    torch.testing.assert_close(output_LD.double(), expected_LD, rtol=1e-4, atol=1e-5)


def windows(model, token_LD, time_L, size):
    """The last output of the encoder over each event's window alone."""
    return torch.stack(
        [
            batch(model, token_LD[max(0, i + 1 - size) : i + 1], time_L[max(0, i + 1 - size) : i + 1])[-1]
            for i in range(len(token_LD))
        ]
    )


@pytest.mark.parametrize("lengths", [[1] * 200, [70, 1, 129], [200], [5] * 40])
def test_a_sliding_window_is_exact_for_one_layer(lengths):
    model, (token_LD, time_L) = encoder(blocks=1, max_events=20), sequence(200)
    time_L = torch.cummax(time_L, 0).values
    output_LD, state = in_steps(model, token_LD, time_L, lengths)
    torch.testing.assert_close(output_LD, windows(model, token_LD, time_L, 20), rtol=1e-5, atol=1e-5)
    assert (len(state), state.dropped) == (20, 180)


def test_a_sliding_window_is_not_exact_for_two_layers_but_the_same_in_any_steps():
    model, (token_LD, time_L) = encoder(blocks=2, max_events=20), sequence(200)
    one_by_one, _ = in_steps(model, token_LD, time_L, [1] * 200)
    at_once, _ = in_steps(model, token_LD, time_L, [90, 110])
    torch.testing.assert_close(at_once, one_by_one, rtol=1e-5, atol=1e-5)
    exact = windows(model, token_LD, time_L, 20)
    torch.testing.assert_close(one_by_one[:20], exact[:20], rtol=1e-5, atol=1e-5)
    assert (one_by_one[20:] - exact[20:]).abs().max() > 1e-2


def test_deeper_layers_remember_the_dropped_through_layers_times_the_window():
    """With 2 layers and windows of 10, event 29 knows the events from 29 - 2 * 9 = 11 on, and no more."""
    model, (token_LD, time_L) = encoder(blocks=2, max_events=10), sequence(30)
    time_L = torch.cummax(time_L, 0).values
    last = in_steps(model, token_LD, time_L, [1] * 30)[0][-1]
    for changed, knows in ((10, False), (11, True)):
        other_LD = token_LD.clone()
        other_LD[changed] = -other_LD[changed]
        moved = (in_steps(model, other_LD, time_L, [1] * 30)[0][-1] - last).abs().max()
        assert (moved > 1e-6) == knows


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("history", [0, 1, 90, MAX_EVENTS - 1])
def test_candidates_are_what_appending_each_alone_gives(options, history):
    model, (token_LD, time_L) = encoder(**options), sequence(history)
    token_KD = sequence(7, seed=1)[0]
    steps = EncoderSteps(model)
    state = steps.begin()
    steps.append(state, token_LD, time_L)
    for time_ms in (1_600_000_000_000, 1_900_000_000_000):
        expected_KD = torch.stack(
            [
                batch(model, torch.cat([token_LD, token_D[None]]), torch.cat([time_L, torch.tensor([time_ms])]))[-1]
                for token_D in token_KD
            ]
        )
        for microbatch in (None, 3):
            output_KD = encode_candidates(steps, state, token_KD, time_ms, microbatch=microbatch)
            torch.testing.assert_close(output_KD, expected_KD, rtol=1e-5, atol=1e-5)
    assert len(state) == history


def test_candidates_of_a_full_window_leave_the_oldest_event_out():
    model, (token_LD, time_L) = encoder(max_events=20), sequence(50)
    steps = EncoderSteps(model)
    state = steps.begin()
    steps.append(state, token_LD, time_L)
    token_KD, time_ms = sequence(5, seed=1)[0], 1_900_000_000_000
    output_KD = encode_candidates(steps, state, token_KD, time_ms)
    for token_D, output_D in zip(token_KD, output_KD, strict=True):
        expected_1D = steps.append(state.copy(), token_D[None], torch.tensor([time_ms]))
        torch.testing.assert_close(output_D, expected_1D[0], rtol=1e-5, atol=1e-5)


def test_a_copy_goes_its_own_way_and_memory_is_bounded():
    model, (token_LD, time_L) = encoder(max_events=64), sequence(400)
    steps = EncoderSteps(model)
    state = steps.begin()
    steps.append(state, token_LD[:10], time_L[:10])
    before_LD = state.output_LD.clone()
    steps.append(state.copy(), token_LD[10:90], time_L[10:90])
    torch.testing.assert_close(state.output_LD, before_LD, rtol=0, atol=0)
    for place in range(10, 400):
        steps.append(state, token_LD[place : place + 1], time_L[place : place + 1])
    per_event = 4 * (3 * 2 * (5 + 4) + 8) + 8
    assert state.bytes <= 2 * 64 * per_event
