"""Pages for people: drawn on the server, whole without JavaScript, alive with it. No check or gate is decided here."""
