"""The training subcommands of ``asymfusion``: prepare, train, evaluate, ablate."""
