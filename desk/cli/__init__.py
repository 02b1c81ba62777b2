"""The command `desk`: parses, calls a step, prints."""
