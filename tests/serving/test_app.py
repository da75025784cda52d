import asyncio
import json

import pytest

ASK = {"user_id": 7, "scenario": "home", "k": 3}


def run(coroutine):
    return asyncio.run(coroutine)


def test_a_recommendation(serve, loader):
    async def check():
        async with serve() as client:
            answer = await client.post("/v1/recommend", json={**ASK, "exclude": [9], "query": "找游戏", "time": 5})
            assert answer.status_code == 200, answer.text
            body = answer.json()
            assert [item["item_id"] for item in body["items"]] == [1, 2, 3]
            assert body["items"][0]["probabilities"] == {"click": 0.25, "install": 0.25}
            assert body["model"] == {"name": "ranker", "version": "1"}
            assert body["degraded"] == []
            assert body["candidates"]["ranked"] == 3
            assert set(body["timings_ms"]) == {"queue", "rank", "total"}
            assert len(body["request_id"]) == 32
            query = loader.loaded[0].queries[-1]
            assert (query.user_id, query.exclude, query.query, query.time_ms) == (7, (9,), "找游戏", 5)

    run(check())


def test_the_clock_is_used_where_no_time_is_given(serve, loader):
    async def check():
        async with serve(clock_ms=lambda: 123_456) as client:
            await client.post("/v1/recommend", json=ASK)
            assert loader.loaded[0].queries[-1].time_ms == 123_456

    run(check())


HOSTILE = {
    "no user": ({"scenario": "home"}, "user_id", "nothing"),
    "boolean user": ({**ASK, "user_id": True}, "user_id", "True"),
    "empty user": ({**ASK, "user_id": ""}, "user_id", "''"),
    "long user": ({**ASK, "user_id": "x" * 129}, "user_id", "xxx"),
    "huge user": ({**ASK, "user_id": 2**63}, "user_id", str(2**63)),
    "half a character": ({**ASK, "user_id": "\ud800"}, "user_id", "\\ud800"),
    "negative k": ({**ASK, "k": -1}, "k", "-1"),
    "zero k": ({**ASK, "k": 0}, "k", "0"),
    "k as text": ({**ASK, "k": "3"}, "k", "'3'"),
    "k as fraction": ({**ASK, "k": 2.5}, "k", "2.5"),
    "k over the server's limit": ({**ASK, "k": 201}, "k", "201"),
    "unknown scenario": ({**ASK, "scenario": "hom"}, "scenario", "'hom'"),
    "unknown objective": ({**ASK, "objective": "clicks"}, "objective", "'clicks'"),
    "unknown field": ({**ASK, "kk": 1}, "kk", "1"),
    "time in seconds of another age": ({**ASK, "time": 10**15}, "time", str(10**15)),
    "negative time": ({**ASK, "time": -1}, "time", "-1"),
    "too many excluded": ({**ASK, "exclude": list(range(1001))}, "exclude", "[0"),
    "excluded of a wrong kind": ({**ASK, "exclude": [{}]}, "exclude.0", "{}"),
    "context of a wrong kind": ({**ASK, "context": {"a": {"b": 1}}}, "context.a", "{'b': 1}"),
    "lists in lists": ({**ASK, "context": {"a": [["b"]]}}, "context.a", "['b']"),
    "too long a list": ({**ASK, "context": {"a": [1] * 65}}, "context.a", "[1, 1"),
    "long query": ({**ASK, "query": "q" * 1025}, "query", "qqq"),
    "a list": ([1], "body", "[1]"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_wrong_request_is_told_what_was_found_where(serve, case):
    content, field, found = HOSTILE[case]

    async def check():
        async with serve() as client:
            answer = await client.post("/v1/recommend", content=json.dumps(content))
            assert answer.status_code == 422, answer.text
            problems = [problem for problem in answer.json()["problems"] if problem["field"].startswith(field)]
            assert problems, answer.text
            assert found in problems[0]["found"] or "?" in problems[0]["found"]
            assert problems[0]["expected"]

    run(check())


def test_the_nearest_scenario_is_suggested(serve):
    async def check():
        async with serve() as client:
            answer = await client.post("/v1/recommend", json={**ASK, "scenario": "hom"})
            assert "did you mean 'home'" in answer.json()["problems"][0]["expected"]

    run(check())


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"null", b'{"user_id": NaN}', b'{"k": 1e999}', b"[" * 50_000])
def test_what_is_no_json_object_is_refused(serve, body):
    async def check():
        async with serve() as client:
            answer = await client.post("/v1/recommend", content=body)
            assert 400 <= answer.status_code < 500, answer.text
            assert answer.json()["error"]

    run(check())


def test_nan_in_the_context_is_refused(serve):
    async def check():
        async with serve() as client:
            body = json.dumps({**ASK, "context": {"age": float("nan")}})
            answer = await client.post("/v1/recommend", content=body)
            assert answer.status_code == 422
            assert "nan" in answer.json()["problems"][0]["found"]

    run(check())


def test_a_huge_body_is_refused_whether_it_tells_its_length_or_not(serve):
    async def parts():
        for _ in range(40):
            yield b" " * 10_000

    async def check():
        async with serve() as client:
            told = await client.post("/v1/recommend", content=b" " * 300_000)
            untold = await client.post("/v1/recommend", content=parts())
            lying = await client.post("/v1/recommend", content=b"{}", headers={"content-length": "x"})
            assert [told.status_code, untold.status_code, lying.status_code] == [413, 413, 413]
            assert "262144" in told.json()["error"]

    run(check())


