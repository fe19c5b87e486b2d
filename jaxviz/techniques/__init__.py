"""The techniques, one file each: pure functions of a network's `apply`, its params and arrays."""
