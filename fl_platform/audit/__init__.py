"""What anybody can check (step 11): recompute a task, or verify it without keys, and say what differs.

    auditor          recomputes rounds from chain and store, with a key or `--public`    -> audit_report
    verify           checks a round's documents without keys, line by line               -> verify_files: files alone
    recompute        judges a sealed round again, for whoever builds on it
    proving          the settlement proof of a sealed round
    why              what became of somebody's work, in words
    exporting, releasing, model_card, track_record     what leaves a task as files and pages
"""
