"""Our contracts on any chain, typed: one file each, and a task's history folded from their events.

    deploy -> views (reads) -> contracts (one wallet's calls) ; reveals, complaints, proofs, evidence
    events -> folding -> history (what every actor starts from)
"""
