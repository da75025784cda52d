"""Tiny downloads in the official layouts, with made-up content."""

import gzip
import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from plait.data.importers import ImportReport, import_source, importer_named

Importing = Callable[..., ImportReport]


def write(path: Path, text: str, encoding: str = "utf-8") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    data = text.encode(encoding)
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


@pytest.fixture
def ml1m(tmp_path: Path) -> Path:
    folder = tmp_path / "download" / "ml-1m"
    write(folder / "ratings.dat", "1::10::5::978300760\n1::20::3::978302109\n2::10::4::978301968\n", "latin-1")
    write(
        folder / "movies.dat",
        "10::Café Society (1995)::Comedy|Drama\n20::Alien: Part 2(1986)::Horror\n30::Untitled::Sci-Fi\n",
        "latin-1",
    )
    write(folder / "users.dat", "1::F::1::10::48067\n2::M::56::16::70072-1234\n", "latin-1")
    return folder.parent


@pytest.fixture
def ml1m_zip(ml1m: Path, tmp_path: Path) -> Path:
    path = tmp_path / "ml-1m.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted((ml1m / "ml-1m").iterdir()):
            archive.write(file, f"ml-1m/{file.name}")
    return path


@pytest.fixture
def ml100k(tmp_path: Path) -> Path:
    folder = tmp_path / "ml-100k"
    write(folder / "u.data", "1\t7\t3\t881250949\n2\t7\t5\t891717742\n", "latin-1")
    flags = ["0"] * 19
    action_war = ["1" if place in (1, 17) else "0" for place in range(19)]
    unknown = ["1", *flags[1:]]
    write(
        folder / "u.item",
        f"7|Amélie (1994)|01-Jan-1994||http://example.test/a|{'|'.join(action_war)}\n"
        f"8|unknown||||{'|'.join(unknown)}\n",
        "latin-1",
    )
    write(folder / "u.user", "1|24|M|technician|85711\n2|53|F|other|V3N4P\n", "latin-1")
    return folder


@pytest.fixture
def ml20m(tmp_path: Path) -> Path:
    folder = tmp_path / "ml-20m"
    write(folder / "ratings.csv", "userId,movieId,rating,timestamp\n5,1,3.5,1112486027\n3,2,4.0,1112484676\n")
    write(
        folder / "movies.csv",
        "movieId,title,genres\n1,Heat (1995),Action|Crime\n"
        '2,"Good, the Bad and the ""Ugly"", The (1966)",(no genres listed)\n',
    )
    write(folder / "tags.csv", 'userId,movieId,tag,timestamp\n9,2,"slow, but good",1240597180\n')
    return folder


@pytest.fixture
def beauty(tmp_path: Path) -> Path:
    folder = tmp_path / "beauty"
    write(folder / "user_sequence.txt.gz", "UB B3 B1 B2\nUA B2 B4\n")
    write(folder / "dhr_item_id_to_int.json.gz", json.dumps({"B1": 0, "B2": 1, "B3": 2, "B4": 3}))
    write(folder / "dhr_products_lookup.csv.gz", ',global_product_id,name\n0,1,"Soap, green"\n1,0,Comb\n2,2,\n')
    write(folder / "idgenrec_item_textid.txt.gz", "B1 comb wood\nB3 brush\n")
    write(folder / "p5_datamaps.json.gz", json.dumps({"id2item": {"1": "B1", "2": "B2", "3": "B3", "4": "B4"}}))
    write(
        folder / "s3rec_item2attributes.json.gz",
        json.dumps({"1": [100, 5, 6], "2": [100, 6], "3": [100, 6, 5], "4": [100, 9]}),
    )
    return folder


@pytest.fixture
def beauty_and_sports(beauty: Path, tmp_path: Path) -> Path:
    both = tmp_path / "both"
    both.mkdir()
    beauty.rename(both / "amazon-beauty")
    write(both / "amazon-sports" / "user_sequence.txt", "UA B4 S1\nUC S1 S2\n")
    return both


