"""Files on disk become uint8 arrays, masks and records; batches come in a seeded order."""
