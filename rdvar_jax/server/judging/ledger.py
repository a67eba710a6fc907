"""Gives verdicts their ids, keeps them, and tells the listeners, in order.

With a log this is done in a thread: what arrives while the disk is busy is kept together, with one
write for all of it.
"""

import logging
import queue
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Protocol

from rdvar_jax.server.judging.examined import Pictures
from rdvar_jax.server.judging.verdict import Verdict

_logger = logging.getLogger("rdvar_jax")

Listener = Callable[[Verdict, Pictures], None]
"""Called with each verdict once it is kept and before it is answered, in the order of ids.

All requests wait for it, so it must return at once and leave slow work to a thread of its own. An
exception is logged and changes nothing else.
"""


@dataclass(frozen=True, eq=False)
class Draft:
    """A verdict without an id.

    Attributes:
        verdict: its `id` is 0.
        pictures: of its image.
        watched: of a file of the watched folder its path, else None.
    """

    verdict: Verdict
    pictures: Pictures
    watched: str | None = None


class LogError(Exception):
    """Verdicts cannot be kept.

    Attributes:
        is_full: whether there is no room.
    """

    def __init__(self, sentence: str, is_full: bool = False):
        super().__init__(sentence)
        self.is_full = is_full


class Log(Protocol):
    """Where verdicts are kept."""

    def append(self, drafts: Sequence[Draft]) -> list[Verdict]:
        """Returns the verdicts with their ids once they are safe; all or none."""
        ...

    def close(self) -> None:
        """Ends writing."""
        ...


_Job = tuple[Sequence[Draft], Future[list[Verdict]]]


class Ledger:
    """Keeps verdicts in a log; its methods are for one thread.

    Args:
        log: where. None numbers verdicts from 1 on and keeps none.
        listeners: called with each verdict.
    """

    def __init__(self, log: Log | None, listeners: Iterable[Listener] = ()):
        self._log, self._listeners = log, list(listeners)
        self._last_id = 0  # without a log
        self._jobs = queue.SimpleQueue[_Job | None]()
        self._thread: threading.Thread | None = None
        if log is not None:
            self._thread = threading.Thread(target=self._run, name="ledger", daemon=True)
            self._thread.start()

    def keep(self, drafts: Sequence[Draft]) -> Future[list[Verdict]]:
        """Returns the verdicts with their ids, once they are kept and the listeners know them.

        The future raises what the log raises: then nothing was kept.
        """
        future = Future[list[Verdict]]()
        future.set_running_or_notify_cancel()  # whoever waits may go away, but not cancel it
        if self._thread is None:
            self._keep([(drafts, future)])
        else:
            self._jobs.put((drafts, future))
        return future

    def close(self) -> None:
        """Keeps what was given before, and closes the log."""
        if self._thread is not None:
            self._jobs.put(None)
            self._thread.join()
        if self._log is not None:
            self._log.close()

    def _run(self) -> None:
        while True:
            jobs, is_last = self._next_jobs()
            if jobs:
                self._keep(jobs)
            if is_last:
                return

    def _next_jobs(self) -> tuple[list[_Job], bool]:
        """Waits for a job, and takes all that there are."""
        jobs, job = list[_Job](), self._jobs.get()
        while job is not None:
            jobs.append(job)
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                return jobs, False
        return jobs, True

    def _keep(self, jobs: list[_Job]) -> None:
        drafts = [draft for of_job, _ in jobs for draft in of_job]
        try:
            verdicts = self._numbered(drafts) if self._log is None else self._log.append(drafts)
        # Everything: raised again where each request waits, and this thread goes on.
        except Exception as error:
            for _, future in jobs:
                future.set_exception(error)
            return
        for draft, verdict in zip(drafts, verdicts, strict=True):
            self._tell(verdict, draft.pictures)
        start = 0
        for of_job, future in jobs:
            future.set_result(verdicts[start : start + len(of_job)])
            start += len(of_job)

    def _numbered(self, drafts: Sequence[Draft]) -> list[Verdict]:
        first = self._last_id + 1
        self._last_id += len(drafts)
        return [replace(one.verdict, id=id) for id, one in enumerate(drafts, start=first)]

    def _tell(self, verdict: Verdict, pictures: Pictures) -> None:
        for listener in self._listeners:
            try:
                listener(verdict, pictures)
            except Exception:
                _logger.exception("a listener failed on verdict %d; it is kept", verdict.id)
