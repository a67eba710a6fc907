"""A watched folder beside the server: each file once, also over a restart with a log."""

import asyncio
import time
from dataclasses import replace
from pathlib import Path

import pytest
from running import running

from rdvar_jax.server.judging.verdict_log import open_log
from rdvar_jax.server.judging.watcher import Watcher

TIMEOUT = 20


def wait_for(count_of, number: int) -> None:
    end = time.monotonic() + TIMEOUT
    while count_of() < number:
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.fixture
def folder(tmp_path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    return folder


def last_id_in(served):
    return lambda: served.recent.since(0)["last_id"]


def names(served) -> list[str]:
    return [one["name"] for one in served.get("/recent").json["verdicts"]]


def test_files_are_judged_once_also_after_a_restart(parts, files, folder, tmp_path):
    for restart in range(3):
        with open_log(tmp_path / "v.sqlite") as log:
            done = log.watched(folder)
            assert len(done) == restart
            with running(parts, log=log, watch=(folder, done)) as served:
                served.predict(files[5], "?name=sent.png")  # answered beside it
                (folder / f"{restart}.png").write_bytes(files[restart])
                wait_for(last_id_in(served), 2 * (restart + 1))
                time.sleep(0.1)  # some more scans
                assert names(served) == ["sent.png", f"{restart}.png"]


def test_a_file_that_cannot_be_read_is_tried_again_once_it_changes(parts, files, folder, caplog):
    with running(parts, watch=(folder, ())) as served:
        (folder / "a.png").write_bytes(files[0][:50])
        (folder / "b.png").write_bytes(files[1])
        wait_for(last_id_in(served), 1)
        wait_for(lambda: caplog.text.count("skipped: a.png"), 1)
        (folder / "a.png").write_bytes(files[0])
        wait_for(last_id_in(served), 2)
        assert names(served) == ["b.png", "a.png"]


def test_several_parts_have_folders(parts, files, folder, caplog):
    two = {name: replace(parts["part"], name=name) for name in ("cap", "nut")}
    with running(two, watch=(folder, ())) as served:
        for name in ("nut/x/1.png", "cap/2.png", "3.png"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(files[0])
        wait_for(last_id_in(served), 2)
        wait_for(lambda: caplog.text.count("3.png is of no part"), 1)
        found = served.get("/recent").json["verdicts"]
        assert {(one["part"], one["name"]) for one in found} == {
            ("nut", "nut/x/1.png"),
            ("cap", "cap/2.png"),
        }


def test_a_folder_that_goes_away_is_no_end(parts, files, folder, tmp_path, caplog):
    with running(parts, watch=(folder, ())) as served:
        folder.rename(tmp_path / "away")
        wait_for(lambda: caplog.text.count("can no longer be listed"), 1)
        assert served.predict(files[0]).status == 200
        (tmp_path / "away").rename(folder)
        (folder / "a.png").write_bytes(files[0])
        wait_for(last_id_in(served), 2)
        assert caplog.text.count("can no longer be listed") == 1


def test_it_waits_while_the_queue_is_full(parts, files, folder):
    with running(parts, watch=(folder, ()), queue_size=1) as served:
        with served.station.queue.places("part"):
            (folder / "a.png").write_bytes(files[0])
            time.sleep(0.1)
            assert last_id_in(served)() == 0
        wait_for(last_id_in(served), 1)


def test_stopping_does_not_wait_for_the_next_scan(parts, folder):
    with running(parts) as served:
        watcher = Watcher(served.station, folder, interval=1000.0)

        async def run() -> None:
            task = asyncio.create_task(watcher.run())
            await asyncio.sleep(0.05)
            watcher.stop()
            await asyncio.wait_for(task, TIMEOUT)

        asyncio.run(run())
