"""Measurements that can be run again; each prints ratios to a named alternative of the same run."""
