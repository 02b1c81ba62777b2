"""Views of risk: limits in use, how what is held moves together, and the heartbeats of the risk worker."""
