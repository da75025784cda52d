import asyncio
import os
import signal
import threading
import time

import pytest

from plait.errors import ServingError
from plait.serving.auth import Authoriser, authoriser, is_loopback
from plait.serving.deadline import Cost

ASK = {"user_id": 7, "scenario": "home", "k": 3}
TOKEN = "correct-horse-battery"


def run(coroutine):
    return asyncio.run(coroutine)


def bearer(token):
    return {"authorization": f"Bearer {token}"}


def test_a_token_is_asked_for_everywhere_but_health(serve):
    async def check():
        async with serve(token=TOKEN) as client:
            for path in ("/v1/models", "/metrics", "/openapi.json"):
                assert (await client.get(path)).status_code == 401
                assert (await client.get(path, headers=bearer(TOKEN))).status_code == 200
            for path in ("/v1/recommend", "/v1/behaviours", "/v1/models/reload"):
                refused = await client.post(path, json=ASK, headers=bearer(TOKEN + "x"))
                assert refused.status_code == 401
                assert refused.headers["www-authenticate"] == "Bearer"
            assert (await client.get("/healthz")).status_code == 200
            assert (await client.get("/readyz")).status_code == 200
            assert (await client.post("/v1/recommend", json=ASK, headers=bearer(TOKEN))).status_code == 200

    run(check())


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer ", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN[:-1]}", "Bearer é"]
)
def test_what_is_not_the_token_does_not_pass(header):
    assert not Authoriser(TOKEN).allows(header)
    assert Authoriser(None).allows(header)


def test_the_token_passes_whatever_the_case_of_bearer():
    assert Authoriser(TOKEN).allows(f"bearer {TOKEN}")


def test_beyond_loopback_no_token_is_no_server():
    with pytest.raises(ServingError, match="set PLAIT_TOKEN"):
        authoriser("0.0.0.0", "PLAIT_TOKEN", {})
    with pytest.raises(ServingError, match="at least 16"):
        authoriser("0.0.0.0", "PLAIT_TOKEN", {"PLAIT_TOKEN": "short"})
    assert not authoriser("0.0.0.0", "PLAIT_TOKEN", {"PLAIT_TOKEN": TOKEN}).open
    assert authoriser("127.0.0.1", "PLAIT_TOKEN", {}).open
    assert not authoriser("127.0.0.1", "PLAIT_TOKEN", {"PLAIT_TOKEN": TOKEN}).open


@pytest.mark.parametrize(
    ("host", "local"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("localhost", True), ("0.0.0.0", False),
     ("::", False), ("10.0.0.1", False), ("example.org", False), ("", False)],
)  # fmt: skip
def test_what_is_loopback(host, local):
    assert is_loopback(host) is local


def test_the_event_loop_answers_while_all_workers_rank(serve, loader):
    loader.seconds = 0.3

    async def check():
        async with serve() as client:
            asked = [asyncio.create_task(client.post("/v1/recommend", json=ASK)) for _ in range(2)]
            await asyncio.sleep(0.05)
            started = time.perf_counter()
            assert (await client.get("/healthz")).status_code == 200
            assert time.perf_counter() - started < 0.2
            assert {answer.status_code for answer in await asyncio.gather(*asked)} == {200}
            assert loader.loaded[0].most_at_once == 2

    run(check())


def test_too_many_waiting_are_told_to_come_back(serve, loader):
    loader.seconds = 0.05

    async def check():
        async with serve(max_waiting=4) as client:
            answers = await asyncio.gather(*(client.post("/v1/recommend", json=ASK) for _ in range(12)))
            codes = sorted(answer.status_code for answer in answers)
            assert codes == [200] * 4 + [503] * 8
            shed = next(answer for answer in answers if answer.status_code == 503)
            assert int(shed.headers["retry-after"]) >= 1
            assert "waiting" in shed.json()["error"]
            assert (await client.post("/v1/recommend", json=ASK)).status_code == 200

    run(check())


def test_only_who_could_not_be_answered_at_all_is_turned_away(serve, loader):
    """Cheap answers of 12 ms, 2 workers, 45 ms of time: rounds of 12, 24 and 36 ms are in time, so that 2 are served
    and 6 wait; the ninth would be in the fourth round."""
    loader.seconds = 0.1

    async def check():
        async with serve() as client:
            client.service._least = Cost(fixed_ms=12.0)
            answers = await asyncio.gather(*(client.post("/v1/recommend", json=ASK) for _ in range(12)))
            codes = [answer.status_code for answer in answers]
            assert codes == [200] * 8 + [503] * 4

    run(check())


