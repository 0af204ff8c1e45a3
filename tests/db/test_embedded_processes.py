import subprocess

import psutil
import pytest

from hookline.db.embedded.ownership import is_alive, lives, wait_until_dead


@pytest.fixture
def child() -> subprocess.Popen[bytes]:
    return subprocess.Popen(["sleep", "1000"])


def test_a_killed_process_that_nobody_has_reaped_is_dead(child: subprocess.Popen[bytes]) -> None:
    process = psutil.Process(child.pid)
    assert lives(process)
    assert is_alive(child.pid)
    process.kill()
    assert wait_until_dead([process], within_s=60) == []
    assert process.status() == psutil.STATUS_ZOMBIE
    assert not lives(process)
    assert not is_alive(child.pid)
    child.wait()
    assert not is_alive(child.pid)


def test_what_does_not_end_in_time_is_returned(child: subprocess.Popen[bytes]) -> None:
    process = psutil.Process(child.pid)
    assert wait_until_dead([process], within_s=0.0) == [process]
    child.kill()
    child.wait()
