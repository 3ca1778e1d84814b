"""One interface to every chain: back ends, client, wallets, deployment, typed contracts and events."""
