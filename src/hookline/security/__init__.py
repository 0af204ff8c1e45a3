"""Egress guard, signatures and sealed secrets."""
