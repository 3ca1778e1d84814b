"""A small, valid task spec and helpers to change one thing of it."""

from __future__ import annotations

import dataclasses
from typing import Any

from fl_platform.protocol.model_spec import ModelSpec, ScaleSpec, TensorSpec
from fl_platform.protocol.spec import (
    NO_BASE,
    AggregationRule,
    CodecRule,
    Money,
    Party,
    TaskSpec,
    TrainingRule,
    Windows,
    WorthRule,
)


def address(number: int) -> bytes:
    """Return a 20-byte address that ends in `number`."""
    return number.to_bytes(20, "big")


def small_spec(**changes: Any) -> TaskSpec:
    """Return a valid spec of a 2-tensor model; keyword arguments replace top-level fields."""
    model = ModelSpec("tiny", (TensorSpec("weight", (3, 4)), TensorSpec("bias", (3,))))
    spec = TaskSpec(
        title="tiny",
        owner=address(1),
        model=model,
        initial_model=bytes(32),
        initial_root=bytes(32),
        base_model=NO_BASE,
        codec=CodecRule(8, "stochastic", ScaleSpec((-5, -5))),
        aggregation=AggregationRule(
            selection="multi-krum",
            byzantine=1,
            clip_bps=20_000,
            reject_bps=1_000_000,
            floor_bps=100,
            duplicate_bps=9_900,
            server_lr_num=1,
            server_lr_den=1,
        ),
        worth=WorthRule("anchored", 1, 2, 0, 2_000, bytes(32), 0),
        strictness="standard",
        training=TrainingRule("fedavg", (), "sgd", 1, 0, 16, 50_000, "constant", 0, 0, 0, "float32"),
        windows=Windows(10, 60, 10, 10, 60, 120, 60, 600),
        money=Money(address(2), 10**18, 5, 10**18, 2 * 10**18, 500),
        aggregators=(Party(address(3), bytes(64)),),
        auditors=(),
        witnesses=(address(1),),
        complaints_needed=1,
        reference=Party(address(1), bytes(64)),
        commitments="none",
        exact=True,
    )
    return dataclasses.replace(spec, **changes)
