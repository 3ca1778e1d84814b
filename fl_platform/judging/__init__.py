"""One round's arithmetic, in order. Integers but for the model's last step; the same call for aggregator and auditor.

    entries -> admit -> round_rows -> tapes (the task's `program` evaluated) -> sums -> model_step -> bundling
                              judge.judge_round runs all of it

`judge_public` judges again without any key, `commitments` hold sums to what trainers committed to, `validation` and
`leave_one_out` serve tasks that pay by the owner's validation rows.
"""
