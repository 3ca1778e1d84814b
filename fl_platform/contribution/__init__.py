"""Steps 7 and 10: what a trainer's work was worth, and `judge.judge_round`, the one function that decides a round.

`anchored` (against a committed reference), `leave_one_out` (on committed validation rows), `validation` (that
commitment), `judge` (verdicts, sums, scores, pay and the state after: the same call for aggregator and auditor).
"""
