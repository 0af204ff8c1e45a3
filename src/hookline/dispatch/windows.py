"""How many attempts at once a target bears: halved when it struggles, widened as it succeeds."""

from dataclasses import dataclass

_NARROWEST = 1.0  # something must go, or nobody would learn that the target is well again


@dataclass(slots=True)
class Window:
    """The part of an integration's `maxInFlight` that is in use: all of it, until it struggles.

    Additive increase, multiplicative decrease, as TCP does it. Attempts that were under way when
    the window was halved say nothing new, so one burst of failures halves it once.
    """

    _width: float | None = None  # None: as wide as is allowed
    _old_attempts: int = 0  # under way since before the last halving

    @property
    def narrowed(self) -> bool:
        """Whether the target struggled, and has not recovered all of its window since."""
        return self._width is not None

    def width(self, most: int) -> int:
        """Return how many attempts may run at once, out of `most`."""
        return most if self._width is None else min(most, int(self._width))

    def close(self) -> None:
        """Begin anew from a single attempt."""
        self._width, self._old_attempts = _NARROWEST, 0

    def shrink(self, most: int, in_flight: int) -> None:
        """Halve it after an attempt that failed; `in_flight` counts that attempt as well."""
        if self._old_attempts:
            self._old_attempts -= 1
            return
        self._width = max(_NARROWEST, self.width(most) / 2)
        self._old_attempts = max(0, in_flight - 1)

    def grow(self, most: int) -> None:
        """Widen it after a success: by one, once all of it has succeeded."""
        self._old_attempts = max(0, self._old_attempts - 1)
        if self._width is None:
            return
        self._width += 1 / int(self._width)
        if self._width >= most:
            self._width = None
