"""Work ahead of its use: order, bound, and whose error comes first."""

import threading

import pytest

from rdvar_jax.data.loading.ahead import ahead


def test_results_are_in_order_whichever_is_ready_first():
    second_is_done = threading.Event()

    def work(number: int) -> int:
        if number == 0:
            assert second_is_done.wait(10)
        else:
            second_is_done.set()
        return 10 * number

    with ahead(work, range(5), 2) as results:
        assert list(results) == [0, 10, 20, 30, 40]
    with ahead(work, [], 2) as results:
        assert list(results) == []


@pytest.mark.parametrize("number", [1, 3, 8])
def test_items_are_taken_ahead_as_far_as_allowed(number):
    taken = []

    def items():
        for index in range(20):
            taken.append(index)
            yield index

    with ahead(abs, items(), number) as results:
        assert taken == []
        for index in range(20):
            assert next(results) == index
            assert len(taken) == min(20, index + number + 1)


def test_work_goes_on_while_the_next_item_is_made():
    is_working = threading.Event()

    def work(index: int) -> int:
        is_working.set()
        return index

    def items():
        yield 0
        assert is_working.wait(10)
        yield 1

    with ahead(work, items(), 1) as results:
        assert list(results) == [0, 1]


def test_errors_come_in_place_of_their_results():
    def work(index: int) -> int:
        if index in (2, 3):
            raise ValueError(f"work on {index}")
        return index

    def items(last: int):
        yield from range(last)
        raise OSError("no more items")

    for last, words in ((4, "work on 2"), (2, "no more items")):
        with ahead(work, items(last), 8) as results:
            assert [next(results), next(results)] == [0, 1]
            with pytest.raises((ValueError, OSError), match=words):
                next(results)


def test_a_block_that_ends_waits_for_what_has_begun_and_drops_the_rest():
    begun, finished, go_on = [], [], threading.Event()

    def work(index: int) -> int:
        begun.append(index)
        if index > 0:
            assert go_on.wait(10)
        finished.append(index)
        return index

    def items():
        try:
            yield from range(100)
        finally:
            finished.append("items")

    with pytest.raises(KeyboardInterrupt), ahead(work, items(), 50) as results:
        assert next(results) == 0
        threading.Timer(0.1, go_on.set).start()
        raise KeyboardInterrupt
    assert finished.pop() == "items"
    assert sorted(begun) == sorted(finished)
    assert len(begun) < 51
