"""What the techniques run: `Network`, our own networks, their weights, and `load`."""