@pytest.fixture
def frappe(tmp_path: Path) -> Path:
    folder = tmp_path / "frappe"
    write(
        folder / "frappe.csv.gz",
        "user\titem\tcnt\tdaytime\tweekday\tisweekend\thomework\tcost\tweather\tcountry\tcity\n"
        "0\t0\t1\tmorning\tsunday\tweekend\tunknown\tfree\tsunny\tSpain\t0\n"
        "0\t0\t4\tnoon\tmonday\tworkday\twork\tfree\tsunny\tSpain\t0\n"
        "0\t2\t7\tnight\tmonday\tworkday\thome\tpaid\tcloudy\tSpain\t0\n"
        "1\t1\t2\tnight\tmonday\tworkday\thome\tfree\trainy\tunknown\t3\n",
    )
    write(
        folder / "meta.csv.gz",
        "item\tpackage\tcategory\tdownloads\tdeveloper\ticon\tlanguage\tdescription\tname\tprice\trating\tshort desc\n"
        '0\ta.b\tTools\t10+\tAnn\thttp://i\ten\t"He said ""hi"""\tHello\tFree\t4.5\tGreets\n'
        "1\ta.c\tunknown\tunknown\tunknown\tunknown\tunknown\tunknown\tunknown\tunknown\tunknown\tunknown\n"
        "2\ta.d\tGames\t5+\tBob\thttp://i\tzh\t好玩\t游戏\t$1,002.50\t3.0\t\n"
        "3\ta.e\tGames\t5+\tBob\thttp://i\ten\tx\tFour\tFree\t2.0\t\n"
        "4\ta.f\tGames\t5+\tBob\thttp://i\ten\tx\tFive\tFree\t2.0\t\n",
    )
    return folder


KUAIRAND_LOG = (
    "user_id,video_id,date,hourmin,time_ms,is_click,is_like,is_follow,is_comment,is_forward,is_hate,long_view,"
    "play_time_ms,duration_ms,profile_stay_time,comment_stay_time,is_profile_enter,is_rand,tab\n"
)


@pytest.fixture
def kuairand(tmp_path: Path) -> Path:
    folder = tmp_path / "KuaiRand-1K" / "data"
    write(
        folder / "log_standard_4_08_to_4_21_1k.csv",
        KUAIRAND_LOG
        + "0,11,20220408,400,1649361600000,1,1,0,0,0,0,1,20000,15000,0,0,0,0,1\n"
        + "0,12,20220408,400,1649361700000,0,0,0,0,0,1,0,0,9000,0,0,0,0,4\n",
    )
    write(
        folder / "log_standard_4_22_to_5_08_1k.csv",
        KUAIRAND_LOG + "1,11,20220422,900,1650589200000,1,0,0,0,0,0,0,8000,15000,2500,0,1,0,1\n",
    )
    write(
        folder / "log_random_4_22_to_5_08_1k.csv",
        KUAIRAND_LOG + "1,12,20220423,900,1650675600000,0,0,0,0,0,0,0,1500,9000,0,0,0,1,0\n",
    )
    onehots = ",".join(f"onehot_feat{number}" for number in range(18))
    write(
        folder / "user_features_1k.csv",
        "user_id,user_active_degree,is_lowactive_period,is_live_streamer,is_video_author,follow_user_num,"
        f"follow_user_num_range,fans_user_num,fans_user_num_range,friend_user_num,friend_user_num_range,register_days,"
        f"register_days_range,{onehots}\n"
        f'0,full_active,0,0,1,5,"(0,10]",312,"[100,1k)",0,0,3624,730+,{",".join(["1"] * 18)}\n'
        f"1,UNKNOWN,0,0,0,0,0,0,0,0,0,17,15-30,{','.join([''] * 18)}\n",
    )
    write(
        folder / "video_features_basic_1k.csv",
        "video_id,author_id,video_type,upload_dt,upload_type,visible_status,video_duration,server_width,server_height,"
        "music_id,music_type,tag\n"
        '11,441,NORMAL,2020-07-08,ShortImport,1,15000.0,720,1280,989206467,4.0,"12,65"\n'
        "12,7,AD,2022-04-01,LongImport,1,,720,1280,,,\n",
    )
    write(folder / "video_features_statistic_1k.csv", "video_id,counts,show_cnt\n11,66,75.212\n12,3,1.0\n")
    return folder.parent


@pytest.fixture
def importing(tmp_path: Path) -> Importing:
    """Imports into `tmp_path / "out"` and gives the report."""

    def run(name: str, path: Path, replace: bool = False, **options: object) -> ImportReport:
        return import_source(importer_named(name), path, tmp_path / "out", options, replace=replace)

    return run


@pytest.fixture
def table() -> Callable[[ImportReport, str], pl.DataFrame]:
    """Reads one table of an imported workspace."""

    def read(report: ImportReport, name: str) -> pl.DataFrame:
        return pl.read_parquet(sorted((report.folder / name).glob("*.parquet")))

    return read


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real downloads."""
    if "PLAIT_DATA" not in os.environ:
        pytest.skip("PLAIT_DATA is not set")
    return Path(os.environ["PLAIT_DATA"])
