"""The entry filter: training, evaluation, gates and scoring."""
