"""Real servers and faulty peers on loopback, started and ended by the tests that use them."""