def test_a_form_is_refused(serve):
    async def check():
        async with serve() as client:
            answer = await client.post("/v1/recommend", data={"user_id": "7"}, headers={"content-type": "text/plain"})
            assert answer.status_code == 415
            assert "text/plain" in answer.json()["error"]
            bare = await client.post("/v1/models/reload", headers={"content-type": "text/plain"})
            assert bare.status_code == 200

    run(check())


def test_unicode_ids_go_through(serve, loader):
    async def check():
        async with serve() as client:
            answer = await client.post("/v1/recommend", json={**ASK, "user_id": "用户🙂", "exclude": ["物品"]})
            assert answer.status_code == 200
            assert loader.loaded[0].queries[-1].user_id == "用户🙂"

    run(check())


def test_other_paths_and_methods(serve):
    async def check():
        async with serve() as client:
            assert (await client.get("/nothing")).status_code == 404
            assert (await client.get("/v1/recommend")).status_code == 405
            assert "GET /nothing" in (await client.get("/nothing")).json()["error"]
            assert (await client.get("/docs")).status_code == 404

    run(check())


def test_behaviours_are_taken_repeated_and_refused(serve):
    click = {"user_id": 7, "item_id": 5, "action": "click", "time": 10}

    async def check():
        async with serve() as client:
            first = await client.post("/v1/behaviours", json={"behaviours": [click, {**click, "time": 11}, click]})
            assert first.json() == {"accepted": 2, "repeated": 1, "refused": []}
            second = await client.post("/v1/behaviours", json={"behaviours": [click, {**click, "item_id": 404}]})
            assert second.json()["repeated"] == 1
            assert second.json()["refused"] == [
                {"index": 1, "field": "item_id", "found": 404, "expected": "an item of the catalogue"}
            ]
            assert (await client.post("/v1/recommend", json=ASK)).json()["history"] == 2
            assert client.service.engine.arrivals == [(7, 2, 1_000_001)]  # once, when both were in

    run(check())


def test_wrong_behaviours_change_nothing(serve):
    click = {"user_id": 7, "item_id": 5, "action": "click", "time": 10}

    async def check():
        async with serve() as client:
            for wrong in ({"time": "yesterday"}, {"action": ""}, {"value": "much"}, {"item_id": None}, {"extra": 1}):
                answer = await client.post("/v1/behaviours", json={"behaviours": [click, {**click, **wrong}]})
                assert answer.status_code == 422
                assert answer.json()["problems"][0]["field"].startswith("behaviours.1")
            assert (await client.post("/v1/behaviours", json={"behaviours": []})).status_code == 422
            assert (await client.post("/v1/recommend", json=ASK)).json()["history"] == 0

    run(check())


def test_health_readiness_and_models(serve):
    async def check():
        async with serve() as client:
            assert (await client.get("/healthz")).json() == {"status": "alive"}
            assert (await client.get("/readyz")).json() == {"status": "ready", "model": "ranker", "version": "1"}
            model = (await client.get("/v1/models")).json()["models"][0]
            assert model["scenarios"] == ["home", "search"]
            assert model["objectives"] == ["click", "install"]

    run(check())


def test_without_a_model_it_lives_but_is_not_ready(serve):
    async def check():
        async with serve(model="broken@production") as client:
            assert (await client.get("/healthz")).status_code == 200
            ready = await client.get("/readyz")
            assert ready.status_code == 503
            assert "broken@production" in ready.json()["error"]
            asked = await client.post("/v1/recommend", json=ASK)
            assert asked.status_code == 503
            assert int(asked.headers["retry-after"]) >= 1

    run(check())


def test_metrics_count_requests_stages_and_state(serve):
    async def check():
        async with serve() as client:
            await client.post("/v1/recommend", json=ASK)
            await client.post("/v1/recommend", json={**ASK, "k": -1})
            await client.post(
                "/v1/behaviours", json={"behaviours": [{"user_id": 1, "item_id": 2, "action": "click", "time": 3}]}
            )
            text = (await client.get("/metrics")).text
            for line in (
                'plait_requests_total{path="/v1/recommend",status="200"} 1.0',
                'plait_requests_total{path="/v1/recommend",status="422"} 1.0',
                'plait_stage_seconds_count{stage="rank"} 1.0',
                'plait_candidates_total{source="popular"} 3.0',
                'plait_behaviours_total{outcome="accepted"} 1.0',
                'plait_model_info{name="ranker",version="1"} 1.0',
                "plait_state_users 1.0",
                "plait_waiting_requests 0.0",
            ):
                assert line in text, line

    run(check())


def test_openapi_has_every_path_with_examples(serve):
    async def check():
        async with serve() as client:
            document = (await client.get("/openapi.json")).json()
            assert set(document["paths"]) == {
                "/v1/recommend", "/v1/behaviours", "/v1/models", "/v1/models/reload", "/healthz", "/readyz", "/metrics",
            }  # fmt: skip
            schemas = document["components"]["schemas"]
            for name in ("RecommendRequest", "RecommendResponse", "BehavioursRequest"):
                assert schemas[name]["examples"], name
            example = schemas["RecommendRequest"]["examples"][0]
            assert (await client.post("/v1/recommend", json=example)).status_code == 200

    run(check())


def test_the_answer_has_the_documented_shape(serve):
    from plait.serving.schemas import RecommendResponse

    async def check():
        async with serve() as client:
            answer = await client.post("/v1/recommend", json=ASK)
            parsed = RecommendResponse.model_validate_json(answer.content)
            assert set(answer.json()) == set(parsed.model_dump())

    run(check())
