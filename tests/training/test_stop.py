"""Coordinated stops: every process sees the same answer at the same poll."""

import os
import signal
import time

import jax
import pytest

from rdvar_jax.devices.parallel import MODES, Parallel
from rdvar_jax.training.stop import POLLS_IN_FLIGHT, StopRequest


def test_a_signal_to_any_process_counts_at_the_same_poll_in_all():
    received = [0, 0]

    def make_largest(index):
        def largest(value):
            received[index] = value
            return max(received)

        return largest

    # Two processes in step: the second one's number is there when the first one's poll is answered.
    with StopRequest(make_largest(0)) as first:
        second = StopRequest(make_largest(1))
        os.kill(os.getpid(), signal.SIGTERM)
        assert first.signal_number is None  # until the others know
        for poll in range(POLLS_IN_FLIGHT + 1):
            assert first.signal_number is second.signal_number is None, poll
            first.poll()
            second.poll()
        assert first.signal_number == second.signal_number == signal.SIGTERM


def test_one_process_needs_no_poll():
    with StopRequest() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.signal_number == signal.SIGTERM
        stop.poll()
        assert stop.signal_number == signal.SIGTERM


def test_the_second_signal_acts_as_it_would_outside():
    with StopRequest() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.signal_number == signal.SIGINT
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(1)  # Python hands a signal over between two instructions


@pytest.mark.parametrize("mode", MODES)
def test_the_largest_number_of_all_devices(mode):
    largest = Parallel(mode, tuple(jax.local_devices())).make_max()
    assert [int(largest(value)) for value in (0, 15, 2)] == [0, 15, 2]
