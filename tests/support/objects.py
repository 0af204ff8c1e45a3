"""What is in this process's memory, where no name leads to it any more."""

import _asyncio
import gc
from collections.abc import Iterator


def leaves(*kinds: type) -> Iterator[object]:
    """Yield every object of these kinds that any other one refers to, caches among them.

    The module _asyncio is not asked: in Python 3.12.1 it answers with iterators that are in its
    free list. Who lets go of one frees it twice, and the next collection never ends.
    """
    gc.collect()
    seen: set[int] = set()
    waiting = [each for each in gc.get_objects() if each is not _asyncio]
    while waiting:
        for each in gc.get_referents(waiting.pop()):
            if gc.is_tracked(each) or id(each) in seen:
                continue  # what is tracked was waiting from the start
            seen.add(id(each))
            waiting.append(each)  # a tuple of texts, for example, which the collector leaves out
            if isinstance(each, kinds):
                yield each
