"""Deployments as use cases: deploy, list, pause and retire them."""
