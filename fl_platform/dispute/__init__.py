"""One dispute: what can be asked of a sealed tape, what answers it, and what to do next. Pure; nothing here sends.

Not in use yet: disputes are decided by contracts/disputes/, and led by `roles`.
"""
