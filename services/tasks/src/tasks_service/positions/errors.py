from chassis.errors import Conflict, InvalidInput


class NeighborNotFound(InvalidInput):
    code = "NEIGHBOR_NOT_FOUND"
    message = "There is no such other task in this project that you can see."


class NoRoomLeft(Conflict):
    """So often was the same place halved that its name would be too long."""

    code = "NO_ROOM_LEFT"
    message = "There is no room left at exactly this place: move one of the neighbors away and back first."
