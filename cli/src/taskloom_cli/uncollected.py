"""Imported before all that is preloaded, none of which is garbage: looking for some took a quarter of the time."""

import gc

gc.disable()
