"""Files that are written: replaced whole, sealed, locked; and limits of the system."""
