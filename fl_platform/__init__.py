"""Federated learning among parties who do not trust each other, paid through a chain, checkable by anyone."""

__version__ = "0.2.0"
