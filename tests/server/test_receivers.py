"""Verdicts that wait in the log for a receiver, over ends and kills of the server."""

import os
import signal
import threading
import urllib.request

import pytest
from mosquitto import Receiver
from test_serve_command import post, refusal

from rdvar_jax.commands.serve import Serving, serve
from rdvar_jax.server.judging.verdict_log import open_log
from rdvar_jax.server.receivers.delivery import InLog


def serve_and(use, bundle, **settings):
    """Serves, uses the server in a thread, and ends it by a signal."""
    problems, threads = [], []

    def use_it(url):
        try:
            use(url)
        except BaseException as error:
            problems.append(error)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)

    def opened(url):
        threads.append(threading.Thread(target=use_it, args=[url]))
        threads[0].start()

    serve([bundle], Serving(port=0, batch_size=2, **settings), opened=opened)
    threads[0].join()
    assert not problems, problems


@pytest.mark.slow  # waits for a broker that is away
def test_what_a_broker_missed_follows_after_the_next_start(bundle, files, broker, tmp_path, caplog):
    log, answers = tmp_path / "v.sqlite", []
    settings = {"log": log, "mqtt": f"mqtt://127.0.0.1:{broker.port}/line/1"}

    def send(url):
        answers.extend(post(url, content) for content in files[:3])

    serve_and(send, bundle, log=log)  # before there was a receiver: not for it
    early, answers = answers, []
    broker.kill()
    serve_and(send, bundle, **settings)
    assert "3 verdicts were not confirmed: to follow after the next start" in caplog.text
    broker.start()
    receiver = Receiver(broker.port)
    serve_and(send, bundle, **settings)
    receiver.close()
    assert receiver.verdicts() == answers and len(answers) == 6
    assert answers[0]["id"] == early[-1]["id"] + 1
    serve_and(lambda url: None, bundle, **settings)
    again = Receiver(broker.port)
    again.close()
    assert again.verdicts() == []  # all were confirmed


def test_after_a_kill_at_most_the_last_moment_comes_twice(bundle, files, tmp_path):
    log = tmp_path / "v.sqlite"
    serve_and(lambda url: [post(url, one) for one in files[:1]], bundle, log=log)
    first = InLog(log, "line")
    assert first.take() is None and len(first) == 0
    serve_and(lambda url: [post(url, one) for one in files[:4]], bundle, log=log)
    with open_log(log):
        assert len(first) == 4
        taken = [first.take() for _ in range(4)]
        first.delivered(taken[0].id)
        first._write()  # as half a second later
        first.delivered(taken[2].id)
        second = InLog(log, "line")  # as after a kill
        assert [second.take().id for _ in range(3)] == [one.id for one in taken[1:]]
        other = InLog(log, "other")
        assert other.take() is None
        for one in (first, second, other):
            one.close()


def test_the_page_and_labels_are_served(bundle, files, tmp_path):
    def use(url):
        with urllib.request.urlopen(f"{url}/") as page:
            assert b"page.js" in page.read()
        id = post(url, files[0])["id"]
        body = b'{"label": "good"}'
        request = urllib.request.Request(f"{url}/verdicts/{id}/feedback", body, method="POST")
        with urllib.request.urlopen(request) as answer:
            assert answer.status == 200

    serve_and(use, bundle, feedback=tmp_path / "feedback")
    (kept,) = (tmp_path / "feedback" / bundle.stem / "good").iterdir()
    assert kept.read_bytes() == files[0]


@pytest.mark.parametrize(
    "flags, words",
    [
        (["--mqtt", "broker"], "give mqtt://host/topic"),
        (["--opcua", "opc.tcp://host"], "give opc.tcp://127.0.0.1:4840"),
    ],
)
def test_addresses_are_checked_before_anything_is_loaded(flags, words, tmp_path, capsys):
    assert words in refusal(capsys, tmp_path / "none.rdvar", *flags)
