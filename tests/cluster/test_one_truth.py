"""The local runner and Argo's controller give the same node tree for the same workflow under the same name."""

from tests.argo.compare import differences, simplify
from tests.cluster.world import Object, World
from tests.e2e.conftest import Machine

TREE = ("id", "displayName", "type", "templateName", "phase", "boundary", "nodeFlag", "children")


def test_the_node_trees_are_the_same(finished: Object, local: tuple[Machine, Object]) -> None:
    assert list(differences(tree(finished), tree(local[1]))) == []


def test_so_are_those_of_the_release_but_for_its_name(world: World, finished: Object, local: tuple[Machine, Object]) -> None:
    """A release is named by the uid of its run, and ids follow from names."""
    here = local[0].workflow(f"release-{local[1]['metadata']['uid']}")
    there = world.workflow(f"release-{finished['metadata']['uid']}", world.release)
    assert list(differences(unnamed(there), unnamed(here))) == []


def tree(workflow: Object) -> Object:
    """Ids, names, types, phases, children; what a step printed and gave differs in its addresses."""
    shape = simplify(workflow)
    return {"phase": shape["phase"], "nodes": {name: {key: node.get(key) for key in TREE} for name, node in shape["nodes"].items()}}


def unnamed(workflow: Object) -> Object:
    """The tree with `W` for the workflow's name, and without ids."""
    name, shape = workflow["metadata"]["name"], tree(workflow)
    nodes = {}
    for full, node in shape["nodes"].items():
        named = {key: replaced(node[key], name) for key in TREE if key != "id"}
        nodes[replaced(full, name)] = named
    return shape | {"nodes": nodes}


def replaced(value: Object | list[str] | str | None, name: str) -> Object | list[str] | str | None:
    if isinstance(value, list):
        return [one.replace(name, "W", 1) for one in value]
    return value.replace(name, "W", 1) if isinstance(value, str) else value
