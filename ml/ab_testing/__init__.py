"""A/B tests of models: arms, verdicts, simulation."""
