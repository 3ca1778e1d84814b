"""A project to start from."""
