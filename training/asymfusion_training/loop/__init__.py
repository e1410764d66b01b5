"""The training loop and what it needs: state, history, schedule, optimiser, devices."""
