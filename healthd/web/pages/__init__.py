"""Pages for people: rendered on the server, complete without JavaScript, live with it. No check or gate is decided
here."""
