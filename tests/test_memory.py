from hookline.memory import AfterLoad


async def test_memory_is_given_back_once_when_a_busy_process_becomes_quiet() -> None:
    used, now, given_back = 0.0, 0.0, []
    after_load = AfterLoad(lambda: given_back.append(now), used=lambda: used, clock=lambda: now)
    for processor_seconds in (9.0, 3.0, 0.1, 0.1, 5.0, 0.0, 1.0):
        used, now = used + processor_seconds, now + 10.0
        await after_load.check()
    assert given_back == [30.0, 60.0]
