"""Whole actors, free of Flower and of the command line. A newcomer starts here: owner, trainer, aggregator, auditor."""
