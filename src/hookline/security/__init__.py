"""Egress guard, signatures and encrypted secrets."""
