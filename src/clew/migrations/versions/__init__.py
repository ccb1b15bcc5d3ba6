"""Revisions, oldest first. Each stands alone: it imports Alembic and SQLAlchemy, and nothing of Clew."""
