"""The economics of a round as programs (`protocol.program`), one part a file: who is paid for what.

A part is a function from columns to columns. It computes nothing: it writes down what everybody is to evaluate, a
contract to decide cell by cell, and a circuit to be generated from.
`judging.judge` evaluates it.
"""
