"""The economics of a round as programs (`protocol.program`), one part a file: who is paid for what.

A part is a function from columns to columns. It computes nothing: it writes down, once, what everybody evaluates, any
contract decides cell by cell, and a circuit is generated from.
"""
