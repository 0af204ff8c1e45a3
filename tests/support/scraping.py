"""Reads `/metrics` as Prometheus does, with the parser of Prometheus' own client."""

from collections.abc import Mapping
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

from hookline.api.dependencies import Services

Series = tuple[str, frozenset[tuple[str, str]]]


@dataclass(frozen=True, slots=True)
class Scraped:
    """One answer: its text, and each series' value."""

    text: str
    series: Mapping[Series, float]
    kinds: Mapping[str, str]  # by metric

    def value(self, name: str, **labels: str) -> float:
        """Return the value of one series, which must be there."""
        return self.series[name, frozenset(labels.items())]

    def labelled(self, name: str, label: str) -> dict[str, float]:
        """Return a metric's values by the value of its one label."""
        return {
            dict(labels)[label]: value
            for (found, labels), value in self.series.items()
            if found == name
        }

    def positive(self, name: str) -> dict[tuple[str, ...], float]:
        """Return what is above zero of a metric, by its labels' values in the labels' order."""
        return {
            tuple(value for _, value in sorted(labels)): value
            for (found, labels), value in self.series.items()
            if found == name and value > 0
        }


def parsed(text: str) -> Scraped:
    """Understand an answer; every series must be there once."""
    series: dict[Series, float] = {}
    kinds: dict[str, str] = {}
    for metric in text_string_to_metric_families(text):
        assert metric.name not in kinds, metric.name
        assert metric.documentation, metric.name
        kinds[metric.name] = metric.type
        for sample in metric.samples:
            key = (sample.name, frozenset(sample.labels.items()))
            assert key not in series, key
            series[key] = sample.value
    return Scraped(text, series, kinds)


async def scrape(services: Services) -> Scraped:
    """Ask the parts that run in this process."""
    return parsed((await services.metrics.text()).decode())
