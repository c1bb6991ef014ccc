"""What is wrong with a ledger in a file, and how it is mended, copied and brought back."""
