import numpy as np
import polars as pl

from plait.serving.answer import Answer, Query, Scored
from plait.serving.request_log import RequestLog, RequestLogSettings

QUERY = Query("用户", "home", 2, 123, {"battery": 0.5}, query="游戏")


def answer():
    scored = Scored(
        items_R=[5, 6, 5],
        creatives_R=[50, None, 51],
        categorical_RF=np.arange(6, dtype=np.int32).reshape(3, 2),
        numeric_RG=np.array([[0.5], [1.5], [2.5]], np.float32),
        bag_RP=np.array([[0], [1], [0]], np.int64),
        token_offsets_J1=np.array([0, 2, 3], np.int64),
        token_codes_N=np.array([4, 5, 6], np.int32),
        before=7,
        probabilities_RT=np.array([[0.25], [0.5], [0.75]], np.float32),
    )
    best = scored.probabilities_RT[[2, 1]]
    return Answer([5, 6], [51, None], [0.75, 0.5], best, ["popular"] * 2, {}, True, 7, record=scored)


def rows(folder):
    return pl.read_parquet(sorted(folder.glob("*.parquet"))).rows(named=True)


def test_a_record_holds_everything_that_was_scored(tmp_path):
    log = RequestLog(tmp_path)
    assert log.write("r1", "ranker", "3", QUERY, answer())
    log.close()
    (row,) = rows(tmp_path)
    assert row["request_id"] == "r1"
    assert (row["model"], row["version"], row["time"], row["user_id"]) == ("ranker", "3", 123, "用户")
    assert row["context"] == '{"battery": 0.5, "query": "游戏"}'
    assert (row["item_id"], row["creative_id"]) == (["5", "6", "5"], ["50", None, "51"])
    assert row["categorical"] == [0, 1, 2, 3, 4, 5]
    assert row["numeric"] == [0.5, 1.5, 2.5]
    assert (row["bag"], row["token_offset"], row["token"]) == ([0, 1, 0], [0, 2, 3], [4, 5, 6])
    assert row["probability"] == [0.25, 0.5, 0.75]
    assert (row["answered_item_id"], row["answered_score"]) == (["5", "6"], [0.75, 0.5])
    assert row["history"] == 7


def test_files_are_finished_by_rows_and_by_time_and_the_oldest_go(tmp_path):
    log = RequestLog(tmp_path, RequestLogSettings(rows_per_file=2, max_files=3))
    for number in range(11):
        assert log.write(f"r{number:02d}", "ranker", "1", QUERY, answer())
    log.close()
    assert [row["request_id"] for row in rows(tmp_path)] == ["r06", "r07", "r08", "r09", "r10"]
    timed = RequestLog(tmp_path / "timed", RequestLogSettings(seconds_per_file=0.02))
    timed.write("r", "ranker", "1", QUERY, answer())
    for _ in range(400):
        if list((tmp_path / "timed").glob("*.parquet")):
            break
        timed._thread.join(0.01)
    assert len(rows(tmp_path / "timed")) == 1
    timed.close()


def test_a_full_queue_drops_instead_of_waiting(tmp_path, monkeypatch):
    monkeypatch.setattr(RequestLog, "_run", lambda self: None)  # a writer that does not keep up
    log = RequestLog(tmp_path, RequestLogSettings(max_waiting=2))
    assert [log.write("r", "ranker", "1", QUERY, answer()) for _ in range(3)] == [True, True, False]


def test_what_a_killed_server_left_half_written_goes(tmp_path):
    (tmp_path / "requests-1-1-000000.parquet.partial").write_bytes(b"half")
    log = RequestLog(tmp_path)
    log.close()
    assert list(tmp_path.iterdir()) == []


def test_an_answer_that_nothing_was_ranked_for_is_not_logged(tmp_path):
    log = RequestLog(tmp_path)
    unranked = Answer([5], [None], [1.0], None, ["popular"], {}, True, 0)
    assert not log.write("r", "ranker", "1", QUERY, unranked)
    log.close()
