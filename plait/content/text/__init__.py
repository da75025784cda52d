"""What the copy says: its type and its key words."""
