from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from hookline.domain.deliveries import ErrorKind, Verdict
from hookline.domain.health import (
    HEALTHY,
    NO_RUN,
    Attempt,
    Disable,
    Evidence,
    Fail,
    Health,
    HealthRules,
    HealthState,
    Pause,
    Recover,
    Run,
    Step,
    evidence_of,
    judge,
    take,
    take_probe,
)

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
RULES = HealthRules(failing_after=3, pause_after=5, pause_seconds=30, first_probe=30)


def later(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def failed(health: Health, run: Run, at: float, evidence: Evidence = Evidence.DOWN) -> Step | None:
    attempt = Attempt(evidence, ErrorKind.TIMEOUT, later(at))
    _, step = judge(health, run, attempt, RULES)
    return step


def test_every_verdict_tells_something_or_nothing_about_the_target() -> None:
    assert {verdict: evidence_of(verdict) for verdict in Verdict} == {
        Verdict.DELIVERED: Evidence.GOOD,
        Verdict.RETRY: Evidence.DOWN,
        Verdict.BLOCKED: Evidence.DOWN,
        Verdict.REJECTED: Evidence.REFUSED,
        Verdict.GONE: Evidence.REFUSED,
        Verdict.TOO_LARGE: Evidence.NONE,
        Verdict.INTERNAL: Evidence.NONE,
    }


def test_two_failures_are_a_blip_and_the_third_is_failing() -> None:
    assert failed(HEALTHY, Run(1, 1, START), 1) is None
    assert failed(HEALTHY, Run(2, 2, START), 2) == Fail(START, ErrorKind.TIMEOUT)


def test_many_failures_within_moments_do_not_pause() -> None:
    failing = Health(HealthState.FAILING, START)
    assert failed(failing, Run(400, 400, START), 29) is None
    assert failed(failing, Run(400, 400, START), 30) == Pause(ErrorKind.TIMEOUT)


def test_a_target_that_answers_and_refuses_is_never_paused() -> None:
    failing = Health(HealthState.FAILING, START)
    assert failed(failing, Run(400, 0, START), 4_000, Evidence.REFUSED) is None


def test_an_attempt_that_tells_nothing_changes_nothing() -> None:
    run = Run(2, 2, START)
    attempt = Attempt(Evidence.NONE, ErrorKind.INTERNAL, START)
    assert judge(HEALTHY, run, attempt, RULES) == (run, None)


@pytest.mark.parametrize("state", [HealthState.FAILING, HealthState.PAUSED])
def test_the_first_success_recovers(state: HealthState) -> None:
    attempt = Attempt(Evidence.GOOD, None, START)
    assert judge(Health(state, START), Run(9, 9, START), attempt, RULES) == (NO_RUN, Recover())


@pytest.mark.parametrize("evidence", [Evidence.DOWN, Evidence.REFUSED])
@pytest.mark.parametrize("state", [HealthState.FAILING, HealthState.PAUSED])
def test_days_without_a_success_disable(state: HealthState, evidence: Evidence) -> None:
    days = RULES.disable_after.total_seconds()
    health = Health(state, START)
    assert not isinstance(failed(health, NO_RUN, days - 1, evidence), Disable)
    assert failed(health, NO_RUN, days, evidence) == Disable(START)


def test_probes_go_at_growing_intervals_up_to_a_bound() -> None:
    rules = HealthRules(first_probe=30, longest_probe=900)
    intervals = [rules.probe_interval(number) for number in range(8)]
    assert intervals == [30, 60, 120, 240, 480, 900, 900, 900]
    assert rules.probe_interval(32_000) == 900


class AnIntegration(RuleBasedStateMachine):
    """Two processes, each with its own run and its own view of the state that they share.

    The model keeps what people are promised: when the last success was, how many failures there
    have been since, and when probes went.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = START
        self.enabled = True
        self.shared = HEALTHY
        self.seen = [HEALTHY, HEALTHY]
        self.runs = [NO_RUN, NO_RUN]
        self.failures_since_success = 0
        self.down_since_own_success = [0, 0]  # each process counts its own attempts alone
        self.probes_at: list[datetime] = []
        self.taken: Counter[type] = Counter()  # steps that changed the shared state
        self.cleared = 0

    @rule(seconds=st.sampled_from([0.1, 1, 10, 45, 600, 86_400]))
    def time_passes(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    @rule(process=st.integers(0, 1))
    def a_process_looks(self, process: int) -> None:
        if self.seen[process] != HEALTHY and self.shared == HEALTHY:
            self.runs[process] = NO_RUN
        self.seen[process] = self.shared

    @precondition(lambda self: self.enabled)
    @rule(process=st.integers(0, 1))
    def an_attempt_succeeds(self, process: int) -> None:
        self.failures_since_success = self.down_since_own_success[process] = 0
        self._attempt(process, Evidence.GOOD, None)

    @precondition(lambda self: self.enabled)
    @rule(process=st.integers(0, 1), times=st.integers(1, 6))
    def attempts_fail(self, process: int, times: int) -> None:
        for _ in range(times):
            if not self.enabled:
                return
            self._count_failure(process, down=True)
            self._attempt(process, Evidence.DOWN, ErrorKind.REFUSED)

    @precondition(lambda self: self.enabled)
    @rule(process=st.integers(0, 1))
    def an_attempt_is_refused(self, process: int) -> None:
        self._count_failure(process, down=False)
        self._attempt(process, Evidence.REFUSED, ErrorKind.STATUS)

    @rule(process=st.integers(0, 1))
    def an_attempt_tells_nothing(self, process: int) -> None:
        before = self.runs[process], self.shared
        self._attempt(process, Evidence.NONE, ErrorKind.INTERNAL)
        assert (self.runs[process], self.shared) == before

    @rule()
    def both_ask_for_the_probe(self) -> None:
        allowed = 0
        for _ in range(2):
            after = take_probe(self.shared, self.now, RULES)
            allowed += after is not self.shared
            self.shared = after
        assert allowed <= 1, "two processes never probe at once"
        if allowed:
            self.probes_at.append(self.now)

    @precondition(lambda self: not self.enabled)
    @rule()
    def somebody_enables_it(self) -> None:
        self.enabled = True
        self._forget()

    @rule()
    def somebody_disables_it(self) -> None:
        self.enabled = False

    @invariant()
    def what_is_known_fits_the_state(self) -> None:
        assert (self.shared.state is HealthState.HEALTHY) == (self.shared.failing_since is None)
        assert (self.shared.state is HealthState.PAUSED) == (self.shared.paused_until is not None)

    @invariant()
    def probes_go_at_growing_intervals(self) -> None:
        gaps = [b - a for a, b in zip(self.probes_at, self.probes_at[1:], strict=False)]
        assert all(
            gap.total_seconds() >= RULES.probe_interval(number)
            for number, gap in enumerate(gaps, start=1)
        )

    @invariant()
    def no_step_is_taken_twice(self) -> None:
        unhealthy = self.shared != HEALTHY
        ended = self.taken[Recover] + self.cleared
        assert self.taken[Fail] - ended == unhealthy
        assert self.taken[Pause] <= self.taken[Fail]

    def _attempt(self, process: int, evidence: Evidence, error: ErrorKind | None) -> None:
        before = self.shared
        self.runs[process], step = judge(
            self.seen[process], self.runs[process], Attempt(evidence, error, self.now), RULES
        )
        if step is None:
            return
        self.shared = take(before, step, self.now, RULES)
        self.seen[process] = self.shared
        if self.shared != before:
            self.taken[type(step)] += 1
            self._check_change(process, before, step, evidence)
        elif isinstance(step, Disable):
            self._check_disable(step)

    def _check_change(self, process: int, before: Health, step: Step, evidence: Evidence) -> None:
        self.probes_at.clear()
        match step:
            case Fail():
                assert self.failures_since_success >= 1
                assert self.shared.state is HealthState.FAILING
            case Pause():
                assert before.state is HealthState.FAILING
                assert self.down_since_own_success[process] >= 1
            case Recover():
                assert evidence is Evidence.GOOD
                assert self.shared == HEALTHY
            case Disable():
                raise AssertionError("disabling is no change of the health")

    def _check_disable(self, step: Disable) -> None:
        assert self.now - step.since >= RULES.disable_after
        self.enabled = False

    def _count_failure(self, process: int, *, down: bool) -> None:
        self.failures_since_success += 1
        self.down_since_own_success[process] += down

    def _forget(self) -> None:
        self.cleared += self.shared != HEALTHY
        self.shared = HEALTHY
        self.seen = [HEALTHY, HEALTHY]
        self.runs = [NO_RUN, NO_RUN]
        self.failures_since_success = 0
        self.down_since_own_success = [0, 0]
        self.probes_at.clear()


class OneProcess(RuleBasedStateMachine):
    """One process that always knows the shared state: here the model can say it exactly."""

    def __init__(self) -> None:
        super().__init__()
        self.now = START
        self.health = HEALTHY
        self.run = NO_RUN
        self.failures: list[tuple[datetime, bool]] = []  # since the last success: when, and down

    @rule(seconds=st.sampled_from([0, 1, 10, 31, 90_000]))
    def time_passes(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    @rule()
    def a_success(self) -> None:
        self._attempt(Evidence.GOOD)
        self.failures.clear()

    @rule(down=st.booleans(), times=st.integers(1, 4))
    def failures_come(self, down: bool, times: int) -> None:  # noqa: FBT001 - hypothesis names it
        for _ in range(times):
            self.failures.append((self.now, down))
            self._attempt(Evidence.DOWN if down else Evidence.REFUSED)

    @invariant()
    def the_state_is_what_the_model_says(self) -> None:
        assert self.health.state is self._expected()

    @invariant()
    def failing_since_is_the_first_failure(self) -> None:
        if self.health.failing_since is not None:
            assert self.health.failing_since == self.failures[0][0]

    def _expected(self) -> HealthState:
        """Replay the failures from the promises' own words."""
        state = HealthState.HEALTHY
        down = 0
        for number, (moment, is_down) in enumerate(self.failures, start=1):
            down += is_down
            failing_for = (moment - self.failures[0][0]).total_seconds()
            if state is HealthState.HEALTHY:
                if number >= RULES.failing_after:
                    state = HealthState.FAILING
            elif failing_for >= RULES.disable_after.total_seconds():
                continue  # disabled by now; its health stays what it was
            elif down >= RULES.pause_after and failing_for >= RULES.pause_seconds:
                state = HealthState.PAUSED
        return state

    def _attempt(self, evidence: Evidence) -> None:
        error = None if evidence is Evidence.GOOD else ErrorKind.TIMEOUT
        self.run, step = judge(self.health, self.run, Attempt(evidence, error, self.now), RULES)
        if step is not None:
            self.health = take(self.health, step, self.now, RULES)


TestAnIntegration = AnIntegration.TestCase
TestAnIntegration.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestOneProcess = OneProcess.TestCase
TestOneProcess.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
