"""Tools for the API's document: lint it, generate clients from it, tell what changed in it."""
