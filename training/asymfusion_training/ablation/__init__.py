"""What `asymfusion ablate` is made of: the paper's tables, their rows as runs, what the outcome says."""
