"""Image data: from files on disk to uint8 arrays, masks, records and seeded batches."""
