"""HTTP for every client in the daemon: sessions, and the pause that the headers of an answer ask for."""
