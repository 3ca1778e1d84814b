"""Step 7: admit, screen, weigh, sum, and step the model, all in integers but for the last operation.

`admit` (one entry against spec and chain), `round_rows` (what the round's program reads: exact inner products), `sums`
(exact and streamed), `server` (the new model).
"""
