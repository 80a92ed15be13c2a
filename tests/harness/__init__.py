"""What the client tests and the proofs share: starting the real binary, plain HTTP, exact money."""
