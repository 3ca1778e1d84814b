"""The last record of each role and party at http://HOST:PORT/metrics, as gauges in a registry of our own."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Any

from fl_platform.errors import ConfigError
from fl_platform.sinks.names import METRICS
from fl_platform.sinks.record import Record

LOOPBACK = "127.0.0.1"
PREFIX = "fl_platform_"
_PLACE = ("task", "role", "who")


class Gauges:
    """Serves what was written last, so a member that was absent once does not stay so."""

    def __init__(self, place: str) -> None:
        """Serve at PORT of the loopback address, or at HOST:PORT; port 0 takes a free one.

        Raises ImportError, ConfigError for a place that is no address or is taken.
        """
        from prometheus_client import CollectorRegistry, start_http_server

        host, port = _address(place)
        self._latest: dict[tuple[str, ...], Record] = {}
        self._lock = threading.Lock()
        registry = CollectorRegistry(auto_describe=False)
        registry.register(self)
        try:
            self._server, self._thread = start_http_server(port, addr=host, registry=registry)
        except OSError as error:
            raise ConfigError(f"cannot serve metrics at {host}:{port}: {error}; choose another port") from error
        shown = f"[{host}]" if ":" in host else host
        self.where = f"http://{shown}:{self._server.server_port}/metrics"

    def write(self, record: Record) -> None:
        """Show this record from now on."""
        with self._lock:
            self._latest[str(record.task), record.role, record.who] = record

    def close(self) -> None:
        """Give the port back."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def collect(self) -> Iterable[Any]:
        """Yield the gauges of one scrape; called by the registry."""
        from prometheus_client.core import GaugeMetricFamily

        with self._lock:
            latest = dict(self._latest)
        rounds = GaugeMetricFamily(f"{PREFIX}round", "round of the values shown", labels=_PLACE)
        times = GaugeMetricFamily(f"{PREFIX}time_seconds", "when they were reported, Unix time", labels=_PLACE)
        families = {
            name: GaugeMetricFamily(PREFIX + name, metric.about, labels=(*_PLACE, *filter(None, (metric.label,))))
            for name, metric in METRICS.items()
            if not metric.text
        }
        for place, record in latest.items():
            rounds.add_metric(place, record.round)
            times.add_metric(place, record.time)
            for named in record:
                if not named.metric.text:
                    families[named.metric.name].add_metric((*place, *filter(None, (named.label,))), named.number)
        return [rounds, times, *(family for family in families.values() if family.samples)]


def _address(place: str) -> tuple[str, int]:
    host, _, port = place.rpartition(":")
    if not (port.isascii() and port.isdigit() and int(port) < 65_536):
        raise ConfigError(f"{place!r} is no place for metrics; write a port, as in 9464, or HOST:PORT")
    return host.strip("[]") or LOOPBACK, int(port)
