"""Keeps two libraries from computing tables of a curve that nothing here uses.

py-evm imports the rules of every fork, eth-keyfile those of a second kind of keystore. Both bring BLS12-381, whose
tables py_ecc computes while it is imported: 0.3 CPU-seconds in every process that opens an embedded chain, 0.3 in every
one that unlocks a wallet. The embedded chain runs Shanghai's rules and wallets are of version 3: both know other curves
alone. So stand-ins take the places of the packages, and import them when something of theirs is used after all.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Mapping
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

# What the two libraries take from each package while they are imported.
NAMES: Mapping[str, tuple[str, ...]] = {
    "eth.precompiles.bls12_381": (
        "bls12_g1_add", "bls12_g1_msm", "bls12_map_fp_to_g1", "bls12_g2_add", "bls12_g2_msm", "bls12_map_fp2_to_g2",
        "bls12_pairing_check",
    ),
    "py_ecc.bls": ("G2ProofOfPossession",),
    "py_ecc.bls12_381": (),
}  # fmt: skip
CONSTANTS: Mapping[str, Mapping[str, int]] = {
    "py_ecc.bls12_381": {
        "curve_order": 52435875175126190479447740508185965837690552500527637822603658699938581184513
    },
}


class _StandIn(ModuleType):
    """A package that is not imported yet: of its names it has those that are asked for at once."""

    def __init__(self, name: str, folder: Path) -> None:
        super().__init__(name)
        self.__path__ = [str(folder)]
        self.__spec__ = ModuleSpec(name, None, is_package=True)  # who asks whether the package is there finds it
        self.__dict__.update({wanted: _Later(self, wanted) for wanted in NAMES[name]})
        self.__dict__.update(CONSTANTS.get(name, {}))

    def __getattr__(self, name: str) -> Any:
        if name == "__all__":  # `from package import *`
            return [own for own in dir(_package(self)) if not own.startswith("_")]
        if name.startswith("__"):  # the import system asks for these; they are no reason to import
            raise AttributeError(name)
        return getattr(_package(self), name)


class _Later:
    """A function or class of a package that is imported when it is used."""

    def __init__(self, stand_in: _StandIn, name: str) -> None:
        self._stand_in, self._name = stand_in, name

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        return self._own()(*arguments, **named)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._own(), name)

    def __mro_entries__(self, bases: tuple[object, ...]) -> tuple[Any, ...]:
        return (self._own(),)  # a class that is made from it

    def _own(self) -> Any:
        return getattr(_package(self._stand_in), self._name)


def _package(stand_in: _StandIn) -> ModuleType:
    name = stand_in.__name__
    if sys.modules.get(name) is stand_in:
        del sys.modules[name]
    return importlib.import_module(name)


def defer_bls12_381() -> None:
    """Put the stand-ins where the libraries will look; those of libraries that were imported already are left out."""
    for name in NAMES:
        top, *below = name.split(".")
        found = importlib.util.find_spec(top)
        locations = None if found is None else found.submodule_search_locations
        if locations and name not in sys.modules:
            sys.modules[name] = _StandIn(name, Path(locations[0]).joinpath(*below))
