"""One round's actors, in the order in which they act. A newcomer starts here, with docs/PROTOCOL.md beside it.

    owner          trainer                aggregator                          everybody
    1 open  ---->  2 join (membership)
                   3 train
                   4 commit, 5 submit ->  5 roster (collecting)
                   6 reveal keys  ----->  7 judge (grounds, judging.judge)
                                          8 seal  ------------------------->  9 challenge (dispute)
                   10 claim (rewards)  <--------------------------------------- closing
                                                                              11 audit (audit)

`owner`, `membership`, `trainer`, `aggregator`, `witness` are actors; each sends from one wallet and trusts what it
reads from chain and store alone. `transport` carries orders within one process, `fl_platform.flower` everywhere else.
"""
