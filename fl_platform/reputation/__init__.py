"""Trust over rounds: one fixed-point number per trainer, part of its cumulative claim leaf."""