def test_the_longer_the_line_the_shorter_the_turn(serve, loader):
    """Slow enough that all are in line before the second's turn comes, also where other work takes the processor."""
    loader.seconds = 0.15

    async def check():
        async with serve(workers=1, deadline_ms=10_000.0) as client:
            answers = await asyncio.gather(*(client.post("/v1/recommend", json=ASK) for _ in range(10)))
            assert {answer.status_code for answer in answers} == {200}
            turns = loader.loaded[0].turns_ms
            # The first is alone when its turn comes; the second has 8 behind it and shares some 8,850 ms with them.
            assert turns[0] > 8_000.0
            assert turns[1] == pytest.approx(8_850 / 9, abs=60.0)
            # The last is alone again: 9 x 150 ms of its 9,000 are over.
            assert turns[-1] == pytest.approx(7_650.0, abs=600.0)

    run(check())


def test_a_model_is_swapped_under_load_without_failing_a_request(serve, loader):
    loader.seconds = 0.002

    async def check():
        async with serve(deadline_ms=5_000.0) as client:
            versions, stop = [], asyncio.Event()

            async def ask():
                while not stop.is_set():
                    answer = await client.post("/v1/recommend", json=ASK)
                    assert answer.status_code == 200, answer.text
                    versions.append(answer.json()["model"]["version"])

            asking = [asyncio.create_task(ask()) for _ in range(4)]
            await asyncio.sleep(0.1)
            assert (await client.post("/v1/models/reload")).json() == {"name": "ranker", "version": "2"}
            await asyncio.sleep(0.1)
            named = await client.post("/v1/models/reload", json={"model": "ranker@3"})
            assert named.json()["version"] == "3"
            await asyncio.sleep(0.1)
            stop.set()
            await asyncio.gather(*asking)
            assert set(versions) == {"1", "2", "3"}
            assert versions.index("2") > versions.index("1")

    run(check())


def test_a_model_that_does_not_load_leaves_the_old_one(serve, loader):
    async def check():
        async with serve() as client:
            refused = await client.post("/v1/models/reload", json={"model": "broken@1"})
            assert refused.status_code == 400
            assert "broken@1" in refused.json()["error"]
            assert (await client.get("/readyz")).json()["version"] == "1"
            wrong = await client.post("/v1/models/reload", json={"model": 3})
            assert wrong.status_code == 422

    run(check())


def test_one_reload_at_a_time(serve, loader, monkeypatch):
    entered, leave = threading.Event(), threading.Event()

    async def check():
        async with serve() as client:
            slow = client.service._load

            def load(reference):
                entered.set()
                leave.wait(5)
                return slow(reference)

            monkeypatch.setattr(client.service, "_load", load)
            first = asyncio.create_task(client.post("/v1/models/reload"))
            while not entered.is_set():
                await asyncio.sleep(0.005)
            second = await client.post("/v1/models/reload")
            assert second.status_code == 409
            assert (await client.post("/v1/recommend", json=ASK)).json()["model"]["version"] == "1"
            leave.set()
            assert (await first).json()["version"] == "2"

    run(check())


def test_hangup_reloads(serve, loader):
    async def check():
        async with serve() as client:
            os.kill(os.getpid(), signal.SIGHUP)
            for _ in range(200):
                await asyncio.sleep(0.01)
                if client.service.engine.version == "2":
                    return
            pytest.fail("no reload")

    run(check())


def test_an_engine_that_fails_is_a_500_that_says_nothing_of_the_inside(serve, loader, monkeypatch):
    async def check():
        async with serve() as client:

            def fail(*_):
                raise RuntimeError("secret path /etc")

            monkeypatch.setattr(loader.loaded[0], "recommend", fail)
            answer = await client.post("/v1/recommend", json=ASK)
            assert answer.status_code == 500
            assert "secret" not in answer.text
            assert (await client.get("/healthz")).status_code == 200

    run(check())


def test_a_model_that_fails_its_first_requests_is_not_served(serve, loader, monkeypatch):
    async def check():
        async with serve() as client:

            def fail(_):
                raise ValueError("shapes do not fit")

            monkeypatch.setattr(type(loader.loaded[0]), "warm_up", fail)
            answer = await client.post("/v1/models/reload")
            assert answer.status_code == 400
            assert "shapes do not fit" in answer.json()["error"]
            assert (await client.post("/v1/recommend", json=ASK)).status_code == 200

    run(check())


def test_no_behaviour_is_lost_or_counted_twice_by_concurrent_senders(serve):
    async def check():
        async with serve() as client:

            async def send(sender):
                for number in range(20):
                    event = {"user_id": number % 5, "item_id": sender, "action": "click", "time": number}
                    twice = await client.post("/v1/behaviours", json={"behaviours": [event, event]})
                    assert twice.json()["accepted"] == 1

            await asyncio.gather(*(send(sender) for sender in range(10)))
            for user in range(5):
                asked = await client.post("/v1/recommend", json={**ASK, "user_id": user})
                assert asked.json()["history"] == 10 * 20 / 5

    run(check())
