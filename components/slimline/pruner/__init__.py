"""The Pruner component."""
