"""Faults in the HTTP server: its queue, its log, its answers, and who may use it."""

from faults.fault import Fault

QUEUE = "tests/server/test_scoring_queue.py"
LOG = "tests/server/test_verdict_log.py"
ACCESS = "tests/server/test_access.py"
REFUSALS = "tests/server/test_server_refusals.py"
ROUTES = "tests/server/test_server_routes.py"
WATCHER = "tests/server/test_watcher.py"

FAULTS = (
    Fault(
        "answers of a batch in another order",
        "rdvar_jax/server/judging/scoring_queue.py",
        "in zip(batch, maps, scores, strict=True):",
        "in zip(batch, maps[::-1], scores[::-1], strict=True):",
        (QUEUE,),
    ),
    Fault(
        "a client that is alone waits",
        "rdvar_jax/server/judging/scoring_queue.py",
        "if line.taken > len(line.waiting):",
        "if line.taken:",
        (f"{QUEUE}::test_an_image_alone_does_not_wait",),
    ),
    Fault(
        "clients that are just answered are not waited for",
        "rdvar_jax/server/judging/scoring_queue.py",
        "            elif line.answered:\n",
        "            elif False:\n",
        (f"{QUEUE}::test_it_waits_for_the_next_image_of_a_client_that_gets_its_answer",),
    ),
    Fault(
        "answers wait for the client's acknowledgement",
        "rdvar_jax/server/http/http_server.py",
        "socket.socket(family, kind, protocol)",
        "socket.socket(family, kind)",
        ("tests/server/test_http_server.py",),
    ),
    Fault(
        "a place in the queue is never freed",
        "rdvar_jax/server/judging/scoring_queue.py",
        "                line.taken -= number\n",
        "                pass\n",
        (f"{QUEUE}::test_a_full_queue_refuses_all_or_none",),
    ),
    Fault(
        "images that come together are scored one by one",
        "rdvar_jax/server/judging/scoring_queue.py",
        "number = self._batch_size\n",
        "number = 1\n",
        (f"{QUEUE}::test_what_comes_while_the_detector_is_busy_is_scored_together",),
    ),
    Fault(
        "listeners hear of verdicts before they are kept",
        "rdvar_jax/server/judging/ledger.py",
        "        try:\n            verdicts = self._numbered(drafts)",
        "        for draft in drafts:\n            self._tell(draft.verdict, draft.pictures)\n"
        "        try:\n            verdicts = self._numbered(drafts)",
        (f"{LOG}::test_the_ledger_tells_after_keeping_and_in_order",),
    ),
    Fault(
        "a failing listener fails the request",
        "rdvar_jax/server/judging/ledger.py",
        "            except Exception:\n                _logger.exception(",
        "            except ZeroDivisionError:\n                _logger.exception(",
        (f"{LOG}::test_the_ledger_tells_after_keeping_and_in_order",),
    ),
    Fault(
        "a commit does not wait for the disk",
        "rdvar_jax/server/judging/verdict_log.py",
        "PRAGMA synchronous = FULL",
        "PRAGMA synchronous = OFF",
        (f"{LOG}::test_a_commit_waits_for_the_disk",),
    ),
    Fault(
        "the log of another program is written",
        "rdvar_jax/server/judging/verdict_log.py",
        "    if application != APPLICATION_ID:\n",
        "    if application == 1:\n",
        (f"{LOG}::test_files_that_are_not_logs",),
    ),
    Fault(
        "any token opens",
        "rdvar_jax/server/http/access.py",
        "return any([hmac.compare_digest(given, known) for known in self._tokens])",
        "return True",
        (f"{ACCESS}::test_nothing_else_does",),
    ),
    Fault(
        "pages of other sites may send",
        "rdvar_jax/server/http/access.py",
        "if origin is not None and urlsplit(origin).netloc != host:",
        "if origin is None and urlsplit(origin).netloc != host:",
        (f"{ACCESS}::test_pages_of_other_sites_can_send_nothing",),
    ),
    Fault(
        "chunked bodies are not bounded",
        "rdvar_jax/server/http/bodies.py",
        "                if taken > self._max_bytes:\n",
        "                if taken > 10**9:\n",
        (f"{REFUSALS}::test_a_body_that_is_too_large_is_not_read",),
    ),
    Fault(
        "a half-sent body holds a place",
        "rdvar_jax/server/http/bodies.py",
        "min(self._idle, end - now)",
        "end - now",
        (f"{REFUSALS}::test_a_slow_body_takes_no_place_and_is_given_up",),
    ),
    Fault(
        "a form without its end is taken",
        "rdvar_jax/server/http/forms.py",
        "    if not parts.is_complete:\n",
        "    if False:\n",
        ("tests/server/test_server_load.py", "tests/server/test_forms.py"),
    ),
    Fault(
        "verdicts of infer are turned round",
        "rdvar_jax/server/http/open_inference.py",
        "[one.verdict.verdict == DEFECTIVE for one in answers]",
        "[one.verdict.verdict != DEFECTIVE for one in answers]",
        (f"{ROUTES}::test_infer",),
    ),
    Fault(
        "a watched file is judged again after a restart",
        "rdvar_jax/server/judging/verdict_log.py",
        "return {os.fsdecode(path[len(start) :]) for (path,) in rows}",
        "return {os.fsdecode(path) for (path,) in rows}",
        (f"{LOG}::test_files_of_a_watched_folder",),
    ),
)
