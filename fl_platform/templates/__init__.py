"""Projects to start from, copied by `fl-platform new`: a task.py that works as it is, and a file of options."""
