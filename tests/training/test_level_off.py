"""The end of a training whose loss has levelled off."""

from rdvar_jax.training.level_off import WINDOW, LevelOff


def ends_at(losses, tolerance=0.01, before=()):
    ends = LevelOff(tolerance, before)
    for epoch, loss in enumerate(losses, start=1):
        if ends(epoch, {"loss": loss}):
            return epoch
    return None


def test_a_loss_that_falls_goes_on():
    assert ends_at([0.99**n for n in range(200)], tolerance=0.05) is None


def test_a_loss_that_stays_ends_after_two_windows():
    assert ends_at([0.5] * 100) == 2 * WINDOW
    falling = [1 - n / 100 for n in range(50)]
    # The mean of ten epochs no longer falls by 1 % once nearly all of them are level.
    assert 50 + WINDOW < ends_at(falling + [0.5] * 50) < 50 + 2 * WINDOW


def test_earlier_epochs_of_a_resumed_run_count():
    assert ends_at([0.5] * 5, before=[0.5] * (2 * WINDOW - 1)) == 1


def test_zero_never_ends():
    assert ends_at([0.5] * 100, tolerance=0) is None
