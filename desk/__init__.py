"""The front door: the command line and the running of the processes."""
