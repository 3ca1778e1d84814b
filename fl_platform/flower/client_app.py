"""The thin ClientApp: hands each order to the data owner's resident trainer and brings its answer back.

Flower starts a new process for every message, so this module imports neither torch nor any role. The SuperNode's owner
names the trainer's socket when it starts the node: `flower-supernode --node-config 'trainer-socket="/path"'`. A run's
configuration, which the aggregator writes, has no say in it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from flwr.app import Context, Message
from flwr.clientapp import ClientApp

from fl_platform.errors import ConfigError, FLError, RejectedInput
from fl_platform.flower.trainer_server import ask
from fl_platform.flower.wire import pack_body, pack_refusal, unpack_body

SOCKET_KEY = "trainer-socket"
TIMEOUT_KEY = "trainer-timeout"  # seconds a round's training may take
DEFAULT_TIMEOUT_S = 3600.0
PATIENCE_S = 60.0  # a trainer that is being restarted imports torch and opens its chain first


def socket_of_node(context: Context) -> Path:
    """Return the trainer's socket that the SuperNode's owner named. Raises ConfigError when there is none."""
    named = context.node_config.get(SOCKET_KEY)
    if not isinstance(named, str) or not named:
        raise ConfigError(f"start the SuperNode with --node-config '{SOCKET_KEY}=\"/path/of/the/trainer's/socket\"'")
    return Path(named)


def answer(message: Message, context: Context, *, socket_of: Callable[[Context], Path]) -> Message:
    """Return the trainer's answer to `message`, or a refusal with its reason; never an exception's traceback."""
    try:
        timeout_s = float(context.node_config.get(TIMEOUT_KEY, DEFAULT_TIMEOUT_S))
        body, path = unpack_body(message), socket_of(context)
        reply = pack_body(ask(path, body, timeout_s=timeout_s, who="trainer", patience_s=PATIENCE_S))
    except RejectedInput as error:
        reply = pack_refusal(str(error))
    except FLError as error:
        reply = pack_refusal(type(error).__name__)  # its text names this machine's paths: not the aggregator's business
    return Message(reply, reply_to=message)


def make_client_app(socket_of: Callable[[Context], Path]) -> ClientApp:
    """Build the ClientApp; `socket_of` says which trainer a node speaks for."""
    app = ClientApp()

    def forward(message: Message, context: Context) -> Message:
        return answer(message, context, socket_of=socket_of)

    app.train("commit")(forward)
    app.train("reveal")(forward)
    return app


app = make_client_app(socket_of_node)
