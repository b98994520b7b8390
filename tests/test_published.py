"""README shows what was measured: its table and its plot are made of the figures that are kept, and of nothing else."""

import json
import pathlib
import sys
import xml.etree.ElementTree as ET

import pytest

ROOT = pathlib.Path(__file__).parent.parent
sys.path.append(str(ROOT))  # a test run does not begin in the checkout's root; what is installed goes first

pytest.importorskip("resource")  # how much a process has used

from benchmarks import __main__ as command  # noqa: E402
from benchmarks import plot, publish, report  # noqa: E402
from benchmarks.figures import spread  # noqa: E402
from benchmarks.scenarios import SCENARIOS  # noqa: E402


def rows():
    """Rows as a run gives them: llmnet and a library that costs so many times that."""

    def row(scenario, step, library, times, **gauges):
        named = {"scenario": scenario.name, "step": step, "unit": report.UNITS[step][0], "library": library}
        found = {
            gauge: {"samples": [], "absolute": spread([value * times])._asdict(), "ratio": spread([times])._asdict()}
            for gauge, value in gauges.items()
        }
        return {
            **named,
            "against": "llmnet",
            "rounds": 1,
            "failed": "",
            "wall": dict.fromkeys(("absolute", "ratio")),
            **found,
        }

    for scenario in SCENARIOS:
        late = {"late": 2.5, "grown": 20.0} if scenario.at_once > 4 and scenario.pace.deltas else {}
        gauges = {"size": 6.4} if scenario.ask == "size" else {"cpu": 123.456, **late}
        for step in scenario.per:
            yield row(scenario, step, "llmnet", 1.0, **gauges)
            yield row(scenario, step, "openai", 12.34, **gauges)


NOTES = {"date": "2026-11-30T10:00:00", "processor": "P", "python": "3.11", "versions": {"llmnet": "1"}}


@pytest.fixture
def checkout(tmp_path):
    for folder in ("benchmarks", "docs"):
        (tmp_path / folder).mkdir()
    (tmp_path / publish.README).write_text(f"before\n{publish.BEGIN}old\n{publish.END}after\n")
    return tmp_path


def test_what_was_measured_is_written_to_readme(checkout):
    for _ in range(2):
        publish.publish(list(rows()), NOTES, checkout)
    text = (checkout / publish.README).read_text()
    assert text.startswith(
        f"before\n{publish.BEGIN}| | llmnet | openai |\n|---|--:|--:|\n| sync chat | 123 µs | 12.3 |\n"
    )
    assert "| installed size | 6.40 MiB | 12.3 |\n" in text
    assert text.endswith(f"\n\n2026-11-30, P, Python 3.11: llmnet 1.\n{publish.END}after\n")
    assert text.count("\n|") == 2 + len(publish.LINES) - 1, "nobody has been measured over Messages"


def test_an_earlier_run_can_be_published(checkout, capsys, monkeypatch):
    monkeypatch.setattr(publish, "ROOT", checkout)
    result = {"title": "", **NOTES, "skipped": [], "rows": list(rows())}
    (checkout / "run.json").write_text(json.dumps(result))
    monkeypatch.setattr(command, "publish", lambda rows, notes: publish.publish(rows, notes, checkout))
    assert command.main(["--from", str(checkout / "run.json"), "--json", "--publish"]) == 0
    assert json.loads(capsys.readouterr().out)["rows"] == result["rows"]
    assert json.loads((checkout / publish.FIGURES).read_text())["rows"][0] == publish.shortened(result["rows"][0])


def test_a_plot_has_every_library_and_no_two_labels_in_one_place():
    drawing = ET.fromstring(plot.drawn([publish.shortened(row) for row in rows()]))
    labels = [(one.get("x"), one.get("y")) for one in drawing.iter("{http://www.w3.org/2000/svg}text")]
    texts = [one.text for one in drawing.iter("{http://www.w3.org/2000/svg}text")]
    assert texts.count("llmnet") == texts.count("openai") == 2
    assert len(set(labels)) == len(labels)
    assert plot.spread({"a": 10.0, "b": 11.0, "c": 90.0}, 14) == {"a": 10.0, "b": 24.0, "c": 90.0}


def test_a_plot_of_nothing_is_one_too():
    assert ET.fromstring(plot.drawn([])).tag.endswith("svg")


def test_readme_shows_the_figures_that_are_kept():
    notes = json.loads((ROOT / publish.FIGURES).read_text())
    kept = notes.pop("rows")
    text = (ROOT / publish.README).read_text()
    assert publish.BEGIN + publish.block(kept, notes) + publish.END in text
    assert (ROOT / publish.PLOT).read_text() == plot.drawn(kept)
    assert f"]({publish.PLOT})" in text
