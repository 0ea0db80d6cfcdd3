import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from bandsight.sensors.scaling import Scaling, decibel, stretch

values = st.lists(st.floats(-1e5, 1e5, width=32), min_size=1, max_size=50).map(lambda v: np.array(v, np.float32))


def test_low_becomes_0_and_high_255_and_the_rest_is_clipped() -> None:
    out = stretch(np.array([[-5, 0, 1500], [3000, 9000, 3]], np.float32), 0, 3000)
    assert out.dtype == np.uint8
    np.testing.assert_array_equal(out, [[0, 0, 128], [255, 255, 0]])


@settings(deadline=None)
@given(st.integers(0, 255))
def test_bytes_stretched_from_0_to_255_stay_as_they_are(value: int) -> None:
    assert stretch(np.array([value], np.float32), 0, 255)[0] == value


@settings(deadline=None)
@given(values, st.floats(-1e4, 1e4), st.floats(1e-3, 1e4))
def test_stretching_keeps_the_order_of_values(numbers: np.ndarray, low: float, span: float) -> None:
    out = stretch(np.sort(numbers), low, low + span).astype(int)
    assert (np.diff(out) >= 0).all()


def test_a_flat_scene_does_not_divide_by_zero() -> None:
    assert stretch(np.full((2, 2), 7, np.float32), 7, 7).max() == 0


def test_amplitudes_are_converted_to_decibels_and_zero_becomes_a_minimum() -> None:
    out = decibel(np.array([1, 10, 0.1, 0, -3], np.float32))
    np.testing.assert_allclose(out, [0, 20, -20, -120, -120], atol=1e-4)


def test_power_gives_half_the_decibels_of_amplitude() -> None:
    numbers = np.array([1, 10, 0.01, 0], np.float32)
    np.testing.assert_allclose(decibel(numbers, "power"), [0, 10, -20, -120], atol=1e-4)


@given(st.floats(1e-5, 10), st.floats(-300, 300), st.floats(-1000, 1000))
def test_a_stored_number_is_the_physical_value_without_scale_and_offset(
    scale: float, offset: float, value: float
) -> None:
    rule = Scaling(kind="linear", scale=scale, offset=offset, low=0, high=1)
    assert abs(rule.stored(value) * scale + offset - value) < 1e-6
