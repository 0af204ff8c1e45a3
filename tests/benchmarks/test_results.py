import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from results import EMPTY, Drained, Setting, comparison, main, scenarios, with_part, workers, write
from support.bench_figures import figures
from support.readme import ROOT

MACHINE: dict[str, Any] = {
    "processors": 2,
    "processor": "A processor",
    "python": "3.11.7",
    "layout": "service on 0, postgres on 1",
    "at": "2026-01-02T03:04:05+00:00",
    "load_average_before": [0.5, 0.25, 0.0],
    "commit_to_disk_ms": 0.3,
    "seconds": 10.0,
}
ROWS = [
    Drained("Hookline", 9_000.0, 100.0, 50.0, 120.0),
    Drained("Another", 300.0, 3_000.0, 500.0, 60.0),
]


def measured(**each: dict[str, Any]) -> dict[str, Any]:
    """Make what `hookline bench --json` writes."""
    command = "hookline bench --seconds 10 --processes 1"
    return {"machine": MACHINE, "command": command, "scenarios": each, "failed": {}}


def test_each_part_keeps_the_other() -> None:
    first = with_part(EMPTY, "comparison", comparison(MACHINE, ROWS, Setting(10.0, 1)))
    both = with_part(first, "scenarios", scenarios(measured(single=figures(what="one by one"))))

    assert with_part(both, "comparison", "Nothing else.").count("| single | one by one |") == 1
    assert with_part(both, "scenarios", "Nothing else.").count("| Another | 300 | 30.0 × |") == 1
    assert with_part(both, "scenarios", "A").startswith(EMPTY.partition("<!--")[0])


def test_workers_have_a_row_for_each_number_and_the_command_to_see_it_again() -> None:
    rows = [Drained("1", 9_000.0, 100.0, 50.0, 120.0), Drained("2", 12_000.0, 90.4, 40.0, 110.0)]

    part = with_part(EMPTY, "workers", workers(MACHINE, rows, 60_000))

    assert "60,000 deliveries wait" in part
    assert "| 1 | 9,000 | 100 | 50 | 150 | 120 |\n| 2 | 12,000 | 90 | 40 | 130 | 110 |" in part
    assert "    .venv/bin/python benchmarks/workers.py --deliveries 60000 1 2\n" in part


def test_writing_again_changes_nothing(tmp_path: Path) -> None:
    file, part = tmp_path / "RESULTS.md", scenarios(measured(single=figures(what="one by one")))
    write(file, "scenarios", part)
    before = file.read_text(encoding="utf-8")

    write(file, "scenarios", part)

    assert file.read_text(encoding="utf-8") == before


def test_a_file_without_its_marks_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "RESULTS.md"
    file.write_text("Written by hand.", encoding="utf-8")

    with pytest.raises(ValueError, match="The marks around 'scenarios' are gone"):
        write(file, "scenarios", "A")

    assert file.read_text(encoding="utf-8") == "Written by hand."


def test_the_figures_stand_with_machine_date_load_and_command() -> None:
    single = figures(what="one by one", waited_for_processor=0.25)

    text = scenarios(measured(single=single), "figures.svg")

    assert "2 × A processor, Python 3.11.7; service on 0, postgres on 1." in text
    assert "At 2026-01-02T03:04:05+00:00; load average before: 0.5, 0.25, 0;" in text
    assert "    hookline bench --seconds 10 --processes 1\n" in text
    assert "- single: the service waited for its processor 25% of the time" in text
    assert text.endswith("(figures.svg)")


def test_a_short_run_is_told_from_a_whole_one() -> None:
    whole = measured(single=figures(what="one by one"))
    short = whole | {"machine": MACHINE | {"seconds": 2.0}}

    assert "prepares less" in scenarios(short)
    assert "prepares less" not in scenarios(whole)


def test_what_could_not_be_run_is_said() -> None:
    document = measured(single=figures(what="one by one")) | {
        "failed": {"sqs": "It did not start."}
    }

    assert "- sqs could not be run: It did not start." in scenarios(document)


def test_every_row_of_a_table_has_its_columns() -> None:
    crowd = figures(what="a crowd", others=figures())
    hung = figures(what="half hang", others=figures(), of_crowd={"throughput": 0.5, "p99": None})

    text = scenarios(measured(crowd=crowd, hung=hung, drain=figures(what="x", latency_ms=None)))

    tables = [part.splitlines() for part in text.split("\n\n") if part.startswith("|")]
    assert [len({row.count("|") for row in rows}) for rows in tables] == [1, 1]
    assert [len(rows) for rows in tables] == [2 + 3, 2 + 2]
    assert "| crowd | 50% | – | – |" in tables[1][-1]


def test_the_comparison_names_the_processes_of_each() -> None:
    assert "one process each" in comparison(MACHINE, ROWS, Setting(10.0, 1))
    assert "2 processes each" in comparison(MACHINE, ROWS, Setting(10.0, 2))
    assert "--seconds 10 --processes 2" in comparison(MACHINE, ROWS, Setting(10.0, 2))


def test_the_comparison_judges_each_program_that_has_a_goal() -> None:
    others = [
        Drained("Procrastinate + httpx", 225.0, 2_000.0, 900.0, 60.0),
        Drained("graphile-worker + undici", 6_000.0, 90.0, 30.0, 150.0),
        Drained("arq + httpx", 600.0, 1_400.0, 300.0, 55.0),
    ]
    setting = Setting(10.0, 1, tls=True, fanout=10)

    text = comparison(MACHINE, [*ROWS[:1], *others], setting)

    assert "| Procrastinate + httpx | 225 | 40.0 × | 40 ×: met |" in text
    assert "| graphile-worker + undici | 6,000 | 1.5 × | 1.7 ×: MISSED |" in text
    assert "| arq + httpx | 600 | 15.0 × | – |" in text
    assert "--tls --fanout 10\n" in text
    assert "MISSED" not in with_part(EMPTY, setting.part, comparison(MACHINE, ROWS, setting))


def test_the_command_shows_a_result_and_the_drawing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "figures.json"
    file.write_text(json.dumps(measured(single=figures(what="one by one"))), encoding="utf-8")
    (tmp_path / "figures.svg").write_text("<svg/>", encoding="utf-8")
    results = tmp_path / "RESULTS.md"
    monkeypatch.setattr("sys.argv", ["results.py", str(file), "--results", str(results)])

    main()

    text = results.read_text(encoding="utf-8")
    assert "| single | one by one |" in text
    assert "](figures.svg)" in text
    assert "RESULTS.md" in capsys.readouterr().out


def test_the_kept_results_have_both_parts() -> None:
    text = (ROOT / "benchmarks" / "RESULTS.md").read_text(encoding="utf-8")

    for name in ("comparison", "scenarios"):
        assert with_part(text, name, "A") != text


def test_a_comparison_at_a_rate_tells_how_late_deliveries_come() -> None:
    rows = [replace(row, late_ms=(2.5, 11.0)) for row in ROWS]
    setting = Setting(10.0, 1, tls=True, rate=200.0)

    part = comparison(MACHINE, rows, setting)

    assert "| Another | 300 | 2.5 | 11.0 | 3,000 | 500 | 3,500 | 60 |" in part
    assert (
        "    .venv/bin/python benchmarks/compare.py --seconds 10 --processes 1 --tls --rate 200\n"
        in part
    )
    assert with_part(EMPTY, setting.part, part).count("at a rate over TLS") == 1
