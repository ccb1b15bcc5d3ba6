"""Projects, who may do what in them, and their event clock."""
