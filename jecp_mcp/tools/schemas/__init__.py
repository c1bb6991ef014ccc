"""A stranger's JSON Schema made publishable, and arguments checked against it."""
