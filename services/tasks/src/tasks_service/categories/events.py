"""Facts about categories; names.events makes them."""

CATEGORY_CREATED = "category.created.v1"
CATEGORY_UPDATED = "category.updated.v1"
CATEGORY_DELETED = "category.deleted.v1"
