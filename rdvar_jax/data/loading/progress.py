"""A progress bar on a terminal, where tqdm is installed."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec


@contextmanager
def progress_bar(
    total: int, description: str, unit: str = "it", shown: bool = True
) -> Iterator[Callable[[int], object]]:
    """Yields what counts finished items; the bar is seen only if standard error is a terminal.

    Args:
        total: number of items.
        description: in front of the bar.
        unit: of the items.
        shown: False for no bar, also on a terminal.
    """
    # A detector runs without tqdm, which comes with the packages of training.
    if not shown or find_spec("tqdm") is None:
        yield lambda number: None
        return
    from tqdm import tqdm

    # disable=None is tqdm's "only on a terminal".
    with tqdm(total=total, desc=description, unit=unit, disable=None) as bar:
        yield bar.update
