"""What a user's file holds: decorators, asset objects, verbs. Re-exported by ``clew`` itself."""
