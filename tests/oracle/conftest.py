"""Scripts for .venv-peers import libraries that this environment does not have."""

collect_ignore_glob = ["with_*.py"]
