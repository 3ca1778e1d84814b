"""One interface to every chain: back ends, client, wallets, deployment, typed contracts and events."""

from fl_platform.chain.deferred import defer_bls12_381

defer_bls12_381()  # before anything here imports py-evm or eth-keyfile
