"""The files that workers keep: spool, counters, slots."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from inference_api import metrics, slots
from inference_api.ids import new_id
from inference_api.metrics import Metrics
from inference_api.spool import FILE_NAME, Spool

RECORDS = [bytes([65 + number]) * (number + 1) for number in range(10)]


def test_the_spool_gives_back_what_it_took_in_order(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 10_000)
    assert spool.append(RECORDS) == 10
    first, middle = spool.peek(4)
    assert first == RECORDS[:4]
    spool.confirm(middle)
    rest, end = spool.peek(100)
    assert rest == RECORDS[4:]
    spool.confirm(end)
    assert spool.size == 0 and (tmp_path / FILE_NAME).stat().st_size == 0
    assert spool.append([b"again"]) == 1 and spool.peek(5)[0] == [b"again"]


def test_the_spool_is_bounded_and_keeps_the_oldest(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 40)
    assert spool.append([b"x" * 8] * 5) == 2
    assert spool.append([b"x"]) == 0 if spool.size + 9 > 40 else True
    assert (tmp_path / FILE_NAME).stat().st_size == 32


@pytest.mark.parametrize("cut", [1, 7, 9])
def test_a_torn_end_is_cut_off(tmp_path: Path, cut: int) -> None:
    Spool(tmp_path, 10_000).append(RECORDS)
    path = tmp_path / FILE_NAME
    path.write_bytes(path.read_bytes()[:-cut])
    again = Spool(tmp_path, 10_000)
    assert again.peek(100)[0] == RECORDS[:9] and again.damaged_bytes > 0
    assert path.stat().st_size == again.size
    again.append([b"more"])
    assert Spool(tmp_path, 10_000).peek(100)[0] == [*RECORDS[:9], b"more"]


def test_a_flipped_bit_is_noticed(tmp_path: Path) -> None:
    Spool(tmp_path, 10_000).append(RECORDS)
    path = tmp_path / FILE_NAME
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    assert Spool(tmp_path, 10_000).peek(100)[0] == RECORDS[:9]


def test_counters_of_all_workers_are_summed_and_outlive_their_worker(tmp_path: Path) -> None:
    first, second = slots.claim(tmp_path), slots.claim(tmp_path)
    for slot, count in ((first, 2), (second, 3)):
        mine = Metrics(slot.folder)
        mine.cell("inference_api_requests_total", model='a"b', code="200").add(count)
        mine.cell("inference_api_in_flight").set(count)
        mine.histogram("inference_api_request_seconds", model="m").observe(0.003 * count)
    text = metrics.render(tmp_path).decode()
    assert 'inference_api_requests_total{model="a\\"b",code="200"} 5.0' in text
    assert "inference_api_in_flight 5.0" in text
    assert 'inference_api_request_seconds_bucket{model="m",le="0.005"} 0.0' in text
    assert 'inference_api_request_seconds_bucket{model="m",le="0.01"} 2.0' in text
    assert 'inference_api_request_seconds_count{model="m"} 2.0' in text
    first.close()
    again = slots.claim(tmp_path)
    assert again.folder == first.folder
    Metrics(again.folder).cell("inference_api_requests_total", model='a"b', code="200").add()
    text = metrics.render(tmp_path).decode()
    assert 'inference_api_requests_total{model="a\\"b",code="200"} 6.0' in text
    assert "inference_api_in_flight 3.0" in text


def test_gauges_of_a_dead_worker_do_not_count(tmp_path: Path) -> None:
    script = (
        "import pathlib, sys; from inference_api import slots; from inference_api.metrics import Metrics\n"
        "mine = Metrics(slots.claim(pathlib.Path(sys.argv[1])).folder)\n"
        "mine.cell('inference_api_in_flight').set(7); mine.cell('inference_api_engine_calls_total').add(7)"
    )
    source = Path(slots.__file__).parents[1]
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True, env={"PYTHONPATH": str(source)})
    text = metrics.render(tmp_path).decode()
    assert "inference_api_in_flight 7.0" not in text and "inference_api_engine_calls_total 7.0" in text


def test_metrics_without_room_are_counted_together(tmp_path: Path) -> None:
    mine = Metrics(tmp_path)
    for number in range(metrics.ROWS + 5):
        mine.cell("inference_api_requests_total", model=str(number), code="200").add()
    assert mine.cell("inference_api_metrics_full_total") is not None
    folder = tmp_path / "worker-0"
    folder.mkdir()
    (tmp_path / metrics.FILE_NAME).rename(folder / metrics.FILE_NAME)
    assert "inference_api_metrics_full_total 6.0" in metrics.render(tmp_path).decode()


def test_a_slot_has_one_owner(tmp_path: Path) -> None:
    first = slots.claim(tmp_path)
    assert slots.try_claim(first.folder) is None and slots.owner_lives(first.folder)
    assert slots.claim(tmp_path).folder != first.folder


def test_ids_are_unique_uuids_in_the_order_of_time() -> None:
    made = [new_id() for _ in range(1000)]
    assert len(set(made)) == 1000
    assert {(text[14], text[19] in "89ab", len(text)) for text in made} == {("7", True, 36)}
