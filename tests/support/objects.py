"""What is in this process's memory, where no name leads to it any more."""

import gc
from collections.abc import Iterator


def leaves(*kinds: type) -> Iterator[object]:
    """Yield every object of these kinds that any other one refers to, caches among them."""
    gc.collect()
    seen: set[int] = set()
    waiting = gc.get_objects()
    while waiting:
        for each in gc.get_referents(waiting.pop()):
            if gc.is_tracked(each) or id(each) in seen:
                continue  # what is tracked was waiting from the start
            seen.add(id(each))
            waiting.append(each)  # a tuple of texts, for example, which the collector leaves out
            if isinstance(each, kinds):
                yield each
