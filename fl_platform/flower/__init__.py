"""Thin adapters that carry a round's orders over Flower 1.41. No Flower process holds a role, a secret or a tensor.

    aggregator's process                      Flower                           data owner's process
    Aggregator.run(task, orders) <- socket -> ServerApp: ChainStrategy
                                              SuperLink
                                              SuperNode
                                              ClientApp (thin)   <- socket -> resident trainer

`order_queue` is the aggregator's, `strategy` the courier inside the ServerApp, `client_app` the courier inside the
ClientApp, `trainer_server` the local sockets, `simulation` and `deployment` start Flower itself.
"""
