"""Pure rules of what a filter finds to be changed: what a list of the same filter shows."""

from chassis.filtering.tree import And, Node, Not, Or, Predicate

OF_PROJECTS = frozenset({"=", "in"})


def reaches_archived(node: Node) -> bool:
    """Tell whether a filter is about archived projects, too: by naming the project, or by asking for it."""
    parts = node.nodes if isinstance(node, And) else (node,)
    named = any(
        isinstance(one, Predicate) and one.field == "project_id" and one.operator in OF_PROJECTS for one in parts
    )
    return named or _asks_for(node, "is_archived")


def _asks_for(node: Node, field: str) -> bool:
    match node:
        case Predicate():
            return node.field == field
        case Not(inner):
            return _asks_for(inner, field)
        case And(nodes) | Or(nodes):
            return any(_asks_for(one, field) for one in nodes)
