"""The ``asymfusion`` command: main.py, and one module a subcommand."""
