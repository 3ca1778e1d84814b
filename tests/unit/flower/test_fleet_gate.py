"""Only what SuperNodes say gets through the gate; the SuperLink's control API does not."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from fl_platform.errors import ConfigError
from fl_platform.flower import fleet_gate as gate
from fl_platform.flower.keys import CertificateFiles, create_certificates, lasting_certificates
from fl_platform.flower.processes import free_port


class Link(BaseHTTPRequestHandler):
    """Stands where the SuperLink would, over TLS, and says what it was asked."""

    def do_POST(self) -> None:
        """Answer with the path, a header and the body."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        answer = f"{self.path} {self.headers['X-Node']} ".encode() + body
        self.send_response(201)
        self.send_header("X-Answer", "yes")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_POST

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def certificates(tmp_path: Path) -> CertificateFiles:
    return create_certificates(tmp_path)


@pytest.fixture
def client(certificates: CertificateFiles) -> Iterator[httpx.Client]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Link)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.certificate, certificates.key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    port, trust = free_port(), ssl.create_default_context(cafile=str(certificates.authority))
    with (
        gate.fleet_gate(certificates, listen="127.0.0.1", port=port, superlink=server.server_port),
        httpx.Client(base_url=f"https://127.0.0.1:{port}", verify=trust) as found,
    ):
        yield found
    server.shutdown()
    server.server_close()


def test_a_nodes_message_goes_through_and_back(client: httpx.Client) -> None:
    answer = client.post("/v1/fleet/pull-messages", content=b"\x00order", headers={"X-Node": "me"})
    assert (answer.status_code, answer.headers["x-answer"]) == (201, "yes")
    assert answer.content == b"/v1/fleet/pull-messages me \x00order"


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("POST", "/v1/control/start-run", 404),
        ("POST", "/v1/runtime/push-object", 404),
        ("POST", "/v1/fleet/%2e%2e/control/start-run", 404),
        ("POST", "/v1/fleet/..%2fcontrol%2fstart-run", 404),
        ("POST", "/v1/fleet/pull-messages/more", 404),
        ("POST", "/v1/fleet/PULL", 404),
        ("POST", "/v1/fleet/", 404),
        ("POST", "//v1/fleet/x", 404),
        ("GET", "/v1/fleet/pull-messages", 405),
        ("GET", "/docs", 404),
    ],
)
def test_nothing_else_gets_through(client: httpx.Client, method: str, path: str, code: int) -> None:
    assert client.request(method, path, content=b"x").status_code == code


def test_a_long_message_is_refused(client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "MAX_REQUEST_BYTES", 10)
    assert client.post("/v1/fleet/push-messages", content=b"x" * 11).status_code == 413


@contextlib.contextmanager
def begun(client: httpx.Client, sent: bytes) -> Iterator[ssl.SSLSocket]:
    """Connect as a stranger, send so much and no more."""
    assert client.base_url.port is not None
    trust = ssl.create_default_context()
    trust.check_hostname, trust.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection(("127.0.0.1", client.base_url.port)) as plain,
        trust.wrap_socket(plain) as stranger,
    ):
        stranger.settimeout(10)
        stranger.sendall(sent)
        yield stranger


def test_strangers_who_drip_hold_no_place(client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "REQUEST_S", 0.5)
    with begun(client, b"POST /v1/fleet/x HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nx") as stranger:
        assert stranger.recv(12) == b"HTTP/1.1 408"
    assert client.post("/v1/fleet/pull-messages", content=b"x").status_code == 201


def test_who_never_asks_is_cut_off(client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "REQUEST_S", 0.3)
    with begun(client, b"POST /v1/fleet/x HTTP/1.1\r\nHost: x\r\n") as stranger:
        assert stranger.recv(1) == b""


def test_more_long_bodies_than_memory_is_meant_for_come_again(
    certificates: CertificateFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "MAX_LONG", 0)
    monkeypatch.setattr(gate, "SHORT_BYTES", 10)
    port, trust = free_port(), ssl.create_default_context(cafile=str(certificates.authority))
    url = f"https://127.0.0.1:{port}/v1/fleet/x"
    with gate.fleet_gate(certificates, listen="127.0.0.1", port=port, superlink=free_port()):
        codes = [httpx.post(url, content=b"x" * length, verify=trust).status_code for length in (11, 10)]
    assert codes == [503, 502]  # the short one is let through, to a SuperLink that is away


def test_a_superlink_that_is_away_is_said_to_be(certificates: CertificateFiles) -> None:
    port, trust = free_port(), ssl.create_default_context(cafile=str(certificates.authority))
    with gate.fleet_gate(certificates, listen="127.0.0.1", port=port, superlink=free_port()):
        answer = httpx.post(f"https://127.0.0.1:{port}/v1/fleet/x", content=b"", verify=trust)
    assert answer.status_code == 502


def test_a_port_in_use_is_named(certificates: CertificateFiles) -> None:
    port = free_port()
    with (
        gate.fleet_gate(certificates, listen="127.0.0.1", port=port, superlink=1),
        pytest.raises(ConfigError, match=f"127.0.0.1:{port}.*--port"),
        gate.fleet_gate(certificates, listen="127.0.0.1", port=port, superlink=1),
    ):
        pass


def test_certificates_last_and_are_for_the_host(tmp_path: Path) -> None:
    first = lasting_certificates(tmp_path, "aggregator.example.org")
    kept = first.certificate.read_bytes()
    assert lasting_certificates(tmp_path, "aggregator.example.org").certificate.read_bytes() == kept
    assert lasting_certificates(tmp_path, "127.0.0.1").certificate.read_bytes() == kept  # that is in every one
    other = lasting_certificates(tmp_path, "10.0.0.7")
    assert other.certificate.read_bytes() != kept
    other.certificate.write_text("no certificate")
    assert b"BEGIN CERTIFICATE" in lasting_certificates(tmp_path, "10.0.0.7").certificate.read_bytes()
