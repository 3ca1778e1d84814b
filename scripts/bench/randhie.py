"""Six real sites, seeds 1 to 3, two models: each site's AUC alone and together on the people of all, and its pay.

Alone: as many rounds of the same plan on the site's own rows. Both models are measured on the same held-out people, a
fifth of every site. Nobody cheats; what is asked is that taking part gains something for each site.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

from scripts.bench.demo import demo
from scripts.bench.harness import Row, at_least

SEEDS = (1, 2, 3)
MODELS = ("randhie-logistic", "randhie-mlp")
TOKEN = 10**18  # wei


def run(args: argparse.Namespace) -> Iterator[Row]:
    """Run the command as a user does, for each model and seed. --quick: one of each."""
    quick = bool(args.quick)
    for model in MODELS[:1] if quick else MODELS:
        for seed in SEEDS[:1] if quick else SEEDS:
            report = demo("--data", "randhie", "--model", model, "--seed", str(seed))
            yield from _rows(f"{model} seed {seed}", report)


def _rows(name: str, report: dict[str, Any]) -> Iterator[Row]:
    sites, joint = report["sites"], report["AUC"][-1]
    best = max(site["alone"] for site in sites)
    yield at_least(
        f"{name}: joint", joint, 1, unit="AUC", reference="the best site alone", reference_value=best,
        ratio=joint / best,
    )  # fmt: skip
    mean = sum(site["amount_wei"] for site in sites) / len(sites) / TOKEN
    for site in sites:
        case = f"{name}, {site['name']} of {site['rows']} rows"
        yield Row(f"{case}: alone", site["alone"], "AUC", "joint", joint, site["alone"] / joint)
        pay = site["amount_wei"] / TOKEN
        yield Row(
            f"{case}: pay", round(pay, 4), "tokens", "the mean site's", round(mean, 4), pay / mean, "> 0", pay > 0
        )
    yield Row(f"{name}: CPU time", report["cpu_s"], "CPU-s")
