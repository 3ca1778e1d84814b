"""What a scrape over loopback finds."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from urllib.request import ProxyHandler, build_opener

import pytest
from prometheus_client.parser import text_string_to_metric_families

from fl_platform.errors import ConfigError
from fl_platform.sinks.names import METRICS
from fl_platform.sinks.prometheus import PREFIX, Gauges
from fl_platform.sinks.record import Record, labelled
from tests.support.records import ABSENT, learned, sealed

Labels = frozenset[tuple[str, str]]


@pytest.fixture
def gauges() -> Iterator[Gauges]:
    made = Gauges("0")
    yield made
    made.close()


def scrape(gauges: Gauges) -> dict[tuple[str, Labels], float]:
    with build_opener(ProxyHandler({})).open(gauges.where, timeout=30) as answer:
        text = answer.read().decode()
    families = text_string_to_metric_families(text)
    return {(s.name, frozenset(s.labels.items())): s.value for family in families for s in family.samples}


def place(role: str, who: str, **more: str) -> Labels:
    return frozenset({"task": "1", "role": role, "who": who, **more}.items())


def test_a_scrape_shows_the_last_record_of_each_party(gauges: Gauges) -> None:
    assert scrape(gauges) == {}
    gauges.write(learned(0, loss_last=0.5))
    gauges.write(sealed(0))
    found = scrape(gauges)
    assert found[f"{PREFIX}loss_last", place("trainer", "alice")] == 0.5
    assert found[f"{PREFIX}refused", place("aggregator", "bob", code="NotSelected")] == 1.0
    assert found[f"{PREFIX}absent_member", place("aggregator", "bob", member=ABSENT)] == 1.0
    assert found[f"{PREFIX}time_seconds", place("aggregator", "bob")] == 1_800_000_001.0
    gauges.write(Record("aggregator", 1, 1, {"members": 8, "answered": 8, "absent": 0, "in_sum": 8}, who="bob"))
    found = scrape(gauges)
    assert found[f"{PREFIX}round", place("aggregator", "bob")] == 1.0
    assert not [labels for name, labels in found if name in (f"{PREFIX}refused", f"{PREFIX}absent_member")]
    assert found[f"{PREFIX}round", place("trainer", "alice")] == 0.0


def test_a_peer_s_code_adds_no_line_of_its_own(gauges: Gauges) -> None:
    gauges.write(Record("aggregator", 1, 0, {labelled("refused", 'x"} 1\nfl_platform_in_sum{task="1'): 1}))
    assert not [name for name, _ in scrape(gauges) if name == f"{PREFIX}in_sum"]


def test_every_number_of_the_table_can_be_served(gauges: Gauges) -> None:
    numbers = [metric for metric in METRICS.values() if not metric.text]
    for role in {role for metric in numbers for role in metric.roles}:
        mine = [metric for metric in numbers if role in metric.roles]
        gauges.write(Record(role, 1, 0, {m.name + (f"[{m.label}]" if m.label else ""): 1 for m in mine}))
    assert {name for name, _ in scrape(gauges)} == {
        PREFIX + name for name in ("round", "time_seconds", *(metric.name for metric in numbers))
    }


def test_it_listens_on_the_loopback_address_unless_told(gauges: Gauges) -> None:
    assert gauges.where.startswith("http://127.0.0.1:")
    assert gauges._server.server_address[0] == "127.0.0.1"
    everywhere = Gauges("0.0.0.0:0")
    assert everywhere._server.server_address[0] == "0.0.0.0"
    everywhere.close()


@pytest.mark.parametrize("words", ["x", "70000", "127.0.0.1:", "127.0.0.1:-1", "1.5"])
def test_what_is_no_port_is_refused(words: str) -> None:
    with pytest.raises(ConfigError, match="write a port, as in 9464, or HOST:PORT"):
        Gauges(words)


def test_a_port_that_is_taken_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(ConfigError, match="choose another port"):
        Gauges(str(taken.getsockname()[1]))
