"""Our own networks and the weights they are loaded with."""
