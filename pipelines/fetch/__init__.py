"""Files from other places: downloads over HTTP, copies out of object stores."""
