"""Work done in threads ahead of its use: bounded, with the results in order."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from rdvar_jax.data.loading.threads import num_usable_cpus

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


@contextmanager
def ahead(
    work: Callable[[_Item], _Result], items: Iterable[_Item], number: int
) -> Iterator[Iterator[_Result]]:
    """Iterates over `work(item)` for each item in order, while threads work on the next ones.

    An exception of `items` or of `work` is raised in place of its result, once all results before
    it are taken. The end of the block, also by an exception, waits for work that has begun and
    drops the rest.

    Args:
        work: runs in one thread per usable CPU.
        items: taken in the caller's thread, so their own work and that of the threads overlap.
        number: items taken ahead of the result that is due, which bounds the memory.
    """
    source, executor = iter(items), ThreadPoolExecutor(num_usable_cpus())
    try:
        yield _results(work, source, number, executor)
    finally:
        executor.shutdown(wait=True, cancel_futures=True)
        if isinstance(source, Generator):
            source.close()


def _results(
    work: Callable[[_Item], _Result],
    source: Iterator[_Item],
    number: int,
    executor: ThreadPoolExecutor,
) -> Iterator[_Result]:
    waiting = deque[Future[_Result]]()
    failure: Exception | None = None
    has_more = True
    while True:
        while has_more and len(waiting) <= number:
            try:
                waiting.append(executor.submit(work, next(source)))
            except StopIteration:
                has_more = False
            except Exception as error:  # due only after the results before it
                has_more, failure = False, error
        if not waiting:
            break
        yield waiting.popleft().result()
    if failure is not None:
        raise failure
