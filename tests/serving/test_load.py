import asyncio
import contextlib
import time

import numpy as np
import pytest

from plait.serving.load import LoadPlan, drive, schedule


def test_even_arrivals():
    assert schedule(10, 1, poisson=False, seed=0).tolist() == pytest.approx([tenth / 10 for tenth in range(10)])


def test_poisson_arrivals_have_the_rate_and_spread_of_independent_users():
    times = schedule(100, 100, poisson=True, seed=3)
    assert len(times) == 10_000
    assert times[-1] == pytest.approx(100.0)
    gaps = np.diff(times)
    assert gaps.mean() == pytest.approx(0.01, rel=0.01)
    assert gaps.std() == pytest.approx(0.01, rel=0.05)  # an exponential distribution has both equal
    assert times.tolist() == schedule(100, 100, poisson=True, seed=3).tolist()


def stub(answer):
    """An HTTP server whose n-th answer comes from `answer(n)`: (seconds, status, body), or None to hang up."""
    count = 0

    async def serve(reader, writer):
        nonlocal count
        ends = (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError)
        with contextlib.closing(writer), contextlib.suppress(*ends):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                lines = head.split(b"\r\n")
                length = int(next(line.split(b":")[1] for line in lines if line.startswith(b"Content-Length")))
                await reader.readexactly(length)
                told, count = answer(count), count + 1
                if told is None:
                    return
                seconds, status, body = told
                await asyncio.sleep(seconds)
                writer.write(f"HTTP/1.1 {status} X\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body)

    return serve


def run(answer, send_at, **changes):
    async def main():
        server = await asyncio.start_server(stub(answer), "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with server:
            result = await drive(LoadPlan("127.0.0.1", port, [b"{}", b"[]"], np.array(send_at), **changes))
            await asyncio.sleep(0.01)
            return result

    return asyncio.run(main())


def test_statuses_errors_and_what_was_degraded():
    def answer(number):
        return (0, 503 if number == 3 else 200, b'{"degraded":[]}' if number % 2 == 0 else b'{"degraded":[{}]}')

    result = run(answer, [0.0, 0.02, 0.04, 0.06, 0.08])
    assert sorted(result.status_R.tolist()) == [200, 200, 200, 200, 503]
    assert result.errors == 1
    assert result.degraded_R.sum() == 2
    assert result.failures[0].startswith("503")
    assert result.percentile_ms(100) == np.inf


def test_a_stalled_server_shows_in_every_request_it_delayed():
    """The server stops for 200 ms at the first request and answers one at a time: closed-loop clients would see one
    slow request, here all ten that were due meanwhile are slow."""
    stalled_until = 0.0

    def answer(number):
        nonlocal stalled_until
        now = time.perf_counter()
        if number == 0:
            stalled_until = now + 0.2
        return (max(stalled_until - now, 0.0), 200, b'{"degraded":[]}')

    result = run(answer, np.arange(10) * 0.01)
    assert result.errors == 0
    expected = 200 - np.arange(10) * 10.0
    assert (result.latency_ms_R > expected - 15).all()
    assert result.percentile_ms(50) > 120


def test_a_connection_that_breaks_is_an_error_and_a_new_one_is_opened():
    result = run(lambda number: None if number == 1 else (0, 200, b'{"degraded":[]}'), [0.0, 0.05, 0.1])
    assert result.status_R.tolist() == [200, 0, 200]
    assert result.errors == 1


def test_an_answer_that_does_not_come_is_an_error():
    result = run(lambda number: (5.0, 200, b""), [0.0], timeout_s=0.1)
    assert (result.errors, result.achieved_qps) == (1, 0.0)
    assert "TimeoutError" in result.failures[0]
