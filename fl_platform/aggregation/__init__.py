"""Step 7: admit, screen, weigh, sum, and step the model, all in integers but for the last operation.

`admit` (one entry against spec and chain), `gram` (exact inner products), `rules` (who is dropped), `weights`, `sums`
(exact and streamed), `server` (the new model).
"""
