"""JAX functions as lists of primitive steps, and the interpreter that runs them."""
