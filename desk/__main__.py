"""`python -m desk` runs the command `desk`."""

from desk.cli.app import main

if __name__ == "__main__":
    main()
