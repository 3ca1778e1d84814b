"""One dispute (step 9): an aggregator cannot win by lying, nor by hiding.

    disputed_round (from chain and store) -> known (what a challenger knows)
                                               -> next_moves (pure: refute, ask, lapse)
    watcher sends them; defender and roster_defender answer; key_watcher accuses trainers whose updates do not open

`questions` and `answers` are what can be asked of a sealed tape, `claims`, `outputs` and `targets` what fells it,
`referee` and `rosters` are the contract with a wallet. All but these two and the agents is pure.
"""
