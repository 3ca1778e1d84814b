"""A pinning service for tests: the two calls that we make, held strictly to the specification's schema.

https://ipfs.github.io/pinning-services-api-spec/ (1.0.0). A request that the schema does not allow is answered with 400
and noted in `refused`, which a test expects to be empty.
"""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

from fl_platform.errors import FLError
from fl_platform.store.cid import Cid
from tests.support import http_peers

TOKEN = "token-of-a-test"
_STATUSES = {"queued", "pinning", "pinned", "failed"}


class PinningPeer:
    """Answers GET and POST /pins, and remembers the pins."""

    def __init__(self, token: str = TOKEN) -> None:
        self.token = token
        self.pins: list[dict[str, Any]] = []
        self.asked: list[str] = []
        self.refused: list[str] = []

    def respond(self, handler: BaseHTTPRequestHandler) -> None:
        """Answer one request."""
        body = handler.rfile.read(int(handler.headers.get("content-length", "0")))
        address = urlsplit(handler.path)
        self.asked.append(handler.command)
        if handler.headers.get("authorization") != f"Bearer {self.token}":
            _error(handler, 401, "UNAUTHORIZED")
            return
        if address.path != "/psa/pins":
            _error(handler, 404, "NOT_FOUND")
            return
        try:
            if handler.command == "GET":
                self._listed(handler, parse_qs(address.query, strict_parsing=True))
            elif handler.command == "POST":
                assert not address.query, "POST takes no query"
                assert handler.headers["content-type"] == "application/json", "content-type"
                self._added(handler, json.loads(body))
            else:
                _error(handler, 405, "METHOD_NOT_ALLOWED")
        except (AssertionError, ValueError, FLError) as error:
            self.refused.append(str(error))
            _error(handler, 400, "BAD_REQUEST")

    def _listed(self, handler: BaseHTTPRequestHandler, query: dict[str, list[str]]) -> None:
        assert query.keys() <= {"cid", "name", "match", "status", "before", "after", "limit", "meta"}, "unknown filter"
        assert all(len(values) == 1 for values in query.values()), "a filter is given once"
        cids, statuses = query["cid"][0].split(","), set(query.get("status", ["pinned"])[0].split(","))
        assert 1 <= len(cids) <= 10, "1 to 10 CIDs"
        assert statuses <= _STATUSES, "status"
        limit = int(query.get("limit", ["10"])[0])
        assert 1 <= limit <= 1000, "limit"
        found = [pin for pin in self.pins if pin["pin"]["cid"] in cids and pin["status"] in statuses]
        _json(handler, 200, {"count": len(found), "results": found[:limit]})

    def _added(self, handler: BaseHTTPRequestHandler, pin: Any) -> None:
        assert isinstance(pin, dict), "a Pin is an object"
        assert pin.keys() <= {"cid", "name", "origins", "meta"}, "unknown member"
        Cid.parse(pin["cid"])
        assert isinstance(pin.get("name", ""), str), "name"
        assert len(pin.get("name", "")) <= 255, "name"
        origins = pin.get("origins", [])
        assert isinstance(origins, list), "origins"
        assert len(origins) <= 20, "at most 20 origins"
        assert len(set(origins)) == len(origins), "origins are unique"
        assert all(isinstance(one, str) and one.startswith("/") for one in origins), "origins are multiaddrs"
        status = {
            "requestid": f"r{len(self.pins)}", "status": "queued", "created": "2026-01-01T00:00:00Z", "pin": pin,
            "delegates": ["/ip4/203.0.113.9/tcp/4001/p2p/QmServicePeer"],
        }  # fmt: skip
        self.pins.append(status)
        _json(handler, 202, status)


def _json(handler: BaseHTTPRequestHandler, status: int, value: object) -> None:
    http_peers.send(handler, status, json.dumps(value).encode(), content_type="application/json")


def _error(handler: BaseHTTPRequestHandler, status: int, reason: str) -> None:
    _json(handler, status, {"error": {"reason": reason, "details": "as the test's service sees it"}})
