"""Alembic's entry: run in the transaction that the caller holds, or, for a draft, compare with the declared tables."""

from alembic import context

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=context.config.attributes.get("metadata"),
    render_item=context.config.attributes.get("render_item"),
    compare_type=True,
    # SQLite can't alter a table: Alembic copies it. The first revision alters none.
    render_as_batch=context.config.attributes.get("render_as_batch", False),
)
with context.begin_transaction():
    context.run_migrations()
