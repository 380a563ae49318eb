"""Metrics of Envoy as objects, with tags: `from proxy_wasm.metrics import Counter`.

An object may be made anywhere, also while the filter is built: the proxy hears of it when it is used first. Envoy puts `wasmcustom.` before
the name. Tags follow it as `;tag=value`, and `stats_tags` in Envoy's bootstrap takes them out again (`regex: '(;tag=([^;]*))'`).

A proxy that allows no metrics gets none, and nothing is raised: a metric decides about nothing.
"""

from __future__ import annotations

from proxy_wasm._calls import define_metric, get_metric, increment_metric, record_metric
from proxy_wasm._errors import InternalFailureError
from proxy_wasm._types import MetricKind

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import ClassVar

__all__ = ["Counter", "Gauge", "Histogram"]

OTHER = "other"
_REFUSED = 0  # the number that no metric has
_UNFIT = str.maketrans(dict.fromkeys(";:|\n\r\0", "_"))

# By object and by the tags' values. They are a VM's, so that test hosts clear it.
_numbers: dict[_Metric, dict[tuple[object, ...], int]] = {}


class _Metric:
    """What the kinds have in common."""

    __slots__ = ("limit", "name", "tags")
    kind: ClassVar[MetricKind]

    def __init__(self, name: str, *tags: str, limit: int = 1000) -> None:
        """Names the metric and its tags.

        Envoy keeps a metric for ever. So after `limit` different values, further ones are counted with the value "other" for each tag.
        """
        self.name = name
        self.tags = tags
        self.limit = limit

    def _number(self, tags: dict[str, object]) -> int:
        try:
            values = tuple([tags.pop(tag) for tag in self.tags]) if tags else ()
        except KeyError as error:
            raise TypeError(f"metric {self.name}: the tag {error.args[0]} is missing") from None
        if tags or len(values) != len(self.tags):
            raise TypeError(f"metric {self.name} has the tags {', '.join(self.tags) or 'none'}: give each by its name")
        known = _numbers.get(self)
        if known is None:
            known = _numbers[self] = {}
        number = known.get(values)
        if number is None:
            if len(known) >= self.limit:
                values = (OTHER,) * len(values)
            number = known[values] = known.get(values) or self._define(values)
        return number

    def _define(self, values: tuple[object, ...]) -> int:
        tags = "".join([f";{tag}={_text(value)}" for tag, value in zip(self.tags, values, strict=True)])
        try:
            return define_metric(self.kind, self.name + tags)
        except InternalFailureError:
            return _REFUSED

    def _tell(self, call: Callable[[int, int], None], value: int, tags: dict[str, object]) -> None:
        number = self._number(tags)
        if number:
            try:
                call(number, value)
            except InternalFailureError:
                _numbers[self] = dict.fromkeys(_numbers[self], _REFUSED)

    def _get(self, tags: dict[str, object]) -> int:
        number = self._number(tags)
        return get_metric(number) if number else 0


def _text(value: object) -> str:
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    return text.translate(_UNFIT)


class Counter(_Metric):
    """Counts: `Counter("requests", "method")`, and then `requests.increment(method="GET")`."""

    __slots__ = ()
    kind = MetricKind.COUNTER

    def increment(self, offset: int = 1, /, **tags: object) -> None:
        """Adds to the count; ValueError if it is less than 0."""
        if offset < 0:
            raise ValueError(f"metric {self.name}: a counter cannot go down by {-offset}")
        if offset:
            self._tell(increment_metric, offset, tags)

    def value(self, **tags: object) -> int:
        """Returns the count of all VMs; 0 if the proxy does not tell."""
        return self._get(tags)


class Gauge(_Metric):
    """Has a value that goes up and down."""

    __slots__ = ()
    kind = MetricKind.GAUGE

    def set(self, value: int, /, **tags: object) -> None:
        """Gives it a value."""
        self._tell(record_metric, value, tags)

    def add(self, offset: int, /, **tags: object) -> None:
        """Adds to the value; a negative number takes away."""
        self._tell(increment_metric, offset, tags)

    def value(self, **tags: object) -> int:
        """Returns the value; 0 if the proxy does not tell."""
        return self._get(tags)


class Histogram(_Metric):
    """Has the distribution of what is recorded."""

    __slots__ = ()
    kind = MetricKind.HISTOGRAM

    def record(self, value: int, /, **tags: object) -> None:
        """Records a value, in whatever unit the name says."""
        self._tell(record_metric, value, tags)
