from hypothesis import given
from hypothesis import strategies as st

from hookline.dispatch.windows import Window


def struggling(window: Window, most: int) -> None:
    """Have one whole window of attempts fail."""
    for left in range(window.width(most), 0, -1):
        window.shrink(most, left)


def test_it_is_as_wide_as_allowed_until_something_fails() -> None:
    window = Window()
    window.grow(16)
    assert window.width(16) == 16
    assert not window.narrowed


def test_one_burst_of_failures_halves_it_once() -> None:
    window = Window()
    widths = []
    for _ in range(6):
        struggling(window, 16)
        widths.append(window.width(16))
    assert widths == [8, 4, 2, 1, 1, 1]


def test_a_window_of_one_stays_open() -> None:
    window = Window()
    window.shrink(1, 1)
    assert window.width(1) == 1


def test_each_window_of_successes_widens_it_by_one() -> None:
    window = Window()
    window.close()
    widths = []
    for _ in range(4):
        for _ in range(window.width(16)):
            window.grow(16)
        widths.append(window.width(16))
    assert widths == [2, 3, 4, 5]


def test_it_opens_whole_again_and_then_follows_what_is_allowed() -> None:
    window = Window()
    struggling(window, 4)
    for _ in range(20):
        window.grow(4)
    assert not window.narrowed
    assert window.width(64) == 64


def test_a_closed_window_begins_at_one() -> None:
    window = Window()
    window.close()
    assert window.width(1000) == 1
    assert window.narrowed


@given(st.integers(1, 1000), st.lists(st.sampled_from(["shrink", "grow", "close"]), max_size=200))
def test_it_is_never_shut_and_never_wider_than_allowed(most: int, story: list[str]) -> None:
    window = Window()
    for each in story:
        match each:
            case "shrink":
                window.shrink(most, window.width(most))
            case "grow":
                window.grow(most)
            case _:
                window.close()
        assert 1 <= window.width(most) <= most
